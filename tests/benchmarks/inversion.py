"""Coverage, sharpness, reliability and cost of inversions in the space of codes, on two problems.

    python tests/benchmarks/inversion.py crosshole FOLDER [--model MODEL] [--latent 20] [--truths 50] [--eikonal]
    python tests/benchmarks/inversion.py surface-waves FOLDER [--model MODEL] [--latent 8]

FOLDER holds the training image and the truths of Lopez-Alvis et al. (2021), or the LITHO1.0 profiles (names below).
MODEL is a folder that `geoae.fit(...).save` wrote; without it, the prior is PCA with that many components. Truths, and
the models from which the representation error is estimated, come from separate parts of the data that no prior was
trained on. Times are printed, not asserted: run it on a quiet machine.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "examples"))

import crosshole
import surface_waves

from geoae.invert import Inverse
from geoae.invert.search.searches import N_STEPS_LONG
from geoae.priors.pca import pca_space
from geoae.priors.space import LatentSpace

IMAGE, TRUTHS, PROFILES = "channels2500_laloy.npz", "lopezalvis2021_test.npz", "litho1_vs_profiles.npz"
STRIP, ROWS = 2250, 2000
"""No prior is trained on columns from `STRIP` on; rows from `ROWS` on of these are for truths."""
TARGET = (
    "targets: coverage of 90 % in 87-93 %; facies right >= 97.6 %, Brier <= .017; MAP <= 2 s (eikonal 60 s), 30 runs, "
    "15 Jacobians, 95 % within 10 % of the best; R-hat <= 1.05 in 10,000 gradients; ES-MDA <= 1000 runs"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=["crosshole", "surface-waves"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--latent", type=int)
    parser.add_argument("--truths", type=int, default=50)
    parser.add_argument("--models", type=int, default=2000, help="models that PCA is trained on")
    parser.add_argument("--held-out", type=int, default=2000, help="models for the representation error")
    parser.add_argument("--methods", default="laplace,rml,esmda,mcmc")
    parser.add_argument(
        "--no-naive", action="store_true", help="leave out the coverage without the representation error"
    )
    parser.add_argument("--own-rest", action="store_true", help="use the prior's own held-out models")
    parser.add_argument("--eikonal", action="store_true", help="bent instead of straight rays; needs eikonalfm")
    parser.add_argument("--searches", type=int, help="n_starts of laplace")
    parser.add_argument("--draws", type=int, help="for each chain of mcmc")
    parser.add_argument("--warm-up", type=int, help="for each chain of mcmc")
    parser.add_argument("--sampler", choices=["emulated", "hmc", "emcee"], help="for mcmc")
    parser.add_argument("--first", type=int, default=0, help="first truth; to divide work among processes")
    parser.add_argument("--alone", action="store_true", help="without PCA for comparison")
    parser.add_argument("--starts", type=int, default=8, help="random starts of other searches")
    args = parser.parse_args()
    crosshole_problem(args) if args.problem == "crosshole" else surface_problem(args)
    print(TARGET)


def crosshole_problem(args: argparse.Namespace) -> None:
    """Facies between boreholes."""
    with np.load(args.folder / IMAGE) as file:
        image = file["a"].astype(np.float64)
    masked = tuple((r, c - STRIP) for r, c in crosshole.MASKED)
    held_out = crosshole.cut(image[:ROWS, STRIP:], args.held_out, seed=2, keep_out=masked)
    truths = crosshole.cut(image[ROWS:, STRIP:], max(args.first + args.truths, 1), seed=3, keep_out=())
    d = LatentSpace(args.model).d if args.model else args.latent or 20
    pca = pca_space(crosshole.cut(image[:, :STRIP], args.models, seed=1), d, held_out=held_out)
    space = LatentSpace(args.model) if args.model else pca
    forward = crosshole.Eikonal() if args.eikonal else crosshole.StraightRays()
    with np.load(args.folder / TRUTHS) as file:
        known, noise = [file[f"mc{i}"] for i in (1, 2, 3)], file["noiserealz"] * crosshole.SIGMA_NS
    held = None if args.own_rest else held_out
    shape = (len(crosshole.DEPTHS_M),) * 2 if args.eikonal else len(noise)
    base = Inverse(space, forward, np.zeros(shape), crosshole.SIGMA_NS, held_out=held)
    _prepare(base)
    for name, truth in zip(("mc1", "mc2", "mc3"), [] if args.first else known, strict=not args.first):
        print(name)
        inverse = base.with_data(base.forward.run(truth[None])[0] + noise, base.held_out, base.representation)
        for method in ("map", *args.methods.split(",")):
            posterior = inverse.solve(method)
            mean = posterior.mean()
            right, brier = np.mean((mean > 0.5) == truth), np.mean((mean - truth) ** 2)
            overlap = ((mean > 0.5) & (truth > 0.5)).sum() / ((mean > 0.5) | (truth > 0.5)).sum()
            print(
                f"  {method:<8} right {100 * right:.1f} %, IoU {overlap:.3f}, Brier {brier:.4f}; "
                f"{_describe_cost(posterior)}"
            )
    measure(base, args, truths, {f"pca-{d}": pca} if args.model else {})


def surface_problem(args: argparse.Namespace) -> None:
    """Shear velocity with depth from phase velocities; whole blocks of 10 degrees are held out."""
    profiles, held, truths = surface_waves.split(args.folder / PROFILES)
    d = LatentSpace(args.model).d if args.model else args.latent or 8
    pca = pca_space(profiles, d, held_out=held, units="km/s")
    space = LatentSpace(args.model) if args.model else pca
    n = len(surface_waves.PERIODS_S)
    base = Inverse(space, surface_waves.rayleigh, np.full(n, 3.5), surface_waves.SIGMA_KM_S,
                   held_out=None if args.own_rest else held[: args.held_out])  # fmt: skip
    _prepare(base)
    measure(base, args, truths, {f"pca-{d}": pca} if args.model else {})


def measure(base: Inverse, args: argparse.Namespace, truths: np.ndarray, other_priors: dict[str, LatentSpace]) -> None:
    """Print the reliability of the most likely code, and the coverage of each method."""
    other_priors = {} if args.alone else other_priors
    if args.starts:
        reliability(base, truths, args.starts)
    for method in filter(None, args.methods.split(",")):
        start = time.perf_counter()
        options = {"n_starts": args.searches} if args.searches and method == "laplace" else {}
        options |= {"n_draws": args.draws} if args.draws and method == "mcmc" else {}
        options |= {"n_warmup": args.warm_up} if args.warm_up and method == "mcmc" else {}
        options |= {"sampler": args.sampler} if args.sampler and method == "mcmc" else {}
        print(base.calibrate(args.truths, method, truths=truths[args.first :], other_priors=other_priors,
                             without_representation=not args.no_naive, seed=args.first, **options))  # fmt: skip
        print(f"  in {time.perf_counter() - start:.0f} s", flush=True)


def reliability(base: Inverse, truths: np.ndarray, n_starts: int) -> None:
    """Print how often the search of `solve("map")` is as good as the best of many searches from random codes."""
    rng, near, random, runs, jacobians, searches = np.random.default_rng(5), [], [], [], [], []
    data = base.forward.run(truths)
    for i, clean in enumerate(data):
        inverse = base.with_data(clean + base.noise.sample(1, rng)[0], base.held_out, base.representation)
        found = inverse.solve("map", seed=i)
        runs.append(found.info["n_runs"])
        jacobians.append(found.info["n_jacobians"])
        searches.append(found.info["n_searches"])
        others = [inverse.search(z[None], N_STEPS_LONG).cost for z in rng.normal(size=(n_starts, base.space.d))]
        best = min(found.info["cost"], *others)
        near.append(found.info["cost"] <= 1.1 * best)
        random.append(np.mean(np.array(others) <= 1.1 * best))
    print(f"most likely code: {100 * np.mean(near):.0f} % of {len(near)} within 10 % of the best of {n_starts + 1} "
          f"(random starts, {N_STEPS_LONG} steps, {100 * np.mean(random):.0f} %); runs {np.median(runs):.0f} (most "
          f"{max(runs)}), Jacobians {np.median(jacobians):.0f} (most {max(jacobians)}), several searches for "
          f"{100 * np.mean(np.array(searches) > 1):.0f} %", flush=True)  # fmt: skip


def _prepare(base: Inverse) -> None:
    start = time.perf_counter()
    held, representation = base.prepare().held_out, base.representation
    seconds = time.perf_counter() - start
    print(f"{base.space.name}: {len(held.models)} held-out models; representation error {representation.ratio:.2f} "
          f"times the noise, inflation {representation.inflation:.2f}; {base.forward.n_runs} runs in {seconds:.1f} s",
          flush=True)  # fmt: skip


def _describe_cost(posterior) -> str:
    info, r_hat = posterior.info, posterior.diagnose().r_hat
    convergence = "" if r_hat is None else f", R-hat {r_hat:.3f}"
    return (f"{info['n_runs']} runs, {info['n_jacobians']} Jacobians, {info['n_gradients']} gradients, "
            f"{info['seconds']:.1f} s{convergence}")  # fmt: skip


if __name__ == "__main__":
    main()
