"""Coverage, sharpness and cost of inversions in the space of codes, on two problems.

    python tests/benchmarks/inversion.py crosshole FOLDER [--model MODEL] [--latent 20] [--truths 50]
    python tests/benchmarks/inversion.py surface-waves FOLDER [--model MODEL] [--latent 8]

FOLDER holds the training image and the truths of Lopez-Alvis et al. (2021), or the LITHO1.0 profiles (names below).
Without MODEL, a folder as `geoae.fit(...).save` writes, the prior is PCA of that many components. Nothing here is
timed by assertion: read the table, on a quiet machine.
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
from geoae.latent.pca import pca_space
from geoae.latent.space import LatentSpace

IMAGE, TRUTHS, PROFILES = "channels2500_laloy.npz", "lopezalvis2021_test.npz", "litho1_vs_profiles.npz"
TARGET = "wanted: coverage of 90 % in 87-93 %; MAP <= 2 s, 30 runs, 15 Jacobians; R-hat <= 1.05 in 10,000 gradients"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=["crosshole", "surface-waves"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--latent", type=int)
    parser.add_argument("--truths", type=int, default=50)
    parser.add_argument("--models", type=int, default=2000, help="to train PCA on")
    parser.add_argument("--methods", default="laplace,esmda,mcmc")
    parser.add_argument("--naive", action="store_true", help="also without the representation error")
    args = parser.parse_args()
    crosshole_problem(args) if args.problem == "crosshole" else surface_problem(args)
    print(TARGET)


def crosshole_problem(args: argparse.Namespace) -> None:
    """Facies between boreholes, straight rays."""
    with np.load(args.folder / IMAGE) as file:
        image = file["a"].astype(np.float64)
    held = crosshole.cut(image, 600, seed=2)
    pca = pca_space(crosshole.cut(image, args.models, seed=1), args.latent or 20, held_out=held)
    space = LatentSpace(args.model) if args.model else pca
    forward = crosshole.StraightRays()
    with np.load(args.folder / TRUTHS) as file:
        truths, noise = [file[f"mc{i}"] for i in (1, 2, 3)], file["noiserealz"] * crosshole.SIGMA_NS
    for name, truth in zip(("mc1", "mc2", "mc3"), truths, strict=True):
        inverse = Inverse(space, forward, forward(truth[None])[0] + noise, crosshole.SIGMA_NS)
        start = time.perf_counter()
        ratio = inverse.representation.ratio
        print(f"{name}: representation error {ratio:.1f} times the noise, in {time.perf_counter() - start:.1f} s")
        for method in ("map", *args.methods.split(",")):
            one = inverse.solve(method)
            mean = one.mean()
            right, brier = np.mean((mean > 0.5) == truth), np.mean((np.clip(mean, 0, 1) - truth) ** 2)
            overlap = ((mean > 0.5) & (truth > 0.5)).sum() / ((mean > 0.5) | (truth > 0.5)).sum()
            print(f"  {method:<8} right {100 * right:.1f} %, IoU {overlap:.3f}, Brier {brier:.4f}; {_cost(one)}")
    calibrations(inverse, args, {"PCA": pca} if args.model else {})


def surface_problem(args: argparse.Namespace) -> None:
    """Shear velocity with depth from phase velocities; whole blocks of 10 degrees are held out."""
    with np.load(args.folder / PROFILES) as file:
        profiles, lat, lon = file["vs_kms"].astype(np.float64), file["lat"], file["lon"]
    block = surface_waves.blocks(lat, lon)
    out = np.random.default_rng(0).permutation(np.unique(block))[::5]
    held = profiles[np.isin(block, out)]
    held = held[np.random.default_rng(1).permutation(len(held))[:600]]
    pca = pca_space(profiles[~np.isin(block, out)], args.latent or 8, held_out=held, units="km/s")
    space = LatentSpace(args.model) if args.model else pca
    data = surface_waves.rayleigh(held[0])
    inverse = Inverse(space, surface_waves.rayleigh, data, surface_waves.SIGMA_KM_S)
    print(f"representation error {inverse.representation.ratio:.1f} times the noise")
    for method in ("map", *args.methods.split(",")):
        one = inverse.solve(method)
        print(f"  {method:<8} {_cost(one)}")
    calibrations(inverse, args, {"PCA": pca} if args.model else {})


def calibrations(inverse: Inverse, args: argparse.Namespace, beside: dict[str, LatentSpace]) -> None:
    """Coverage by each method."""
    for method in args.methods.split(","):
        print(inverse.calibrate(args.truths, method, beside=beside))
        if args.naive:
            other = Inverse(inverse.space, inverse.forward, inverse.data, 1.0, representation=False)
            other.noise, other._held = inverse.noise, inverse.held_out
            print("without representation error:", other.calibrate(args.truths, method), sep="\n")


def _cost(posterior) -> str:
    about, chains = posterior.info, posterior.diagnose().r_hat
    met = "" if chains is None else f", R-hat {chains:.3f}"
    return (f"{about['n_runs']} runs, {about['n_jacobians']} Jacobians, {about['n_gradients']} gradients, "
            f"{about['seconds']:.1f} s{met}")  # fmt: skip


if __name__ == "__main__":
    main()
