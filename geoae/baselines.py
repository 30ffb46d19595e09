"""Denoisers that need no training, to measure a model against: doing nothing, a band-pass, and STFT Wiener filters.

Each takes traces (..., time) and returns the same shape, every trace on its own.
"""

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import butter, sosfilt

FloatArray = npt.NDArray[np.float64]

_NOISE_QUANTILE = 0.3
# the power of Gaussian noise in one STFT bin is exponentially distributed: its quantile q lies at -log(1 - q) means
_QUANTILE_OVER_MEAN = 0.3567


def do_nothing(traces: FloatArray) -> FloatArray:
    """Return the traces as they came: what any method has to beat."""
    return traces


def band_pass(
    traces: FloatArray, rate_hz: float = 100.0, low_hz: float = 1.0, high_hz: float = 20.0, corners: int = 4
) -> FloatArray:
    """Butterworth band-pass, run forwards and backwards: no phase shift, twice the corners.

    At rest before the first and after the last sample, without padding, so that it is the filter that ObsPy's
    ``filter("bandpass", zerophase=True)`` applies.

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
    traces: FloatArray, noise_n: int | None = None, window_n: int = 100, hop_n: int = 25, smoothing: float = 0.9
) -> FloatArray:
    r"""Wiener filter in the time-frequency plane, with the decision-directed estimate of the signal's share.

    Frame by frame, with :math:`\gamma` the power in a bin over the noise power at its frequency and G the gain,

    .. math::

        \xi_t = \alpha G_{t-1}^2 \gamma_{t-1} + (1 - \alpha) \max(\gamma_t - 1, 0), \qquad
        G_t = \max\left(\frac{\xi_t}{1 + \xi_t}, 0.05\right)

    Parameters
    ----------
    traces
        Shape (..., time).
    noise_n
        The filter is told that the first `noise_n` samples are noise, and takes its spectrum there. None: blind, it
        takes the spectrum from the 30 % quantile of the power over time, which assumes that noise lasts longest.
    window_n, hop_n
        Length and step of the Hann windows in samples (1 s and 0.25 s at 100 Hz); the step at most half the length.
    smoothing
        The weight :math:`\alpha` of the frame before.

    References
    ----------
    Ephraim & Malah (1984), Speech enhancement using a minimum mean-square error short-time spectral amplitude
    estimator, doi:10.1109/TASSP.1984.1164453
    """
    spectrum = _stft(traces, window_n, hop_n)
    power = np.abs(spectrum) ** 2
    if noise_n is None:
        noise = np.quantile(power, _NOISE_QUANTILE, axis=-2) / _QUANTILE_OVER_MEAN
    else:
        # frame t is centred on sample t * hop: keep those that end before the noise does
        noise = power[..., : max(1, int((noise_n - window_n / 2) // hop_n) + 1), :].mean(axis=-2)
    # bounded away from zero, or a trace that starts with exact zeros would overflow the ratio
    noise = np.maximum(noise, 1e-20 * power.max(axis=-2)) + np.finfo(float).tiny
    gain = np.empty_like(power)
    memory = np.zeros_like(noise)
    for frame in range(power.shape[-2]):
        posterior = power[..., frame, :] / noise
        prior = smoothing * memory + (1 - smoothing) * np.maximum(posterior - 1, 0)
        gain[..., frame, :] = np.maximum(prior / (1 + prior), 0.05)
        memory = gain[..., frame, :] ** 2 * posterior
    return _istft(spectrum * gain, window_n, hop_n, traces.shape[-1])


def _stft(traces: FloatArray, window_n: int, hop_n: int) -> npt.NDArray[np.complex128]:
    """Spectra (..., frame, frequency) of Hann windows; frame t is centred on sample t * hop, zeros lie outside."""
    half, n = window_n // 2, traces.shape[-1]
    tail = half + -n % hop_n
    padded = np.concatenate([_zeros(traces, half), traces, _zeros(traces, tail)], axis=-1)
    frames = sliding_window_view(padded, window_n, axis=-1)[..., ::hop_n, :]
    return np.fft.rfft(frames * _hann(window_n), axis=-1)


def _istft(spectrum: npt.NDArray[np.complex128], window_n: int, hop_n: int, n: int) -> FloatArray:
    """Undo `_stft`: overlap-add, weighted so that unchanged spectra give the traces back."""
    window = _hann(window_n)
    frames = np.fft.irfft(spectrum, window_n, axis=-1) * window
    length = (frames.shape[-2] - 1) * hop_n + window_n
    traces, weight = np.zeros((*frames.shape[:-2], length)), np.zeros(length)
    for frame in range(frames.shape[-2]):
        span = slice(frame * hop_n, frame * hop_n + window_n)
        traces[..., span] += frames[..., frame, :]
        weight[span] += window**2
    inside = slice(window_n // 2, window_n // 2 + n)
    return np.asarray(traces[..., inside] / weight[inside], dtype=np.float64)


def _hann(n: int) -> FloatArray:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n), dtype=np.float64)


def _zeros(traces: FloatArray, n: int) -> FloatArray:
    return np.zeros((*traces.shape[:-1], n))
