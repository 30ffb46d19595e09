"""What amplitudes are after denoising: of P, of the largest motion, of an event's peak beyond noise, and in bands."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import welch

from geoae.arrays.types import Float64Array
from geoae.records.baselines import band_pass

P_S, EVENT_S = 2.0, 20.0
"""Seconds from P in which the amplitude of P and the largest amplitude of the event are read."""
MAGNITUDE_UNITS = 0.2
"""A ratio is off if its decimal logarithm is further from 0 than this."""
WIDTH_HZ = 2.0
"""Width of the bands in which energy is compared, Hz."""

_SEGMENT_S = 2.56
_FLOOR = 1e-12  # of the power of the whole trace: less is the rounding of single precision
_PEAK_S, _PEAK_N = 1.0, 20


def compare_amplitudes(
    clean: Float64Array, result: Float64Array, p: npt.NDArray[np.int64], rate_hz: float = 100.0
) -> tuple[Float64Array, Float64Array]:
    """Amplitude ratios, result over clean, of P on the vertical component and of the largest motion on each component.

    Both traces are band-passed from 1 to 20 Hz first, as for local magnitudes, so that noise outside this band does
    not count. P is the largest deviation in 2 s from the arrival, the largest motion that in 20 s.

    Parameters
    ----------
    clean, result
        Shape (record, component, time), components E N Z, same units.
    p
        Samples of the P arrivals, shape (record,).

    Returns
    -------
    Ratios of P, shape (record,), and of the largest motion, shape (record, component). NaN where the clean trace is
    silent.
    """
    banded = [np.abs(band_pass(x, rate_hz)) for x in (clean, result)]
    ratios = []
    for seconds in (P_S, EVENT_S):
        n = round(seconds * rate_hz)
        clean_peak, peak = (
            np.stack([x[..., i : i + n].max(axis=-1) for x, i in zip(b, p, strict=True)]) for b in banded
        )
        ratios.append(peak / np.where(clean_peak > 0, clean_peak, np.nan))
    return ratios[0][:, 2], ratios[1]


def is_off(ratio: Float64Array) -> npt.NDArray[np.bool_]:
    """Whether amplitude ratios are off by more than 0.2 magnitude units; a ratio of 0 is off."""
    return np.abs(np.log10(np.maximum(ratio, 1e-30))) > MAGNITUDE_UNITS


def compare_bands(before: Float64Array, after: Float64Array, rate_hz: float = 100.0) -> Float64Array:
    r"""Change of energy in bands of 2 Hz from 0 Hz to Nyquist, in dB: positive where energy was added.

    Powers are averages of Hann-tapered segments of 2.56 s (Welch). Power below :math:`10^{-12}` of that of the whole
    trace `before` counts as this floor.

    Parameters
    ----------
    before, after
        Shape (..., time), same units.

    Returns
    -------
    Shape (..., band); 0 where both traces are flat.
    """
    n = before.shape[-1]
    powers = []
    for x in (before, after):
        frequency_hz, power = welch(x, rate_hz, nperseg=min(n, round(_SEGMENT_S * rate_hz)), axis=-1)
        n_bands = max(1, int(rate_hz / 2 / WIDTH_HZ))
        edges = np.searchsorted(frequency_hz, WIDTH_HZ * np.arange(n_bands))
        powers.append(np.add.reduceat(power, edges, axis=-1))
    floor = np.maximum(_FLOOR * powers[0].sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(10 * np.log10(np.maximum(powers[1], floor) / np.maximum(powers[0], floor)), dtype=np.float64)


class Peak(NamedTuple):
    """The peak of an event and what is left of it."""

    kept: float
    """Amplitude of the peak beyond noise, result over reference; 1: the peak is kept. NaN for a silent reference."""
    snr_db: float
    """The peak of the reference over its noise, dB; infinite without noise."""


def measure_peak(reference: Float64Array, result: Float64Array, p: int | None, rate_hz: float = 100.0) -> Peak:
    r"""Measure how much of an event's peak a result keeps.

    With :math:`e(t)` the mean square of all components in a window of 1 s (20 samples where these are longer) around
    t, :math:`t_0` the time from P on at which that of the reference is largest, and :math:`e_n` the median of e before
    P, the peak kept is

    .. math:: \sqrt{\max(e(t_0) - e_n, 0)_\mathrm{result} / (e(t_0) - e_n)_\mathrm{reference}}

    Parameters
    ----------
    reference, result
        Shape (component, time), same units: the event as recorded, or clean, and the denoised event.
    p
        Sample of the P arrival; None: unknown. Then, and if P comes within two windows of the start, the noise is the
        20 % quantile of e, and :math:`t_0` lies anywhere.
    """
    width = min(max(round(_PEAK_S * rate_hz), _PEAK_N), reference.shape[-1])
    before, after = (_local_power(x, width) for x in (reference, result))
    if p is not None and p >= 2 * width:
        start, quiet, quantile = p - width // 2, slice(0, p - width), 0.5
    else:
        start, quiet, quantile = 0, slice(None), 0.2
    peak = start + int(np.argmax(before[start:]))
    noise_before, noise_after = (float(np.quantile(x[quiet], quantile)) for x in (before, after))
    size = float(before[peak]) - noise_before
    kept = np.sqrt(max(float(after[peak]) - noise_after, 0.0) / size) if size > 0 else np.nan
    snr_db = 10 * np.log10(before[peak] / noise_before) if noise_before > 0 else np.inf
    return Peak(float(kept), float(snr_db))


def _local_power(x: Float64Array, width: int) -> Float64Array:
    """Mean square over the components in windows of `width` samples, (time - width + 1,)."""
    power = ((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=0)
    return np.asarray(np.convolve(power, np.full(width, 1 / width), mode="valid"), dtype=np.float64)
