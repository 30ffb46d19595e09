"""Scores of an estimate against the truth: dB, ratios and onset times, over the last axis of plain arrays.

Flat (constant) traces cause no warnings or errors. Each docstring states the score of a flat trace.
"""

import numpy as np

from geoae.arrays.types import Float64Array

FLOOR_DB, CEILING_DB = -50.0, 60.0
"""SI-SDR and SNR are clipped to this range, so that silence and perfect estimates have finite scores."""


def si_sdr_db(clean: Float64Array, estimate: Float64Array) -> Float64Array:
    r"""Scale-invariant signal-to-distortion ratio in dB, clipped to [-50, 60].

    .. math:: 10 \log_{10} \frac{|a s|^2}{|y - a s|^2}, \qquad a = \frac{y \cdot s}{s \cdot s}

    with s the clean and y the estimated trace, both with their mean removed. The score does not depend on the amplitude
    or offset of the estimate. A flat estimate or a flat clean trace gives -50.

    Parameters
    ----------
    clean, estimate
        Shape (..., time).

    References
    ----------
    Le Roux, Wisdom, Erdogan & Hershey (2019), SDR - half-baked or well done?, doi:10.1109/ICASSP.2019.8683855
    """
    reference, test = _remove_mean(clean), _remove_mean(estimate)
    energy = (reference**2).sum(axis=-1)
    scale = (test * reference).sum(axis=-1) / np.where(energy > 0, energy, 1.0)
    target = scale[..., None] * reference
    value = _ratio_db((target**2).sum(axis=-1), ((test - target) ** 2).sum(axis=-1))
    return np.clip(value, FLOOR_DB, CEILING_DB)


def snr_db(clean: Float64Array, estimate: Float64Array) -> Float64Array:
    r"""Signal-to-noise ratio in dB, :math:`10 \log_{10} (\mathrm{var}\,s / \mathrm{var}(y - s))`, clipped to [-50, 60].

    Unlike in `si_sdr_db`, a wrong amplitude counts as noise. An offset does not count. A flat clean trace gives -50.

    Parameters
    ----------
    clean, estimate
        Shape (..., time), same units.

    Examples
    --------
    >>> snr_db(np.array([2.0, -2.0]), np.array([2.2, -2.2])).round(9)
    np.float64(20.0)
    """
    return np.clip(_ratio_db(clean.var(axis=-1), (estimate - clean).var(axis=-1)), FLOOR_DB, CEILING_DB)


def snr_gain_db(clean: Float64Array, noisy: Float64Array, estimate: Float64Array) -> Float64Array:
    """Increase of `snr_db` from the noisy trace to the estimate, in dB. Shapes (..., time), same units."""
    return snr_db(clean, estimate) - snr_db(clean, noisy)


def sdr_db(clean: Float64Array, estimate: Float64Array, ceiling_db: float = 80.0) -> Float64Array:
    """Signal-to-distortion ratio in dB; errors of offset and amplitude count.

    Parameters
    ----------
    clean, estimate
        Shape (..., time), same units. A silent clean trace gives -50.
    ceiling_db
        Score of an estimate equal to `clean`.
    """
    value = _ratio_db((clean**2).sum(axis=-1), ((estimate - clean) ** 2).sum(axis=-1))
    return np.clip(value, FLOOR_DB, ceiling_db)


def power_reduction_db(before: Float64Array, after: Float64Array, limit_db: float = 80.0) -> Float64Array:
    """Reduction of the variance in dB, clipped to ±`limit_db`. Shapes (..., time). 0 if both traces are flat."""
    power_before, power_after = before.var(axis=-1), after.var(axis=-1)
    value = np.clip(_ratio_db(power_before, power_after), -limit_db, limit_db)
    return np.where((power_before == 0) & (power_after == 0), 0.0, value)


def correlation(clean: Float64Array, estimate: Float64Array) -> Float64Array:
    """Pearson's correlation coefficient; 0 if one of the traces is flat. Shapes (..., time)."""
    reference, test = _remove_mean(clean), _remove_mean(estimate)
    norm = np.sqrt((reference**2).sum(axis=-1) * (test**2).sum(axis=-1))
    value: Float64Array = (reference * test).sum(axis=-1) / np.where(norm > 0, norm, 1.0)
    return value


def peak_ratio(clean: Float64Array, estimate: Float64Array) -> Float64Array:
    """Largest deviation from the mean, estimate over clean: 1 if the peak is kept, NaN if the clean trace is flat.

    Parameters
    ----------
    clean, estimate
        Shape (..., time), same units.
    """
    peak, kept = (np.abs(_remove_mean(x)).max(axis=-1) for x in (clean, estimate))
    value: Float64Array = kept / np.where(peak > 0, peak, np.nan)
    return value


def aic_onset(trace: Float64Array, margin: int = 5) -> Float64Array:
    r"""Onset sample of Maeda's AIC picker: where the variance of a trace changes most.

    The onset is the k that minimises

    .. math:: k \log \mathrm{var}(x_{0 \ldots k-1}) + (n - k - 1) \log \mathrm{var}(x_{k \ldots n-1})

    Parameters
    ----------
    trace
        Shape (..., time); a window with one onset.
    margin
        Samples at either end that cannot be the onset.

    Returns
    -------
    Shape (...): index of the first sample after the change; NaN if the trace is silent, not finite, or has no sample
    between the margins.

    References
    ----------
    Maeda (1985), A method for reading and checking phase times in auto-processing system of seismic wave data,
    Zisin 38, 365-379
    """
    n = trace.shape[-1]
    k = np.arange(margin, n - margin)
    if not k.size:
        return np.full(trace.shape[:-1], np.nan)
    peak = np.abs(trace).max(axis=-1, keepdims=True)
    usable = np.isfinite(peak) & (peak > 0)
    x = np.where(usable, trace, 0.0) / np.where(usable, peak, 1.0)
    total, square = np.cumsum(x, axis=-1), np.cumsum(x**2, axis=-1)
    before = square[..., k - 1] / k - (total[..., k - 1] / k) ** 2
    after = (square[..., -1:] - square[..., k - 1]) / (n - k)
    after -= ((total[..., -1:] - total[..., k - 1]) / (n - k)) ** 2
    # the floor, relative to the peak, is the variance of a stretch of exact zeros
    aic = k * np.log(np.maximum(before, 1e-20)) + (n - k - 1) * np.log(np.maximum(after, 1e-20))
    return np.where(usable[..., 0], k[np.argmin(aic, axis=-1)], np.nan)


def spectral_misfit_db(clean: Float64Array, estimate: Float64Array, n_bands: int = 32) -> Float64Array:
    r"""Log-spectral distance in dB: root mean square over frequency of the difference of two log power spectra.

    .. math:: \sqrt{\frac{1}{B} \sum_b \left( 10 \log_{10} \frac{P_y(b)}{P_s(b)} \right)^2}

    P is the periodogram of the mean-free, Hann-tapered trace, averaged in B bands of equal width from 0 to Nyquist
    with a floor 100 dB below the strongest band of the clean trace. 0 for equal amplitude spectra; phase does not
    count.

    Parameters
    ----------
    clean, estimate
        Shape (..., time), same units. NaN if the clean trace is flat.
    n_bands
        Number of bands, at most the number of frequencies.

    References
    ----------
    Gray & Markel (1976), Distance measures for speech processing, doi:10.1109/TASSP.1976.1162849
    """
    power_clean, power_estimate = _band_power(clean, n_bands), _band_power(estimate, n_bands)
    strongest = power_clean.max(axis=-1, keepdims=True)
    floor = 1e-10 * np.where(strongest > 0, strongest, np.nan)
    difference = 10 * np.log10(np.maximum(power_estimate, floor) / np.maximum(power_clean, floor))
    value: Float64Array = np.sqrt((difference**2).mean(axis=-1))
    return value


def _remove_mean(trace: Float64Array) -> Float64Array:
    centred: Float64Array = trace - trace.mean(axis=-1, keepdims=True)
    return centred


def _ratio_db(signal: Float64Array, noise: Float64Array) -> Float64Array:
    """10 log10 of a ratio of powers: -inf without signal (with or without noise), +inf with signal but no noise."""
    is_finite = (signal > 0) & (noise > 0)
    ratio = np.log10(np.where(is_finite, signal, 1.0)) - np.log10(np.where(is_finite, noise, 1.0))
    return np.where(is_finite, 10 * ratio, np.where(signal > 0, np.inf, -np.inf))


def _band_power(trace: Float64Array, n_bands: int) -> Float64Array:
    """Mean periodogram of the mean-free, Hann-tapered trace in bands of equal width, (..., band)."""
    n = trace.shape[-1]
    power = np.abs(np.fft.rfft(_remove_mean(trace) * np.hanning(n), axis=-1)) ** 2
    edges = np.linspace(0, power.shape[-1], min(n_bands, power.shape[-1]) + 1).astype(int)
    summed = np.add.reduceat(power, edges[:-1], axis=-1)
    return np.asarray(summed / np.diff(edges), dtype=np.float64)
