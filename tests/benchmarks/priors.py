"""What a trained prior is worth beside the numbers we aim at: python tests/benchmarks/priors.py MODELDIR [FIGURE.png].

Train one first: geoae train recipes/facies-vae.yml --data DIR -o MODELDIR, or recipes/profiles-vae.yml.
"""

import sys

import geoae
from geoae.latent.report import MODELS, PCA, PRIOR

FACIES = (
    ("facies accuracy (%)", ">=", 97.0),
    ("IoU of the facies", ">=", 0.90),
    ("grey cells of drawn models (%)", "<=", 10.0),
)
ALL = (("variance of codes, least", ">=", 0.9), ("variance of codes, most", "<=", 1.1))
PROFILES = (("RMSE of held-out models (km/s)", "<=", 0.030),)


def main(folder: str, figure: str | None = None) -> None:
    """Print the report, then each aim and whether it is met."""
    model = geoae.load_model(folder)
    report = model.report()
    print(report)
    facies = model.net.likelihood == "bernoulli"
    for name, relation, aim in (*ALL, *(FACIES if facies else PROFILES)):
        value = report[name][PRIOR]
        met = value >= aim if relation == ">=" else value <= aim
        beside = f", PCA {report[name][PCA]:.4g}" if PCA in report[name] else ""
        print(f"{'met   ' if met else 'MISSED'} {name}: {value:.4g} (aim {relation} {aim:g}{beside})")
    if facies:
        away = abs(report["facies fraction (%)"][PRIOR] - report["facies fraction (%)"][MODELS])
        print(f"{'met   ' if away <= 2 else 'MISSED'} facies fraction: {away:.2f} points off (aim <= 2)")
    if figure:
        report.figure().savefig(figure)


if __name__ == "__main__":
    main(*sys.argv[1:3])
