"""Transients in the noise that a model removed from a window, which the noise of the record does not explain.

Records and removed noise are compared in octave bands. The lowest quarter of a band's local powers in the record, in
the window and in windows around it, is the level of the record's noise: events raise few of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

FRAME_N = 128
"""Samples of a frame, whose power is one local power: 1.28 s at 100 Hz."""
QUANTILE = 0.25
"""Fraction of local powers that are below the level of the noise."""
LIMIT = 50.0
"""A score of `score_transients` above this is a transient. Noise of 142 recorded stations exceeds it less than once an
hour; all recorded teleseisms 10 dB above the noise do that a model of local earthquakes took for noise."""
EXCESS = 4.0
"""Times the level of the noise that its local power may have: twice its amplitude."""
NEAR = (1.0, 10.0)
"""Ratios of power between which a signal is near the noise: 0 to 10 dB."""
_FRAMES = 10  # averaged: footsteps are shorter
_CLEAR = 16.0  # times the level in one band at least
_SHARE = 0.25  # of a transient's energy that has to be lost
_WHITENING = 0.7  # power of the level by which bands are divided: 0 for energy, 1 for the ratio to the noise
_FLOOR = 1e-8  # of the whole power: levels of bands without any noise, such as those above the Nyquist frequency


def measure_bands(x: Array, valid: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Local powers of windows in octave bands.

    Parameters
    ----------
    x
        Windows (..., time), without NaN.
    valid
        Which samples are no gaps; None: all.

    Returns
    -------
    array
        (..., band, frame): mean square around each frame of `FRAME_N` samples, from low to high frequencies. NaN in
        frames of which less than half is valid. Windows shorter than the cells of the lower bands have fewer bands.
    """
    if over := -x.shape[-1] % FRAME_N:
        width = [(0, 0)] * (x.ndim - 1) + [(0, over)]
        x = np.pad(x, width, mode="symmetric")
        valid = None if valid is None else np.pad(valid, width, mode="symmetric")
    n, n_frames = x.shape[-1], x.shape[-1] // FRAME_N
    unit = np.maximum(np.abs(x).max(-1, keepdims=True), np.finfo(np.float64).tiny).astype(np.float64)
    scaled = (x / unit).astype(np.float32)
    middles = (np.arange(n_frames) + 0.5) * FRAME_N
    rows: list[NDArray[np.float32]] = []
    for stage in _list_stages(n):
        powers = _measure_stage(scaled, stage)
        at = (middles - stage.cell / 2 * stage.step) / (stage.hop * stage.step)
        rows.append(powers[..., np.clip(np.rint(at), 0, powers.shape[-1] - 1).astype(int)])
    found = np.concatenate(rows, axis=-2).astype(np.float64)
    found *= np.square(np.clip(unit, 1e-150, 1e150))[..., None]  # squares stay within the range of float64
    if valid is not None and not valid.all():
        share = valid.reshape(*valid.shape[:-1], n_frames, -1).mean(-1)
        found[np.broadcast_to((share < 0.5)[..., None, :], found.shape)] = np.nan
    return found


def find_levels(powers: Array) -> NDArray[np.float64]:
    """Level of the noise in each band (..., band), from the local powers of a window (..., band, frame).

    It is NaN in windows without valid frames.
    """
    ordered = np.sort(powers, axis=-1)  # NaN sorts last
    n = np.isfinite(powers).sum(-1, keepdims=True)
    at = np.clip(np.floor(QUANTILE * (n - 1)), 0, None).astype(int)
    return np.asarray(np.take_along_axis(ordered, at, -1)[..., 0], np.float64)


def combine_levels(own: Array, others: Sequence[Array]) -> NDArray[np.float64]:
    """Level of the noise (..., band) of a window among others of the record.

    It is the lowest quarter of all of them, if that is below the window's own, which an event may fill.
    """
    if not others:
        return np.asarray(own, np.float64)
    around = find_levels(np.stack([own, *others], axis=-1))
    return np.asarray(np.fmin(own, around), np.float64)


def score_transients(before: Array, removed: Array, levels: Array) -> NDArray[np.float64]:
    """How far the removed noise rises above the noise of the record; above `LIMIT` it holds a transient.

    Parameters
    ----------
    before, removed
        Local powers (..., band, frame) of the record and of what was removed from it.
    levels
        Levels (..., band) of the record's noise.

    Returns
    -------
    array
        (...): the largest energy above `EXCESS` times the levels in some seconds, in units of the levels, where it is
        a quarter of the energy of the transient in the record or more; else 0.
    """
    level = np.nan_to_num(levels)
    level = np.maximum(level, _FLOOR * level.sum(-1, keepdims=True))[..., None]
    lost, whole = (_average(np.nan_to_num(part)) for part in (removed, before))
    over, over_whole = (np.maximum(part - EXCESS * level, 0.0) for part in (lost, whole))
    is_clear = (lost > _CLEAR * level).any(-2) & (over.sum(-2) > _SHARE * over_whole.sum(-2))
    weight = np.where(level > 0, level, np.inf) ** -_WHITENING
    energy = (over * weight).sum(-2) / np.maximum((level * weight).sum(-2), np.finfo(float).tiny)
    score: NDArray[np.float64] = np.where(is_clear, energy, 0.0).max(-1, initial=0.0)
    return score


def find_transients(x: Array, removed: Array, levels: Array | None = None) -> NDArray[np.bool_]:
    """Which windows (..., time) have lost a transient that the noise of the record does not explain.

    Parameters
    ----------
    x, removed
        Windows of the record, and the noise that was removed from them, without NaN.
    levels
        Levels of the record's noise (..., band) that `find_levels` and `combine_levels` gave; None: those of `x`.
    """
    before = measure_bands(x)
    levels = find_levels(before) if levels is None else levels
    return score_transients(before, measure_bands(removed), levels) > LIMIT


def find_period(before: Array, levels: Array, rate_hz: float) -> NDArray[np.float64]:
    """Dominant period in s of the transients in windows: of the mean octave of their energy.

    Parameters
    ----------
    before, levels
        Local powers of the record and levels of its noise, as of `score_transients`.
    rate_hz
        Sampling rate of the windows.

    Returns
    -------
    array
        (...); NaN where no energy is above `EXCESS` times the levels, or too little to be a transient.
    """
    level, whole = np.nan_to_num(levels)[..., None], _average(np.nan_to_num(before))
    energy = np.maximum(whole - EXCESS * level, 0.0).sum(-1)
    n_bands = energy.shape[-1]
    octaves = n_bands - 0.5 - np.arange(n_bands)  # below the Nyquist frequency
    total = energy.sum(-1)
    mean = (energy * octaves).sum(-1) / np.where(total > 0, total, 1.0)
    is_transient = score_transients(before, before, levels) > LIMIT
    return np.where(is_transient, 2.0 / rate_hz * 2.0**mean, np.nan)


def is_unlike(before: Array, levels: Array, periods_s: Sequence[float], rate_hz: float) -> NDArray[np.bool_]:
    """Which windows hold a transient whose dominant period is outside the range of the training events.

    `periods_s` is the shortest and the longest period, see `find_period`; if it is empty, no window is judged.
    """
    period = find_period(before, levels, rate_hz)
    if not periods_s:
        return np.zeros(period.shape, bool)
    shortest, longest = periods_s
    return (period < shortest) | (period > longest)


def is_near_noise(before: Array, removed: Array, levels: Array) -> NDArray[np.bool_]:
    """Which windows have a signal whose strongest second is near the noise in its band, between `NEAR`.

    Weaker signals count as none. Parameters are those of `score_transients`. The power of the signal is that of a gain
    g in each band, which leaves (1 - g)^2 of the power in the removed noise.
    """
    level = np.nan_to_num(levels)
    level = np.maximum(level, _FLOOR * level.sum(-1, keepdims=True))[..., None]
    amplitude = np.sqrt(np.nan_to_num(before)) - np.sqrt(np.nan_to_num(removed))
    ratio = np.square(np.maximum(amplitude, 0.0)) / np.maximum(level, np.finfo(float).tiny)
    strongest = np.where(level > 0, ratio, 0.0).max((-2, -1), initial=0.0)
    return (strongest > NEAR[0]) & (strongest < NEAR[1])


def limit_transients(removed: Array, levels: Array) -> NDArray[np.float64]:
    """Limit removed noise to the stationary noise of the record, in each band; smooth in time.

    Parameters
    ----------
    removed
        Windows (..., time) of the removed noise, without NaN.
    levels
        Levels (..., band) of the record's noise, see `find_levels`.

    Returns
    -------
    array
        The shape of `removed`. Each band is multiplied by min(1, L / P): P is its local power, and L is `EXCESS` times
        the level. So what is removed is at its largest where P is L, and falls beyond. Noise near its level is removed
        as before, and so is drift.
    """
    from scipy.fft import irfft, rfft

    n = removed.shape[-1]
    unit = np.clip(np.abs(removed).max(-1, keepdims=True), 1e-150, None).astype(np.float64)
    removed, levels = removed / unit, levels / np.square(np.clip(unit, None, 1e150))
    # mirrored at the ends, where a periodic band would begin with its end
    spectrum = rfft(np.concatenate([removed, removed[..., ::-1]], axis=-1), axis=-1)
    out = np.zeros(removed.shape)
    for j, mask in enumerate(_split_octaves(spectrum.shape[-1], levels.shape[-1])):
        band = irfft(spectrum * mask, 2 * n, axis=-1)[..., :n]
        if j:
            limit = EXCESS * np.nan_to_num(levels[..., j - 1, None])
            # two periods of the band's lowest frequency, if that is longer than a frame
            around = max(FRAME_N, 4 << (levels.shape[-1] - j + 1))
            power = _mean_around(np.square(band), around)
            gain = np.divide(limit, power, out=np.ones(band.shape), where=power > limit)
            band = band * _mean_around(gain, FRAME_N)
        out += band
    return out * unit


class _Stage(NamedTuple):
    """Cells of means over `step` samples, whose spectra give some of the bands."""

    step: int
    cell: int
    hop: int
    first: int
    """First bin of the lowest band; each band ends at twice its first bin."""
    n_bands: int


_STAGES = (_Stage(64, 32, 8, 1, 4), _Stage(8, 64, 32, 4, 3), _Stage(1, FRAME_N, FRAME_N, 8, 3))


def _list_stages(n: int) -> list[_Stage]:
    """Stages whose cells fit into windows of n samples, a multiple of `FRAME_N`."""
    return [stage for stage in _STAGES if stage.step * stage.cell <= n]


def _measure_stage(x: NDArray[np.float32], stage: _Stage) -> NDArray[np.float32]:
    """Powers (..., band, cell) of windows (..., time)."""
    from scipy.fft import rfft

    step, cell, hop, first, n_bands = stage
    if step > 1:
        k = x.shape[-1] // step
        x = x[..., : k * step].reshape(*x.shape[:-1], k, step).mean(-1)
    taper = np.hanning(cell + 2)[1:-1].astype(np.float32)
    spectrum = rfft(np.lib.stride_tricks.sliding_window_view(x, cell, axis=-1)[..., ::hop, :] * taper, axis=-1)
    bins = spectrum[..., first:]
    power = np.square(bins.real)
    power += np.square(bins.imag)
    edges = [(first << j) - first for j in range(n_bands)]
    summed: NDArray[np.float32] = np.add.reduceat(power, edges, axis=-1)
    return np.moveaxis(summed, -1, -2) * np.float32(2 / (cell * np.square(taper).sum()))


def _split_octaves(n: int, n_bands: int) -> NDArray[np.float64]:
    """Masks (1 + n_bands, n) of the drift and of the bands, for spectra of n frequencies; their sum is one."""
    octave = np.log2(np.arange(n) / max(n - 1, 1) + 1e-300) + n_bands  # band j lies between j and j + 1
    # steps between bands are smooth, over half an octave
    rise = np.array([0.5 + 0.5 * np.sin(np.pi * np.clip(2 * (octave - j), -0.5, 0.5)) for j in range(n_bands)])
    above = np.concatenate([np.ones((1, n)), rise, np.zeros((1, n))])
    return above[:-1] - above[1:]


def _average(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over `_FRAMES` frames."""
    return _mean_around(powers, _FRAMES)


def _mean_around(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Running mean of n samples, or of all, along the last axis; mirrored at the ends."""
    from scipy.ndimage import uniform_filter1d

    mean: NDArray[np.float64] = uniform_filter1d(x, min(n, x.shape[-1]), axis=-1, mode="reflect")
    return np.maximum(mean, 0.0)  # running sums of squares may round below zero
