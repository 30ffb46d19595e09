"""Denoisers without training, the baselines of a model: doing nothing, a band-pass, and STFT Wiener filters.

Each takes traces (..., time) and returns the same shape. Each trace is filtered by itself.
"""

import numpy as np
from scipy.signal import ShortTimeFFT, butter, sosfilt
from scipy.signal.windows import hann

from geoae.arrays.types import Float64Array

_NOISE_QUANTILE = 0.3
# the power of Gaussian noise in one STFT bin is exponentially distributed: its quantile q lies at -log(1 - q) means
_QUANTILE_OVER_MEAN = 0.3567


def do_nothing(traces: Float64Array) -> Float64Array:
    """Return the traces unchanged: the baseline that any method has to beat."""
    return traces


def band_pass(
    traces: Float64Array, rate_hz: float = 100.0, low_hz: float = 1.0, high_hz: float = 20.0, corners: int = 4
) -> Float64Array:
    """Butterworth band-pass, run forwards and backwards: no phase shift, twice the corners.

    Samples before the first and after the last count as zero; there is no padding. This is the filter of ObsPy's
    ``filter("bandpass", zerophase=True)``.

    Parameters
    ----------
    traces
        Shape (..., time).
    rate_hz, low_hz, high_hz
        Sampling rate and corner frequencies in Hz; 0 < low < high < rate / 2.
    """
    sos = butter(corners, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    forwards = sosfilt(sos, traces, axis=-1)
    return np.asarray(sosfilt(sos, forwards[..., ::-1], axis=-1)[..., ::-1], dtype=np.float64)


def stft_wiener(
    traces: Float64Array, noise_n: int | None = None, window_n: int = 100, hop_n: int = 25, smoothing: float = 0.9
) -> Float64Array:
    r"""Wiener filter in the time-frequency plane, with the decision-directed estimate of the a priori SNR.

    Frame by frame, with :math:`\gamma` the power in a bin over the noise power at its frequency and G the gain,

    .. math::

        \xi_t = \alpha G_{t-1}^2 \gamma_{t-1} + (1 - \alpha) \max(\gamma_t - 1, 0), \qquad
        G_t = \max\left(\frac{\xi_t}{1 + \xi_t}, 0.05\right)

    Parameters
    ----------
    traces
        Shape (..., time).
    noise_n
        The noise spectrum is estimated from the first `noise_n` samples. None: it is estimated from the 30 % quantile
        of the power over time, which assumes that most of the trace is noise.
    window_n, hop_n
        Length and step of the Hann windows in samples (1 s and 0.25 s at 100 Hz); the step at most half the length.
    smoothing
        Weight :math:`\alpha` of the previous frame.

    References
    ----------
    Ephraim & Malah (1984), Speech enhancement using a minimum mean-square error short-time spectral amplitude
    estimator, doi:10.1109/TASSP.1984.1164453
    """
    n, n_frames = traces.shape[-1], -(-traces.shape[-1] // hop_n) + 1
    transform = ShortTimeFFT(hann(window_n, sym=False), hop_n, fs=1.0, phase_shift=None)
    # frame t is centred on sample t * hop; outside the trace samples are zero
    spectrum = transform.stft(_pad_zeros(traces, window_n))
    inside = slice(-transform.p_min, n_frames - transform.p_min)
    power = np.abs(spectrum[..., inside]) ** 2
    if noise_n is None:
        noise = np.quantile(power, _NOISE_QUANTILE, axis=-1) / _QUANTILE_OVER_MEAN
    else:
        # only frames that end within the noise
        noise = power[..., : max(1, int((noise_n - window_n / 2) // hop_n) + 1)].mean(axis=-1)
    # a floor: in a trace that starts with exact zeros the ratio would overflow
    noise = np.maximum(noise, 1e-20 * power.max(axis=-1)) + np.finfo(float).tiny
    gain = np.zeros(spectrum.shape)
    previous = np.zeros_like(noise)
    for frame in range(n_frames):
        posterior = power[..., frame] / noise
        prior = smoothing * previous + (1 - smoothing) * np.maximum(posterior - 1, 0)
        current = np.maximum(prior / (1 + prior), 0.05)
        gain[..., inside.start + frame] = current
        previous = current**2 * posterior
    # frames centred outside the trace are left out, so the first and last samples are sums of fewer frames; the same
    # sums for a trace of ones normalise them
    is_inside = np.zeros(spectrum.shape[-1])
    is_inside[inside] = 1
    ones = transform.istft(is_inside * transform.stft(_pad_zeros(np.ones(n), window_n)), k1=n + window_n)[:n]
    filtered = transform.istft(gain * spectrum, k1=n + window_n)[..., :n]
    return np.asarray(filtered / ones, dtype=np.float64)


def _pad_zeros(traces: Float64Array, n: int) -> Float64Array:
    """Append `n` zeros to each trace."""
    return np.concatenate([traces, np.zeros((*traces.shape[:-1], n))], axis=-1)
