"""What a trained prior is worth beside the numbers we aim at: python tests/benchmarks/priors.py MODELDIR [FIGURE.png].

Train one first: geoae train recipes/facies-vae.yml --data DIR -o MODELDIR --threads 1 --workers 0, or
recipes/profiles-vae.yml. Where disba is installed (extra `examples`), profiles are laid beside their reconstructions in
Rayleigh phase velocities too.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import geoae
from geoae.priors.report import MODELS, PCA, PRIOR
from geoae.priors.space import LatentSpace

CODES = (
    ("variance of codes of training models, least", ">=", 0.9),
    ("variance of codes of training models, most", "<=", 1.1),
)
DRAWN = ("grey cells of drawn models (%)", "<=", 10.0)
FACIES = {  # aims by the number of codes
    20: (("facies accuracy (%)", ">=", 97.0), ("IoU of the facies", ">=", 0.90), DRAWN),
    64: (("facies accuracy (%)", ">=", 97.6), ("Brier score", "<=", 0.017), DRAWN),
}
PROFILES = (("RMSE of held-out models (km/s)", "<=", 0.030),)
N_IN_DATA = 400
"""Held-out profiles whose dispersion is computed."""


def main(folder: str, figure: str | None = None) -> None:
    """Print the report, then each aim and whether it is met."""
    model = geoae.load_model(folder)
    report = model.report()
    print(report)
    facies = model.net.likelihood == "bernoulli"
    aims = FACIES[20 if model.contract.latent <= 20 else 64] if facies else PROFILES
    for name, relation, aim in (*CODES, *aims):
        if name in dict(report.rows):  # which models of earlier versions lack
            judge(name, report[name][PRIOR], relation, aim, report[name].get(PCA))
    # of few held-out blocks, or of one strip, it is uncertain by itself: PCA's beside it says by how much
    variance = report["variance of codes, mean"]
    judge("variance of codes, mean", variance[PRIOR], "within", (0.9, 1.1), variance.get(PCA))
    if facies:
        away = abs(report["facies fraction (%)"][PRIOR] - report["facies fraction (%)"][MODELS])
        judge("facies fraction, points off", away, "<=", 2.0)
    elif find_spec("disba"):
        in_data(LatentSpace(model))
    if (minutes := model.contract.training.get("cpu_minutes")) is not None:
        judge("CPU minutes of training", minutes, "<=", 10.0)
    if figure:
        report.figure().savefig(figure)


def judge(name: str, value: float, relation: str, aim, beside: float | None = None) -> None:
    """One line: met or missed."""
    low, high = {">=": (aim, np.inf), "<=": (-np.inf, aim), "within": aim}[relation]
    pca = "" if beside is None else f", PCA {beside:.4g}"
    print(f"{'met   ' if low <= value <= high else 'MISSED'} {name}: {value:.4g} (aim {relation} {aim}{pca})")


def in_data(space: LatentSpace) -> None:
    """How far reconstructed profiles are from held-out ones in what surface waves see, in standard deviations."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "examples"))
    import surface_waves

    from geoae.priors.linear import reconstruct_with_components

    truth, estimate = (m[:N_IN_DATA] for m in space.representation_residuals())
    seen = dispersion(surface_waves.rayleigh, truth)
    for name, models in {PRIOR: estimate, PCA: reconstruct_with_components(space, truth)}.items():
        if models is None:
            continue
        left = (dispersion(surface_waves.rayleigh, models) - seen) / surface_waves.SIGMA_KM_S
        there = np.isfinite(left).all(1)
        rms = np.sqrt(np.mean(left[there] ** 2, axis=1))
        within = 100 * float((rms <= 1).sum()) / len(left)  # a profile without a mode is none within 1 sigma
        print(f"{name}: {len(left) - there.sum()} of {len(left)} profiles without fundamental mode; data misfit of the "
              f"others {np.sqrt(np.mean(rms**2)):.3g} sigma RMS, median {np.median(rms):.3g}; "
              f"{100 * np.mean(np.abs(left[there]) <= 1):.1f} % of data within 1 sigma")  # fmt: skip
        if name == PRIOR:
            judge("profiles within 1 sigma RMS in data space (%)", within, ">=", 95.0)


def dispersion(forward, models: np.ndarray) -> np.ndarray:
    """Data (n, periods) of profiles, NaN where there are none."""

    def one(m: np.ndarray) -> np.ndarray:
        try:
            return forward(m)
        except Exception:  # disba raises errors of its own where it finds no root
            return np.full(forward(np.linspace(3.0, 4.5, models.shape[1])).shape, np.nan)

    return np.stack([one(m) for m in models])


if __name__ == "__main__":
    main(*sys.argv[1:3])
