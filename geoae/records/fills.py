"""Find samples that are no recording: gaps filled with a constant, and values that no sensor gives.

A sample is judged by its surroundings of `REACH_S` alone, so any part of a trace can be searched by itself. All
thresholds are relative to the samples around: the unit of the recording does not matter.
"""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

LONGEST_S = 60.0
"""A value that stays equal for so long is a fill, whatever the samples around it are."""
REACH_S = LONGEST_S + 8.0
"""Time on either side of a sample that decides whether it is a fill; short windows are longer at low rates."""
BLOCK = 16
"""Parts of a trace have to start at whole multiples of so many samples, to have the fills of the whole."""
_LONG_S, _LONG_N = 1.0, 50
"""Shortest run of a fill whose value lies among those of the samples around it."""
_NEXT_RUNS = 4
_FAR = (300.0, 10.0, 2.0)
"""Distance to the samples around, in their range, that makes a fill of 1 sample, of 2 or more, of 0.1 s or more."""


def find_fills(x: Array, rate_hz: float) -> NDArray[np.bool_]:
    """Mark the samples of a trace that fill gaps.

    These are values far from all samples around them, if they are repeated or a thousand times larger than the
    recording, and values that stay equal for a second or more in a recording that varies. Neither clipped peaks nor
    quiet recordings of few counts are marked.

    Parameters
    ----------
    x
        Samples along time; NaN in gaps.
    rate_hz
        Sampling rate.
    """
    fills = np.zeros(x.shape, bool)
    suspects = _find_suspects(x)
    if not suspects.any():
        return fills
    places, margin = np.flatnonzero(suspects), round(REACH_S * rate_hz) + 400
    for group in np.split(places, np.flatnonzero(np.diff(places) > margin // BLOCK) + 1):
        start = max(int(group[0]) * BLOCK - margin, 0)
        stop = int(group[-1] + 1) * BLOCK + margin
        fills[start:stop] |= _search(x[start:stop], rate_hz)
    fills &= np.repeat(suspects, BLOCK)[: len(x)]
    return fills


def _find_suspects(x: Array) -> NDArray[np.bool_]:
    """Blocks of `BLOCK` samples that may hold fills, with their neighbours: most blocks need no closer look.

    They hold five equal samples, or a jump that is far larger than all jumps in a block nearby.
    """
    n = -(-len(x) // BLOCK)
    if len(x) < 2:
        return np.zeros(n, bool)
    jumps = np.full(n * BLOCK, np.nan)
    np.abs(np.diff(x), out=jumps[1 : len(x)])
    same = jumps == 0
    same[3:] &= same[2:-1] & same[1:-2] & same[:-3]
    largest = np.fmax.reduce(jumps.reshape(n, BLOCK), axis=1)
    around = np.pad(largest, 2, constant_values=np.nan)
    usual = np.fmin.reduce([around[i : i + n] for i in range(5)], axis=0)
    suspects = np.asarray(same.reshape(n, BLOCK).any(axis=1) | (largest > _FAR[1] * usual))
    return np.convolve(suspects, np.ones(3), "same") > 0


def _search(x: Array, rate_hz: float) -> NDArray[np.bool_]:
    """Mark the fills of a part of a trace."""
    fills = np.zeros(x.shape, bool)
    changes = np.flatnonzero(x[1:] != x[:-1]) + 1
    starts, ends = np.concatenate([[0], changes]), np.concatenate([changes, [len(x)]])
    n = ends - starts
    long_n = max(round(_LONG_S * rate_hz), _LONG_N)
    longest_n = max(round(LONGEST_S * rate_hz), long_n)
    for i in np.flatnonzero(n >= long_n):
        a, b = int(starts[i]), int(ends[i])
        if np.isfinite(x[a]) and (b - a >= longest_n or _is_far(x, a, b, rate_hz) or _interrupts(x, a, b, rate_hz)):
            fills[a:b] = True
    for i in _find_outliers(x[starts], n, rate_hz, long_n):
        a, b = int(starts[i]), int(ends[i])
        if b - a < long_n and _is_far(x, a, b, rate_hz):
            fills[a:b] = True
    return fills


def find_quantum(x: Array) -> float:
    """Smallest difference between neighbours that are not equal, which is one count in whole numbers; 0 if all are."""
    differences = np.abs(np.diff(x[np.isfinite(x)]))
    positive = differences[differences > 0]
    return float(positive.min()) if positive.size else 0.0


def _far_factors(n: NDArray[np.intp], rate_hz: float) -> NDArray[np.float64]:
    """Distance to the samples around, in their range, that makes a run of n equal values a fill."""
    return np.where(n == 1, _FAR[0], np.where(n < max(5, round(0.1 * rate_hz)), _FAR[1], _FAR[2]))


def _find_outliers(values: Array, n: NDArray[np.intp], rate_hz: float, long_n: int) -> NDArray[np.intp]:
    """Numbers of the runs of equal samples that are far from the runs next to them. Few have to be looked at closer.

    `values` and `n` are the value and the number of samples of each run.
    """
    edge = np.full(_NEXT_RUNS + 1, np.nan)
    padded = np.concatenate([edge, values, edge])
    jumps = np.abs(np.diff(padded))  # entry i + _NEXT_RUNS lies between run i - 1 and run i
    before, after = (jumps[i : i + len(values)] for i in (_NEXT_RUNS, _NEXT_RUNS + 1))
    smallest = np.fmin(before, after)
    # most runs are one sample that is no spike
    runs = np.flatnonzero((smallest > 0) & ((n > 1) | ~(smallest <= jumps[_NEXT_RUNS - 1 :][: len(values)])))
    smallest, factor = smallest[runs], _far_factors(n[runs], rate_hz)
    far, count = np.ones(runs.size, bool), np.full(runs.size, np.inf)
    is_long = np.pad(n >= long_n, _NEXT_RUNS + 1)
    for way in (-1, 1):
        is_near = np.ones(runs.size, bool)
        at = runs + _NEXT_RUNS + 1  # in `padded`
        for i in range(1, _NEXT_RUNS + 1):
            # what lies behind a long run is too far away to be compared with
            is_near &= ~is_long[at + way * i]
            usual = np.where(is_near, jumps[at + way * i - (way < 0)], np.nan)
            count = np.fmin(count, usual)
            if i == 1:
                far &= ~(smallest <= factor * usual) | (padded[at + 2 * way] == values[runs])
    # among counts that take few values, one count is a large part of their range
    return runs[far & ~(smallest <= factor * count)]


def _is_far(x: Array, a: int, b: int, rate_hz: float) -> bool:
    """Whether the value of x[a:b] is far from all samples within about a second."""
    width = max(round(rate_hz), 32)
    factor = float(_far_factors(np.array(b - a), rate_hz))
    value, sides = x[a], _other_samples(x, a, b, width)
    for side in sides:
        if side.size:
            low, high = side.min(), side.max()
            distance = max(low - value, value - high)
            # counts that take few values have a range of at least one step
            if distance <= factor * (high - low + find_quantum(np.append(side, value))):
                return False
    return any(side.size >= 16 for side in sides)


def _interrupts(x: Array, a: int, b: int, rate_hz: float) -> bool:
    """Whether x[a:b], which is constant, lies in a recording that never stays constant, and is no clipped peak."""
    width = max(round(5 * rate_hz), 100)
    value, sides = x[a], [side for side in _other_samples(x, a, b, width) if side.size]
    if not sides or max(side.size for side in sides) < width // 4:
        return False
    for side in sides:
        steps = np.diff(side)
        spread = side.max() - side.min()
        if (steps == 0).mean() > 0.5 or spread < 16 * find_quantum(side):
            return False
    around = np.concatenate(sides)
    spread = around.max() - around.min()
    borders = [abs(x[i] - value) for i in (a - 1, b) if 0 <= i < len(x) and np.isfinite(x[i])]
    is_extreme = value >= around.max() or value <= around.min()
    return not (is_extreme and borders and min(borders) <= spread / 4)


def _other_samples(x: Array, a: int, b: int, width: int) -> list[Array]:
    """Samples before and after x[a:b] within `width`, without gaps and without its value, which may fill more gaps."""
    sides = x[max(a - width, 0) : a], x[b : b + width]
    return [side[np.isfinite(side) & (side != x[a])] for side in sides]
