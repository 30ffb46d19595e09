"""Resample between native rate and model rate by ratios of whole numbers, anchored to the record's first sample."""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from geoae.arrays.types import Array, Float64Array

ReadSpan = Callable[[int, int], Array]
"""(start, stop) -> samples (..., stop - start) of an array, with 0 <= start < stop <= length."""

_MANY = 8  # from this ratio on, products of blocks are faster than upfirdn
_PART = 32  # rows of a product
_ZERO_CROSSINGS = 16  # of the sinc on either side: a transition band of about a tenth of the Nyquist frequency


def resampling_ratio(native_hz: float, model_hz: float, tolerance: float = 0.01) -> tuple[int, int]:
    """Smallest (up, down) with native_hz * up / down within `tolerance` of model_hz.

    An error of a hundredth does not matter to a net: 99.98 Hz is used as 100 Hz, without resampling.

    Examples
    --------
    >>> resampling_ratio(62.5, 100.0), resampling_ratio(99.98, 100.0), resampling_ratio(200.0, 100.0)
    ((8, 5), (1, 1), (1, 2))
    """
    exact = Fraction(model_hz) / Fraction(native_hz)
    for denominator in range(1, 10_000):
        best = Fraction(round(exact * denominator), denominator)
        if best > 0 and abs(float(best / exact) - 1) <= tolerance:
            return best.numerator, best.denominator
    whole = exact.limit_denominator(10_000)
    return max(whole.numerator, 1), whole.denominator


def resampled_length(n: int, up: int, down: int) -> int:
    """Number of output samples within the time from the first to the last of `n` input samples, both included."""
    return -(-(n - 1) * up // down) + 1


def find_input_span(up: int, down: int, start: int, stop: int) -> tuple[int, int]:
    """Input samples (first, last + 1) that `resample_region` asks for, before they are cut at the ends of the array."""
    if up == down:
        return start, stop
    reach = _design_filter(up, down)[1] // up + 1
    # twice the reach more than the filter needs: every region then contains both ends of a short gap and fills it alike
    first = (start * down) // up - 3 * reach
    return first - first % down, ((stop - 1) * down) // up + 3 * reach + 1


def keep_last_block(read: ReadSpan) -> ReadSpan:
    """Keep the last block in memory: the net reads a region with its halo, and then the region itself."""
    last: list[Any] = [0, 0, None]

    def read_kept(start: int, stop: int) -> Array:
        if last[2] is None or start < last[0] or stop > last[1]:
            last[:] = start, stop, read(start, stop)
        block: Array = last[2][..., start - last[0] : stop - last[0]]
        return block

    return read_kept


def to_float64(x: Array) -> Float64Array:
    """Samples as float64. Signalling NaN, which damaged files hold, is NaN without a warning."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x, dtype=np.float64)


def resample_region(read: ReadSpan, n: int, up: int, down: int, start: int, stop: int) -> NDArray[np.float64]:
    """Samples [start, stop) of an array of `n` samples at `up / down` times its rate.

    Output sample k lies at input position k * down / up, for every region. The filter is a windowed sinc (Kaiser, beta
    8), limited to the lower of the two Nyquist frequencies. In gaps (NaN) and beyond the ends, samples are continued by
    reflection; an output sample is NaN where the nearest input sample is.
    """
    if up == down:
        return to_float64(read(start, stop))
    from scipy.signal import upfirdn  # imported here because loading takes longer than resampling an hour of data

    taps, half = _design_filter(up, down)
    reach = half // up + 1
    first, last = find_input_span(up, down, start, stop)
    a, b = max(first, 0), min(last, n)
    x = to_float64(read(a, b))
    if (a, b) != (first, last):
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(a - first, last - b)], constant_values=np.nan)
    valid = np.isfinite(x)
    filled = x if valid.all() else _fill_where_needed(x, valid, reach)
    offset = (half - first * up) // down  # output sample k of the whole array is sample k + offset of this block
    span = slice(start + offset, stop + offset)
    if up == 1 and down >= _MANY:
        y = _decimate(taps, filled, down, span)
    elif down == 1 and up >= _MANY:
        y = _interpolate(taps, filled, up, span)
    else:
        y = upfirdn(taps, filled, up, down, axis=-1)[..., span]
    if not valid.all():
        nearest = (2 * np.arange(start, stop) * down + up) // (2 * up) - first
        inside = np.clip(nearest, a - first, b - first - 1)  # the last sample may lie just after the end
        y[~valid[..., inside]] = np.nan
    return np.ascontiguousarray(y)


@lru_cache(maxsize=32)
def _design_filter(up: int, down: int) -> tuple[NDArray[np.float64], int]:
    """Taps of the filter at `up` times the input rate, and the index of the middle one."""
    from scipy.signal import firwin

    half = _ZERO_CROSSINGS * max(up, down)
    half = -(-half // down) * down  # whole output samples, so that a block starts on an output sample
    taps = firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 8.0)) * up
    # every phase must keep straight lines unchanged: change the taps least, so that their sum is one and their first
    # moment zero
    distance = np.arange(-half, half + 1) / up
    weight = np.kaiser(2 * half + 1, 8.0)
    for phase in range(up):
        h, u, w = taps[phase::up], distance[phase::up], weight[phase::up]
        moments = np.array([[w.sum(), (w * u).sum()], [(w * u).sum(), (w * u * u).sum()]])
        a, b = np.linalg.solve(moments, [1 - h.sum(), -(h * u).sum()])
        taps[phase::up] += w * (a + b * u)
    return taps, half


def _decimate(taps: Array, x: Array, down: int, span: slice) -> Array:
    """Samples `span` of ``upfirdn(taps, x, 1, down)``, several times faster: products of blocks of `down` samples."""
    blocks = np.pad(taps[::-1], (0, -len(taps) % down)).reshape(-1, down)
    first = span.start * down - len(taps) + 1  # of the samples that the first output needs
    n = span.stop - span.start
    wanted = x[..., first : first + (n + len(blocks) - 1) * down]  # x reaches farther than the filter
    parts = _multiply(wanted.reshape(*x.shape[:-1], -1, down), np.ascontiguousarray(blocks.T))
    return np.asarray(sum(parts[..., b : b + n, b] for b in range(len(blocks))))


def _interpolate(taps: Array, x: Array, up: int, span: slice) -> Array:
    """Samples `span` of ``upfirdn(taps, x, up, 1)``, several times faster: the same input for `up` outputs."""
    phases = np.pad(taps, (0, -len(taps) % up)).reshape(-1, up)[::-1]
    first, last = span.start // up, -(-span.stop // up)
    wanted = sliding_window_view(x[..., first - len(phases) + 1 : last], len(phases), -1)
    y = _multiply(wanted, np.ascontiguousarray(phases)).reshape(*x.shape[:-1], -1)
    return y[..., span.start - first * up : span.stop - first * up]


def _multiply(x: Array, matrix: Array) -> Array:
    """Product of (..., k, n) and (n, m), in parts so small that BLAS uses one thread."""
    k, lead = x.shape[-2], x.shape[:-2]
    n_parts, out = k // _PART, np.empty((*x.shape[:-1], matrix.shape[1]))
    whole = n_parts * _PART
    if whole:
        grouped = x[..., :whole, :].reshape(*lead, n_parts, _PART, x.shape[-1])
        out[..., :whole, :] = (grouped @ matrix).reshape(*lead, whole, matrix.shape[1])
    if whole < k:
        out[..., whole:, :] = x[..., whole:, :] @ matrix
    return out


def _fill_where_needed(x: NDArray[np.float64], valid: NDArray[np.bool_], reach: int) -> NDArray[np.float64]:
    """As `_fill`, which is applied to the parts of `x` around missing samples."""
    missing = np.flatnonzero(~valid.all(axis=tuple(range(x.ndim - 1))))
    filled = x.copy()
    for group in np.split(missing, np.flatnonzero(np.diff(missing) > 2 * reach + 2) + 1):
        part = slice(max(int(group[0]) - reach - 1, 0), int(group[-1]) + reach + 2)
        filled[..., part] = _fill(x[..., part], valid[..., part], reach)
    return filled


def _fill(x: NDArray[np.float64], valid: NDArray[np.bool_], reach: int) -> NDArray[np.float64]:
    """Fill NaN by point reflection at the nearest sample, with a crossfade in short gaps; 0 beyond `reach`.

    Point reflection continues a straight line, so trends have no kinks at gaps and ends.
    """
    n = x.shape[-1]
    index = np.arange(n)
    left = np.maximum.accumulate(np.where(valid, index, -n - reach), axis=-1)
    right = np.minimum.accumulate(np.where(valid, index, 2 * n + reach)[..., ::-1], axis=-1)[..., ::-1]
    is_near_left, is_near_right = index - left <= reach, right - index <= reach
    from_left, from_right = _reflect(x, valid, left, index), _reflect(x, valid, right, index)
    both = (right - index) / np.maximum(right - left, 1)
    weight = np.where(is_near_left & is_near_right, both, is_near_left)
    fill = np.where(is_near_left, weight * from_left, 0.0) + np.where(is_near_right, (1 - weight) * from_right, 0.0)
    return np.where(valid, x, fill)


def _reflect(x: NDArray[np.float64], valid: NDArray[np.bool_], at: NDArray[np.intp], index: NDArray[np.intp]) -> Array:
    """2 x[at] - x[2 at - index], or x[at] where the second of these samples is missing."""
    n = x.shape[-1]
    partner = 2 * at - index
    inside = (partner >= 0) & (partner < n)
    partner = np.clip(partner, 0, n - 1)
    edge = np.take_along_axis(x, np.clip(at, 0, n - 1), -1)
    is_there = inside & np.take_along_axis(valid, partner, -1)
    return np.where(is_there, 2 * edge - np.take_along_axis(x, partner, -1), edge)
