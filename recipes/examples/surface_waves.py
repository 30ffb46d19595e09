"""Phase velocities of Rayleigh waves for profiles of shear velocity; needs disba."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoae.priors import data as prior_data

Array = NDArray[np.float64]
PERIODS_S = np.geomspace(10, 100, 16)
SIGMA_KM_S = 0.02
LAYER_KM = 2.0


def brocher(vs: Array) -> tuple[Array, Array]:
    """P velocity in km/s and density in g/cm3 of shear velocity in km/s (Brocher, 2005, doi:10.1785/0120050077)."""
    vp = 0.9409 + 2.0947 * vs - 0.8206 * vs**2 + 0.2683 * vs**3 - 0.0251 * vs**4
    rho = 1.6612 * vp - 0.4721 * vp**2 + 0.0671 * vp**3 - 0.0043 * vp**4 + 0.000106 * vp**5
    return vp, rho


def rayleigh(vs: Array, layer_km: float = LAYER_KM, periods_s: Array = PERIODS_S) -> Array:
    """Phase velocity in km/s of the fundamental mode at each period, for equally thick layers over a half-space."""
    from disba import PhaseDispersion

    vp, rho = brocher(vs)
    # faster layers are mantle, outside of the range of Brocher's fit
    vp, rho = np.where(vs > 4.0, 1.79 * vs, vp), np.where(vs > 4.0, 3.35, rho)
    found = PhaseDispersion(np.full(len(vs), layer_km), vp, vs, rho, algorithm="dunkin", dc=0.02)(periods_s, mode=0)
    if len(found.velocity) != len(periods_s):
        raise ValueError(f"the fundamental mode was found at {len(found.velocity)} of {len(periods_s)} periods")
    return found.velocity


def split(path: Path, n_truths: int = 200) -> tuple[Array, Array, Array]:
    """Split profiles in km/s (n, layer) by blocks of 10 degrees, into training profiles, held-out profiles and truths.

    ``geoae.fit(profiles, groups=np.c_[lat, lon])`` holds out the same blocks. Half of these blocks are for truths.
    """
    with np.load(path) as file:
        profiles, lat, lon = file["vs_kms"].astype(np.float64), file["lat"], file["lon"]
    block = prior_data.label_blocks([lat, lon], 10.0)
    names = np.unique(block)
    held_out = np.random.default_rng(0).permutation(names)[: round(0.1 * len(names))]
    trains, tests = ~np.isin(block, held_out), np.isin(block, held_out[::2])
    rng = np.random.default_rng(1)
    return profiles[trains], rng.permutation(profiles[~trains & ~tests]), rng.permutation(profiles[tests])[:n_truths]
