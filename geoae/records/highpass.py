"""High-pass records before they are denoised, with zero phase. Any region can be filtered by itself.

The filter is one less a low-pass, a windowed sinc (Kaiser, beta 8) that is symmetrical. At the corner frequency F its
gain is a half. Up to 0.7 F it is below 0.001, up to 0.6 F below 0.0001, and straight lines vanish. From 1.3 F on it
is one, within 0.001.

Gaps, and the times before and after the record, are filled for the filter: on each side the samples are reflected at a
point, the end of a parabola through the last samples. So neither a trend nor a slow wave rings next to a gap.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array, Float64Array
from geoae.errors import InputError, SamplingRateError
from geoae.records.resample import ReadSpan, to_float64

_PERIODS = 4.0  # of the corner frequency: half the length of the filter
_BETA = 8.0  # of the Kaiser window
_END_PERIODS = 0.75  # of the corner frequency: samples that tell the level at the edge of a gap
_LONGEST_N = 1 << 20  # samples of half a filter: regions are read with three times as many on either side


def check_highpass(highpass_hz: float, rate_hz: float, what: str) -> None:
    """Raise an error if a record sampled at `rate_hz` cannot be high-passed. `what` names the record.

    Raises
    ------
    SamplingRateError
        The corner frequency is not below the Nyquist frequency.
    InputError
        It is so low that the filter is too long.
    """
    if highpass_hz >= rate_hz / 2:
        raise SamplingRateError(
            f"{what} is sampled at {rate_hz:g} Hz; a high-pass at {highpass_hz:g} Hz has to lie below half of that, "
            f"{rate_hz / 2:g} Hz"
        )
    if _PERIODS * rate_hz / highpass_hz > _LONGEST_N:
        raise InputError(
            f"{what} is sampled at {rate_hz:g} Hz; the lowest high-pass is {_PERIODS * rate_hz / _LONGEST_N:.2g} Hz "
            f"at that rate, not {highpass_hz:g} Hz"
        )


def highpass_region(read: ReadSpan, n: int, rate_hz: float, highpass_hz: float, start: int, stop: int) -> Float64Array:
    """Samples [start, stop) of a high-passed record, (row, stop - start); NaN in its gaps.

    Parameters
    ----------
    read
        (start, stop) -> samples (row, stop - start) of the record, NaN in gaps.
    n, rate_hz
        Samples of the whole record, and its sampling rate.
    highpass_hz
        Corner frequency, see `check_highpass`.
    start, stop
        The region. The result does not depend on it, up to rounding.
    """
    from scipy.signal import oaconvolve  # imported here because loading takes longer than the filter

    cycle = rate_hz / highpass_hz
    reach = max(round(_PERIODS * cycle), 1)
    # three times what the filter needs: every region then contains both sides of a gap, and fills it alike
    a, b = max(start - 3 * reach, 0), min(stop + 3 * reach, n)
    first, last = start - reach, stop + reach
    x = np.pad(to_float64(read(a, b)), [(0, 0), (max(a - first, 0), max(last - b, 0))], constant_values=np.nan)
    origin, taps = min(a, first), _design_lowpass(highpass_hz / rate_hz, reach)
    out = np.full((len(x), stop - start), np.nan)
    for row, samples in zip(out, x, strict=True):
        own = samples[start - origin : stop - origin]
        valid = np.isfinite(own)
        if valid.any():
            level = own[np.argmax(valid)]  # a large offset would cost digits
            filled = extend_into_gaps(samples - level, reach, max(round(_END_PERIODS * cycle), 4))
            with np.errstate(over="ignore", invalid="ignore"):  # values near the largest of float64 become gaps
                low = oaconvolve(filled[first - origin : last - origin], taps, mode="valid")
                row[valid] = (own - level - low)[valid]
    return out


def extend_into_gaps(x: Array, reach: int, end_n: int) -> Float64Array:
    """Fill the gaps (NaN) of a trace, up to `reach` samples from its finite samples; 0 farther away.

    The samples beside a gap are reflected at a point: the end of the parabola that is fitted to the last `end_n` of
    them. Within a gap, weights of the two sides change linearly.
    """
    valid = np.isfinite(x)
    if valid.all():
        return to_float64(x)
    filled = np.where(valid, x, 0.0)
    edges = np.flatnonzero(np.diff(valid, prepend=True, append=True)).reshape(-1, 2)
    for first, last in edges.tolist():
        n, k = last - first, np.arange(1, last - first + 1)
        left = _continue(x[:first], min(reach, n), end_n)
        right = _continue(x[last:][::-1], min(reach, n), end_n)
        is_left, is_right = k <= len(left), k > n - len(right)
        share = np.where(is_left & is_right, 1 - k / (n + 1), is_left)
        gap = filled[first:last]
        gap[: len(left)] += share[: len(left)] * left
        gap[n - len(right) :] += (1 - share[n - len(right) :]) * right[::-1]
    return filled


def _continue(x: Array, n: int, end_n: int) -> Float64Array:
    """The n samples after a trace, whose last sample is finite, by point reflection; none after an empty one."""
    if not len(x):
        return np.zeros(0)
    end = x[-end_n:]
    valid = np.isfinite(end)
    # few samples tell no trend
    basis = _make_parabola(end_n)[: 3 if valid.sum() > max(end_n // 2, 3) else 1, -len(end) :]
    known = basis * valid
    # einsum, not @: BLAS would start threads of its own
    moments, sums = np.einsum("it,jt->ij", known, basis), np.einsum("it,t->i", known, np.where(valid, end, 0.0))
    level = float(np.linalg.solve(moments, sums)[0])
    mirrored = x[max(len(x) - 1 - n, 0) : -1][::-1]
    mirrored = np.pad(mirrored, (0, n - len(mirrored)), constant_values=np.nan)
    return 2 * level - np.where(np.isfinite(mirrored), mirrored, level)


@lru_cache(maxsize=8)
def _make_parabola(n: int) -> NDArray[np.float64]:
    """Powers 0, 1 and 2 (3, n) of the time of the last n samples, from -1 up to 0, the time of the last one."""
    return np.ascontiguousarray(np.vander(np.arange(1 - n, 1) / n, 3, increasing=True).T)


@lru_cache(maxsize=8)
def _design_lowpass(corner: float, reach: int) -> NDArray[np.float64]:
    """Taps of the low-pass whose corner is a fraction `corner` of the sampling rate; their sum is one."""
    k = np.arange(-reach, reach + 1)
    taps = np.sinc(2 * corner * k) * np.kaiser(2 * reach + 1, _BETA)
    normalised: NDArray[np.float64] = taps / taps.sum()
    return normalised
