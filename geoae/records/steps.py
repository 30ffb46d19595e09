"""Find steps: jumps of the level that stay, as of a mass position, a gain switch of an amplifier, or beside a gap.

A step is judged by its surroundings of `REACH_S` alone, so any part of a trace can be searched by itself.
"""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.records.fills import find_quantum

WIDTH_S, WIDTH_GAP_S, GAP_S = 2.0, 10.0, 30.0
"""Time on either side that has to stay at its level, the same beside a gap, and the longest gap with a step."""
REACH_S = WIDTH_GAP_S + GAP_S + 5.0
"""Time on either side of a sample that decides whether there is a step."""
_CLEAR = 1.0
"""Distance between the ranges of the samples before and after, relative to the wider range."""


def find_steps(x: Array, rate_hz: float) -> list[tuple[int, float]]:
    """First sample after each step, and its height.

    The samples of two seconds before and after have to lie at levels that are clearly apart, with a jump between them
    of a few hundredths of a second: oscillations, onsets of earthquakes, spikes and drift do none of it. Across a gap
    of up to `GAP_S` the levels have to hold for longer.

    Parameters
    ----------
    x
        Samples along time; NaN in gaps.
    rate_hz
        Sampling rate.
    """
    valid = np.isfinite(x)
    found = _find_sharp(x, valid, rate_hz)
    if not valid.all():
        found += _find_across_gaps(x, valid, rate_hz)
    return sorted(found)


def _find_sharp(x: Array, valid: Array, rate_hz: float) -> list[tuple[int, float]]:
    """Steps between two samples, or within a few."""
    width, blur = max(round(WIDTH_S * rate_hz), 100), max(round(0.02 * rate_hz), 1)
    if len(x) < 2 * (width + blur):
        return []
    places = _find_places(x, valid, width, blur)
    margin = 3 * width + 2 * blur
    found = []
    for group in np.split(places, np.flatnonzero(np.diff(places) > 2 * margin) + 1):
        if group.size:
            start, stop = max(int(group[0]) - margin, 0), int(group[-1]) + 2 * margin
            part = _search_sharp(x[start:stop], valid[start:stop], width, blur)
            found += [(start + at, height) for at, height in part]
    return found


def _find_places(x: Array, valid: Array, width: int, blur: int) -> NDArray[np.intp]:
    """First samples of the windows before a step, nearly: where extremes of whole blocks lie apart."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    block, n = 16, -(-len(x) // 16)
    extremes = []
    for empty, reduce, roll in ((-np.inf, np.max, maximum_filter1d), (np.inf, np.min, minimum_filter1d)):
        padded = np.full(n * block, empty)
        padded[: len(x)] = x if valid.all() else np.where(valid, x, empty)
        inside = width // block - 1  # blocks that lie inside of a window, wherever it starts
        extremes.append(roll(reduce(padded.reshape(n, block), axis=1), inside, mode="nearest", origin=-(inside // 2)))
    top, low = extremes
    places = np.zeros(n, bool)
    for shift in ((width + 2 * blur) // block, (width + 2 * blur) // block + 1):
        (top_a, low_a), (top_b, low_b) = ((e[: n - shift], f[: n - shift]) if i == 0 else (e[shift:], f[shift:])
                                          for i, (e, f) in enumerate(((top, low), (top, low))))  # fmt: skip
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.maximum(low_b - top_a, low_a - top_b)
            places[: n - shift] |= ~(apart <= _CLEAR * np.maximum(top_a - low_a, top_b - low_b))
    return np.flatnonzero(places) * block


def _search_sharp(x: Array, valid: Array, width: int, blur: int) -> list[tuple[int, float]]:
    """Steps in a part of a trace."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    whole = bool(valid.all())
    # origin moves the window so that entry i holds the samples i ... i + width - 1
    origin = -(width // 2)
    top = maximum_filter1d(x if whole else np.where(valid, x, -np.inf), width, mode="nearest", origin=origin)
    bottom = minimum_filter1d(x if whole else np.where(valid, x, np.inf), width, mode="nearest", origin=origin)
    shift = width + 2 * blur  # the samples before start at i, those after at i + shift
    n = len(x) - shift - width + 1
    if n <= 0:
        return []
    (top_a, low_a), (top_b, low_b) = ((top[i : i + n], bottom[i : i + n]) for i in (0, shift))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.maximum(low_b - top_a, low_a - top_b)
        clear = apart > _CLEAR * np.maximum(top_a - low_a, top_b - low_b)
    if not whole:
        count = np.concatenate([[0], np.cumsum(valid)])
        full = (count[width:] - count[:-width]) > width // 2
        clear &= full[:n] & full[shift : shift + n]
    steps: list[tuple[int, float]] = []
    places = np.flatnonzero(clear)
    for group in np.split(places, np.flatnonzero(np.diff(places) > width) + 1):
        if not group.size:
            continue
        first, last = int(group[0]) + width - 1, int(group[-1]) + shift
        jump = np.abs(np.diff(x[first : last + 1]))
        if not np.isfinite(jump).all():
            continue  # there is a gap
        at = first + 1 + int(np.argmax(jump))
        # a recorder's filter makes a step of some samples
        sides = (
            np.abs(np.diff(x[max(at - blur - width, 0) : at - blur])),
            np.abs(np.diff(x[at + blur : at + blur + width])),
        )
        usual = max(float(np.nanmax(side, initial=0.0)) for side in sides)
        others = np.delete(np.abs(np.diff(x[at - blur - 1 : at + blur + 1])), blur)
        margin = 0 if np.nanmax(others, initial=0.0) <= usual else blur
        before, after = x[max(at - margin - width, 0) : at - margin], x[at + margin : at + margin + width]
        height = _measure(before, after, 2 * margin)
        if abs(height) > 4 * find_quantum(np.concatenate([before, after])):
            steps.append((at, height))
    return steps


def _find_across_gaps(x: Array, valid: Array, rate_hz: float) -> list[tuple[int, float]]:
    """Steps between the samples before and after a gap."""
    width, longest = max(round(WIDTH_GAP_S * rate_hz), 200), round(GAP_S * rate_hz)
    edges = np.flatnonzero(np.diff(valid.astype(np.int8)))
    steps = []
    for first, last in zip(edges[:-1] + 1, edges[1:] + 1, strict=True):
        if valid[first] or last - first > longest:
            continue
        before, after = x[max(first - width, 0) : first], x[last : last + width]
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        if min(before.size, after.size) < width // 4:
            continue
        apart = max(after.min() - before.max(), before.min() - after.max())
        spread = max(np.ptp(before), np.ptp(after))
        # a trend goes on in the gap
        if apart > _CLEAR * spread * (1 + (last - first) / width) + 4 * find_quantum(np.concatenate([before, after])):
            steps.append((int(last), _measure(before, after, int(last - first))))
    return steps


def _measure(before: Array, after: Array, between: int) -> float:
    """Height of a step: difference between means of as many samples as give the smallest error.

    Means of many samples are disturbed by slow signals, means of few by noise. The error is that of the same difference
    where there is no step. `between` samples lie between the two sides.
    """
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    size = min(before.size, after.size)
    between = min(between, size // 2)
    best, height, n = np.inf, float(after[0] - before[-1]), 1
    while n == 1 or 4 * n + between <= size:
        error = np.sqrt(np.mean([_difference_of_means(side, n, between) for side in (before, after)]))
        if error < best:
            best, height = error, float(after[:n].mean() - before[-n:].mean())
        n *= 2
    return height


def _difference_of_means(x: Array, n: int, between: int) -> float:
    """Mean square of the differences between means of n samples and of n others, `between` samples later."""
    sums = np.concatenate([[0.0], np.cumsum(x - x.mean())])
    means = (sums[n:] - sums[:-n]) / n
    lag = n + between
    return float(np.square(means[lag:] - means[:-lag]).mean())
