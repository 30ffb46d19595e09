"""The standard error of cleaned samples, from a window's signal and removed noise.

A Wiener filter that knows the powers S of the signal and N of the noise in a cell of time and frequency leaves an error
of variance S N / (S + N). Here the powers are those of the estimated signal and of the removed noise. A model may have
weights W instead, found on held-out stations: then the variance is W (S + N), where W depends on the octave and on the
share S / (S + N) that the model kept. See `geoae.records.sigma_weights`.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

CELL_N = 128
"""Samples of a cell: 1.28 s at 100 Hz."""
SMALLEST = 1e-4
"""Smallest standard error, as a fraction of the root mean square of the removed noise in the window."""
LEVEL = 1.645
"""Standard errors on either side of a normal value that hold nine tenths of the values."""
OCTAVES = (0, 1, 2, 4, 8, 16, 32)
"""First frequencies, in cycles per cell, of the octaves that have weights."""
SHARES = (0, 2, 5, 15, 30, 50, 70, 85, 95)
"""Least shares of the power that the signal has, in per cent, of the classes that have weights."""
Weights = Sequence[Sequence[float]]
"""(octave, class of shares) -> weight of the power of a cell in the variance of the error."""
_HOP = CELL_N // 2


def estimate_sigma(
    signal: Array, removed: Array, valid: NDArray[np.bool_] | None = None, weights: Weights = ()
) -> NDArray[np.float64]:
    """Standard error of each sample of a signal, in the units of the samples.

    Parameters
    ----------
    signal, removed
        Windows (..., time) of the estimated signal and of the noise that was removed; their sum is the record.
    valid
        Which samples are no gaps; None: all. A gap has no power, and cells at its edge count the rest alone.
    weights
        Weights of a model, `len(OCTAVES)` x `len(SHARES)`; empty: those of a Wiener filter.

    Returns
    -------
    array
        The shape of `signal`. At least `SMALLEST` times the root mean square of `removed`.
    """
    shape, n = signal.shape, signal.shape[-1]
    out = np.zeros((int(np.prod(shape[:-1])), n))
    rows = (part.reshape(-1, n) for part in (signal, removed))
    table = _make_table(tuple(map(tuple, weights))) if len(weights) else None
    masks = [None] * len(out) if valid is None else list(valid.reshape(-1, n))
    # one by one: the spectra of a row stay in the cache
    for row, s, r, mask in zip(out, *rows, masks, strict=True):
        if mask is None or mask.any():
            row[:] = _estimate_row(s, r, None if mask is None or mask.all() else mask, table)
    return out.reshape(shape)


def _estimate_row(
    signal: Array, removed: Array, valid: NDArray[np.bool_] | None, table: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """The result of `estimate_sigma` for one window and component."""
    share = None
    if valid is not None:
        signal, removed = np.where(valid, signal, 0.0), np.where(valid, removed, 0.0)
        share = _cut_cells(valid.astype(np.float32)).mean(-1)
    if table is None:
        s, r = _smooth(_find_powers(signal)), _smooth(_find_powers(removed))
        total = s + r
        s *= r
        rest = np.divide(s, total, out=s, where=total > 0)
    else:
        rest, kept = find_cells(signal, removed)
        rest *= table[np.arange(rest.shape[-1]), kept]
    rest[..., 1:-1] *= 2  # negative frequencies
    variance = rest.sum(-1, dtype=np.float64)
    if share is not None:
        variance /= np.maximum(share, 1 / CELL_N)
    sigma = np.sqrt(interpolate_cells(variance, signal.shape[-1]))
    rms = np.sqrt(np.square(removed, dtype=np.float64).mean(-1, keepdims=True))
    return np.maximum(sigma, SMALLEST * rms)


def find_cells(signal: Array, removed: Array) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Power S + N of each cell (cell, frequency) of one component, and the share of the signal in it in per cent."""
    s, total = _smooth(_find_powers(signal)), _smooth(_find_powers(removed))
    total += s
    kept = np.divide(s, total, out=s, where=total > 0)
    return total, (100 * kept).astype(np.intp)


@lru_cache(maxsize=8)
def _make_table(weights: tuple[tuple[float, ...], ...]) -> NDArray[np.float32]:
    """Weight (frequency, share in per cent) of the power of a cell."""
    octave = np.searchsorted(OCTAVES, np.arange(CELL_N // 2 + 1), "right") - 1
    of_share = np.searchsorted(SHARES, np.arange(101), "right") - 1
    return np.asarray(weights, np.float32)[octave[:, None], of_share]


def find_local_power(x: Array) -> NDArray[np.float64]:
    """Power of windows (..., time) around each sample: the mean square of cells, interpolated in time."""
    cells = _cut_cells(np.clip(x, -1e150, 1e150).astype(np.float64))  # squares stay within the range of float64
    return interpolate_cells(np.einsum("...n,...n->...", cells, cells) / CELL_N, x.shape[-1])


def interpolate_cells(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Values of cells (..., cell), half of `CELL_N` apart from sample 0, at each of n samples, linearly."""
    weight = np.arange(_HOP) / _HOP
    left, right = values[..., :-1, None], values[..., 1:, None]
    between = left + (right - left) * weight
    return between.reshape(*values.shape[:-1], -1)[..., :n]


def _cut_cells(x: Array) -> Array:
    """Cells (..., cell, sample) centred half a cell apart, the last of them at or after the end."""
    n = x.shape[-1]
    n_cells = -(-n // _HOP) + 1
    after = (n_cells - 1) * _HOP + _HOP - n
    # samples are mirrored at the ends; a window shorter than a cell is mirrored more than once
    mode = "reflect" if n > 1 else "edge"
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(_HOP, after)], mode=mode)  # type: ignore[call-overload]
    return np.lib.stride_tricks.sliding_window_view(padded, CELL_N, axis=-1)[..., ::_HOP, :]


def _find_powers(x: Array) -> NDArray[np.float32]:
    """Power of each frequency (cell, frequency) of real samples, whose sum over both signs is a variance."""
    from scipy.fft import rfft

    taper = np.hanning(CELL_N + 1)[:-1].astype(np.float32)
    taper /= np.sqrt(np.float32(CELL_N * np.square(taper).sum()))
    spectrum = rfft(_cut_cells(np.asarray(x, np.float32)) * taper, axis=-1)
    power: NDArray[np.float32] = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power


def _smooth(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over three cells in time and three frequencies; those at the edges are repeated."""
    for part in (power, power.T):
        before = part[:-1] * np.float32(1 / 3)
        after = part[1:] * np.float32(1 / 3)
        edges = part[:1] * np.float32(1 / 3), part[-1:] * np.float32(1 / 3)
        part *= np.float32(1 / 3)
        part[1:] += before
        part[:-1] += after
        part[:1] += edges[0]
        part[-1:] += edges[1]
    return power
