"""Scores of standard errors, on mixtures of held-out stations: how many errors they hold, and how wide they are.

Scores use the factor of one half of the stations on the other half, so that no station is scored with its own (split
conformal prediction: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005).
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geoae.arrays.types import Float64Array
from geoae.records.mixtures import RATE_HZ, Mixtures
from geoae.records.sigma import LEVEL

Estimate = Callable[[Float64Array], tuple[Float64Array, Float64Array]]
"""Noisy windows (n, 3, time) at 100 Hz -> signal and standard errors of the same shape."""
SIGMA_SNRS_DB = (-10, -5, 0, 5, 10, 15)
COVERAGE = 0.9
N_MIXTURES = 56
"""Mixtures for each band and signal-to-noise ratio on which standard errors are scored, at most."""
_STEP = 10  # each tenth sample counts: neighbours have nearly the same error
_SPANS = {"before P": (-800, -50), "P to 3 s": (0, 3 * RATE_HZ), "3 to 20 s": (3 * RATE_HZ, 20 * RATE_HZ)}


class SigmaErrors:
    """Errors of a denoiser in units of its standard errors, on mixtures at several signal-to-noise ratios."""

    ratio: Float64Array
    """(n, 3, time): absolute error over 1.645 standard errors, of each tenth sample."""
    relative: Float64Array
    """(n, 3, time): standard error over the rms of the clean record."""
    snr: Float64Array
    """(n,): signal-to-noise ratio, dB."""
    p: npt.NDArray[np.int64]
    """(n,): sample of the P arrival."""
    stations: npt.NDArray[np.str_]
    """(n,): station of the event."""

    def __init__(self, estimate: Estimate, mixtures: Mixtures, snrs_db: Sequence[float] = SIGMA_SNRS_DB) -> None:
        clean = mixtures.clean
        scale = np.maximum(clean.std(-1, keepdims=True), np.finfo(float).tiny)
        ratios, relative = [], []
        for snr in snrs_db:
            signal, sigma = estimate(mixtures.noisy(snr))
            sigma = np.maximum(sigma[..., ::_STEP], np.finfo(float).tiny)
            error = np.abs(signal - clean)[..., ::_STEP]
            ratios.append(error / (LEVEL * sigma))
            relative.append(sigma / scale)
        self.ratio, self.relative = np.concatenate(ratios), np.concatenate(relative)
        self.snr = np.repeat(np.asarray(snrs_db, np.float64), len(clean))
        self.p = np.tile(mixtures.p, len(snrs_db))
        self.stations = np.array([m["station"] for m in mixtures.meta] * len(snrs_db))


def score_sigma(estimate: Estimate, mixtures: Mixtures, snrs_db: Sequence[float] = SIGMA_SNRS_DB) -> dict[str, Any]:
    """Score the standard errors of a denoiser.

    Returns
    -------
    dict
        "given": share of samples whose error is at most 1.645 standard errors, as the denoiser gives them. "cover": the
        same with the factor of other stations, also by "snr", by "tenth" of the standard errors relative to the clean
        record, and by "span" of time; "factor", mean of the two halves; "width": mean width of the interval (2 x 1.645
        sigma) over the rms of the clean record, with that factor.
    """
    found = SigmaErrors(estimate, mixtures, snrs_db)
    ordered = sorted({str(s) for s in found.stations}, key=lambda name: zlib.crc32(name.encode()))
    half = np.array([ordered.index(str(s)) % 2 for s in found.stations])
    factor = np.ones(len(half))
    for side in (0, 1):
        others = half != side
        if others.any():
            factor[half == side] = find_quantile(found.ratio[others].ravel())
    inside = found.ratio <= factor[:, None, None]
    relative = found.relative * factor[:, None, None]
    edges = np.quantile(relative, np.linspace(0, 1, 11))
    tenth = np.clip(np.searchsorted(edges, relative, "right") - 1, 0, 9)
    at = np.arange(0, mixtures.clean.shape[-1], _STEP)[None] - found.p[:, None]
    spans = {name: (at >= a) & (at < b) for name, (a, b) in _SPANS.items()}
    return {
        "given": float((found.ratio <= 1).mean()),
        "cover": float(inside.mean()),
        "snr": {f"{snr:g}": float(inside[found.snr == snr].mean()) for snr in snrs_db},
        "tenth": [float(inside[tenth == i].mean()) if (tenth == i).any() else float("nan") for i in range(10)],
        "span": {name: float(inside.transpose(0, 2, 1)[where].mean()) for name, where in spans.items()},
        "width": float(2 * LEVEL * relative.mean()),
        "factor": float(factor.mean()),
    }


def find_quantile(values: Float64Array, weights: Float64Array | None = None) -> float:
    """The value below which `COVERAGE` of the weight lies."""
    if weights is None:
        return float(np.quantile(values, COVERAGE))
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, COVERAGE)])


def compare_sigma(estimates: Mapping[str, Estimate], mixtures: Mixtures) -> dict[str, Any]:
    """Score several kinds of standard errors on the first `N_MIXTURES` mixtures.

    Returns
    -------
    dict
        "n": number of mixtures for each signal-to-noise ratio; "methods": the result of `score_sigma` for each kind.
    """
    used = mixtures.select(slice(N_MIXTURES))
    return {"n": len(used), "methods": {name: score_sigma(estimate, used) for name, estimate in estimates.items()}}


def build_sigma_rows(results: dict[str, Any], band: str) -> tuple[list[str], list[list[str]]]:
    """Build header and rows of the table of standard errors on the mixtures of one band; no rows without scores."""
    scored = results["bands"][band].get("sigma")
    if not scored:
        return [], []
    spans = ", ".join(_SPANS)
    header = [
        f"Errors within 1.645 sigma (n={scored['n']})", "as given", "with factor", "which is",
        f"at SNR {', '.join(f'{snr:g}' for snr in SIGMA_SNRS_DB)}", "by tenth of sigma", spans, "width over rms",
    ]  # fmt: skip
    rows = []
    for name, s in scored["methods"].items():
        tenths = [share for share in s["tenth"] if share is not None]
        rows.append([
            name, _percent(s["given"]), _percent(s["cover"]), f"{s['factor']:.2f}", _percent(*s["snr"].values()),
            f"{100 * min(tenths):.0f}-{100 * max(tenths):.0f}%", _percent(*s["span"].values()), f"{s['width']:.2f}",
        ])  # fmt: skip
    return header, rows


SIGMA_NOTE = (
    "Right standard errors have 90 % of the errors within 1.645 sigma in each column, and a factor of 1. The factor "
    "makes it so on one half of the stations, and the other half is scored with it. As given, sigma has the factor of "
    "the model, which `geoae train` finds on validation stations. Tenths are those of sigma over the rms of the clean "
    "record: lowest and highest share. The width is that of the interval of 90 %, over that rms."
)


def _percent(*shares: float | None) -> str:
    return ", ".join("-" if share is None else f"{100 * share:.0f}" for share in shares) + "%"
