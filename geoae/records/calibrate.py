"""Calibrate standard errors on mixtures of held-out stations, and score them.

Split conformal prediction (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005): one factor makes
nine tenths of the errors smaller than `LEVEL` standard errors. It is found on stations that the net was not trained on.
Scores use the factor of one half of these stations on the other half, so that no station is scored with its own.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geoae.arrays.types import Float64Array
from geoae.records.mixtures import RATE_HZ, Mixtures
from geoae.records.sigma import LEVEL

Estimate = Callable[[Float64Array], tuple[Float64Array, Float64Array]]
"""Noisy windows (n, 3, time) at 100 Hz -> signal and standard errors of the same shape."""
SNRS_DB = (-10, -5, 0, 5, 10, 15)
COVERAGE = 0.9
_STEP = 10  # each tenth sample counts: neighbours have nearly the same error
_SPANS = {"before P": (-800, -50), "P to 3 s": (0, 3 * RATE_HZ), "3 to 20 s": (3 * RATE_HZ, 20 * RATE_HZ)}


def find_sigma_factor(estimate: Estimate, mixtures: Sequence[Mixtures], snrs_db: Sequence[float] = SNRS_DB) -> float:
    """Factor by which standard errors have to be multiplied, so that they hold on the stations of mixtures.

    It is the 90 % quantile of the absolute error over 1.645 standard errors, in which each station counts alike.

    Parameters
    ----------
    estimate
        The denoiser, with the standard errors that are to be calibrated.
    mixtures
        Mixtures of stations that the net was not trained on, one for each band.
    snrs_db
        Signal-to-noise ratios of the mixtures.
    """
    ratios, weights = [], []
    for one in mixtures:
        found = _Errors(estimate, one, snrs_db)
        names, counts = np.unique(found.stations, return_counts=True)
        share = dict(zip(names.tolist(), (1 / counts).tolist(), strict=True))
        ratios.append(found.ratio.ravel())
        weights.append(np.repeat([share[s] for s in found.stations.tolist()], found.ratio[0].size))
    return _find_quantile(np.concatenate(ratios), np.concatenate(weights))


def score_sigma(estimate: Estimate, mixtures: Mixtures, snrs_db: Sequence[float] = SNRS_DB) -> dict[str, Any]:
    """Score the standard errors of a denoiser.

    Returns
    -------
    dict
        "cover": share of samples whose error is at most 1.645 standard errors, with the factor of other stations. The
        same by "snr", by "tenth" of the standard errors relative to the clean record, and by "span" of time; "factor",
        mean of the two halves; "width": mean width of the interval (2 x 1.645 sigma) over the rms of the clean record.
    """
    found = _Errors(estimate, mixtures, snrs_db)
    ordered = sorted({str(s) for s in found.stations}, key=lambda name: zlib.crc32(name.encode()))
    half = np.array([ordered.index(str(s)) % 2 for s in found.stations])
    factor = np.ones(len(half))
    for side in (0, 1):
        others = half != side
        if others.any():
            factor[half == side] = _find_quantile(found.ratio[others].ravel())
    inside = found.ratio <= factor[:, None, None]
    relative = found.relative * factor[:, None, None]
    edges = np.quantile(relative, np.linspace(0, 1, 11))
    tenth = np.clip(np.searchsorted(edges, relative, "right") - 1, 0, 9)
    at = np.arange(0, mixtures.clean.shape[-1], _STEP)[None] - found.p[:, None]
    spans = {name: (at >= a) & (at < b) for name, (a, b) in _SPANS.items()}
    return {
        "cover": float(inside.mean()),
        "snr": {f"{snr:g}": float(inside[found.snr == snr].mean()) for snr in snrs_db},
        "tenth": [float(inside[tenth == i].mean()) if (tenth == i).any() else float("nan") for i in range(10)],
        "span": {name: float(inside.transpose(0, 2, 1)[where].mean()) for name, where in spans.items()},
        "width": float(2 * LEVEL * relative.mean()),
        "factor": float(factor.mean()),
    }


class _Errors:
    """Errors of mixtures at several signal-to-noise ratios."""

    def __init__(self, estimate: Estimate, mixtures: Mixtures, snrs_db: Sequence[float]) -> None:
        scale = np.maximum(mixtures.clean.std(-1, keepdims=True), np.finfo(float).tiny)
        ratios, relative = [], []
        for snr in snrs_db:
            signal, sigma = estimate(mixtures.noisy(snr))
            sigma = np.maximum(sigma[..., ::_STEP], np.finfo(float).tiny)
            error = np.abs(signal - mixtures.clean)[..., ::_STEP]
            ratios.append(error / (LEVEL * sigma))
            relative.append(sigma / scale)
        self.ratio, self.relative = np.concatenate(ratios), np.concatenate(relative)
        self.snr = np.repeat(np.asarray(snrs_db, np.float64), len(mixtures))
        self.p = np.tile(mixtures.p, len(snrs_db))
        self.stations: npt.NDArray[np.str_] = np.array([m["station"] for m in mixtures.meta] * len(snrs_db))


def _find_quantile(values: Float64Array, weights: Float64Array | None = None) -> float:
    """The value below which `COVERAGE` of the weight lies."""
    if weights is None:
        return float(np.quantile(values, COVERAGE))
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, COVERAGE)])
