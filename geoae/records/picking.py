"""What pickers find in traces: STA/LTA triggers, onsets of P, and the polarity of the first motion."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from geoae.arrays.types import Float64Array
from geoae.records.metrics import aic_onset

BAND_HZ = (1.0, 20.0)
"""Band of the triggers, Hz."""
SHORT_S, LONG_S = 0.5, 10.0
"""Averaging times of STA/LTA, s. No trigger is found in the first `LONG_S` of a trace."""
OFF = 1.5
"""Ratio at which a trigger ends, so that the next one can begin."""

_HALF_WINDOW_S = 2.5
_FIRST_MOTION_S = 0.5


def find_triggers(trace: Float64Array, rate_hz: float = 100.0, on: float = 4.0) -> npt.NDArray[np.int64]:
    """First samples of the STA/LTA triggers of one trace, found by ObsPy in a band of 1 to 20 Hz.

    The band-pass has two corners and runs forwards, as in a network's detector. STA and LTA are recursive averages
    over 0.5 and 10 s. A trigger begins where their ratio rises above `on`, and ends where it falls below 1.5.

    Parameters
    ----------
    trace
        Shape (time,). A trace that is flat or shorter than 10 s has no trigger.
    rate_hz
        Sampling rate, above 2 Hz. Below 50 Hz the band ends at 0.4 of the rate.
    on
        Ratio at which a trigger begins.

    References
    ----------
    Withers et al. (1998), A comparison of select trigger algorithms for automated global seismic phase and event
    detection, BSSA 88, 95-106
    """
    from obspy.signal.trigger import recursive_sta_lta, trigger_onset

    if trace.size <= LONG_S * rate_hz or np.ptp(trace) == 0:
        return np.zeros(0, np.int64)
    # the first sample is taken off, so that the filter does not start with a step
    banded = np.ascontiguousarray(sosfilt(_design_band(rate_hz), trace - trace[0]))
    ratio = recursive_sta_lta(banded, max(1, round(SHORT_S * rate_hz)), round(LONG_S * rate_hz))
    return np.asarray([start for start, _ in trigger_onset(ratio, on, OFF)], dtype=np.int64)


def randomise_phases(traces: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Surrogates of noise: the same spectra with random phases, so that all bursts are spread over the whole trace.

    The components of a record keep their phase differences, and so their coherence.

    Parameters
    ----------
    traces
        Shape (record, component, time).
    """
    centred = traces - traces.mean(axis=-1, keepdims=True)
    spectrum = np.fft.rfft(centred, axis=-1)
    angle = rng.uniform(0, 2 * np.pi, (len(traces), 1, spectrum.shape[-1]))
    return np.asarray(np.fft.irfft(spectrum * np.exp(1j * angle), n=traces.shape[-1], axis=-1), dtype=np.float64)


def pick_onsets(traces: Float64Array, p: npt.NDArray[np.int64], rate_hz: float = 100.0) -> Float64Array:
    """AIC onset of each trace in the 5 s around its P arrival, in s after the arrival; NaN where there is none.

    Parameters
    ----------
    traces
        Shape (record, time), vertical component.
    p
        Samples of the arrivals, shape (record,).
    """
    half = round(_HALF_WINDOW_S * rate_hz)
    found = np.full(len(traces), np.nan)
    for i, (trace, arrival) in enumerate(zip(traces, p, strict=True)):
        start = max(int(arrival) - half, 0)
        found[i] = (aic_onset(trace[start : int(arrival) + half]) + start - arrival) / rate_hz
    return found


def has_polarity(clean: Float64Array, result: Float64Array, rate_hz: float = 100.0) -> bool | None:
    """Whether `result` moves in the direction of the clean trace at its first motion; None if that is not clear.

    The first motion is the first extremum after the AIC onset of `clean` that reaches a fifth of the largest deviation
    in 0.5 s. Its sign is that of the step from the onset to the extremum. `result` is read at the same two samples.

    Parameters
    ----------
    clean, result
        Shape (time,), the vertical component in the seconds around P.
    """
    onset = aic_onset(clean)
    if not np.isfinite(onset):
        return None
    start = max(int(onset) - 1, 0)
    motion = (clean - clean[start])[start : start + round(_FIRST_MOTION_S * rate_hz)]
    size = np.abs(motion)
    if motion.size < 3 or size.max() == 0:
        return None
    inner = (size[1:-1] >= size[:-2]) & (size[1:-1] > size[2:]) & (size[1:-1] >= 0.2 * size.max())
    if not inner.any():
        return None
    extremum = int(np.argmax(inner)) + 1
    step = result[start + extremum] - result[start]
    return bool(step * motion[extremum] > 0)


@lru_cache(maxsize=32)
def _design_band(rate_hz: float) -> Float64Array:
    """Second-order sections of the band-pass of the triggers."""
    band_hz = min(BAND_HZ[0], 0.05 * rate_hz), min(BAND_HZ[1], 0.4 * rate_hz)
    return np.asarray(butter(2, band_hz, "bandpass", fs=rate_hz, output="sos"), dtype=np.float64)
