"""Known failures of denoisers, tested with the shipped model on a recorded event in seeded noise.

`tests/benchmarks/behaviour.py` measures the same on many recorded events and noises.
"""

from typing import Any

import numpy as np
import obspy
import pytest
import xarray as xr
from scipy.signal import resample_poly

import geoae
from geoae.records import damage
from geoae.records.metrics import sdr_db, si_sdr_db

RATE, P, N = 100, 2000, 6000
CODES = ("HHE", "HHN", "HHZ")
Array = np.ndarray


@pytest.fixture(scope="module")
def event() -> Array:
    """E, N and Z of the local event that ObsPy ships (BW.RJOB), from its onset on, fading out."""
    stream = obspy.read().detrend("linear").filter("bandpass", freqmin=1, freqmax=45, corners=4, zerophase=True)
    x = np.array([stream.select(component=c)[0].data for c in "ENZ"])[:, 460:]
    x[:, -400:] *= np.cos(np.linspace(0, np.pi / 2, 400)) ** 2
    return x / np.abs(x).max()


def placed(event: Array, at: int, n: int = N) -> Array:
    """The event in `n` samples, with its onset at sample `at`."""
    x = np.zeros((3, n))
    part = event[:, : n - at]
    x[:, at : at + part.shape[1]] = part
    return x


def noise_for(event: Array, snr_db: float = 10.0, n: int = N) -> Array:
    """Four draws of coloured noise, scaled to the SNR in the 20 s from the onset."""
    draws = np.array([damage.draw_coloured_noise((3, n), RATE, np.random.default_rng(seed)) for seed in range(4)])
    return draws * damage.noise_factor(event[:, :2000], draws[..., :2000], snr_db)[..., None]


def denoise(x: Array, rate_hz: float = RATE, codes: tuple[str, ...] = CODES) -> Array:
    coords: dict[str, Any] = {"channel": list(codes)}
    record = xr.DataArray(x, coords, ("record", "channel", "time"), attrs={"sampling_rate_hz": rate_hz})
    return geoae.denoise(record, device="cpu", threads=1).values


def score(clean: Array, found: Array) -> float:
    """Median over the draws of the mean SDR of the components, without their means."""
    clean, found = (x - x.mean(axis=-1, keepdims=True) for x in (np.broadcast_to(clean, found.shape), found))
    return float(np.median(sdr_db(clean, found).mean(axis=-1)))


def test_a_small_event_ahead_of_a_large_one_survives(event):
    """An event thirty times larger, 15 s later, takes less than 3 dB from the small one."""
    small, span = placed(event, P), slice(P, P + 1000)
    noisy = small + noise_for(event)
    alone = score(small[:, span], denoise(noisy)[..., span])
    both = score(small[:, span], denoise(noisy + 30 * placed(event, P + 1500))[..., span])
    assert alone > 10
    assert both > alone - 3


def test_a_spike_costs_little(event):
    """One sample of 20 times the peak at 4 s costs the rest of the record less than 2 dB."""
    clean = placed(event, P)
    noisy = clean + noise_for(event)
    spiked = noisy.copy()
    spiked[..., 400] += 20
    without = score(clean[:, 800:], denoise(noisy)[..., 800:])
    with pytest.warns(UserWarning, match="3 samples are taken for filled gaps and stay unchanged"):
        spoiled = score(clean[:, 800:], denoise(spiked)[..., 800:])
    assert spoiled > without - 2


def test_an_offset_costs_nothing(event):
    """A constant as large as the peak costs less than 0.1 dB."""
    clean = placed(event, P)
    noisy = clean + noise_for(event)
    assert abs(score(clean, denoise(noisy + 1.0)) - score(clean, denoise(noisy))) < 0.1


def test_one_component_is_enough(event):
    """Z alone scores within 1 dB of Z among three."""
    clean = placed(event, P)
    noisy = clean + noise_for(event)
    of_three = score(clean[2:], denoise(noisy)[:, 2:])
    alone = score(clean[2:], denoise(noisy[:, 2:], codes=CODES[2:]))
    assert alone > of_three - 1


@pytest.mark.parametrize("rate_hz", [20, 40, 50, 125, 200, 250])
def test_other_rates_do_as_well(event, rate_hz):
    """A band-limited record gains at least as much at its own rate as at 100 Hz, within 1.5 dB."""
    clean, noise = placed(event, P), noise_for(event)
    if rate_hz < RATE:  # both are limited to the band of the lower rate
        low = damage.band_response(N, RATE, 0, 0.4 * rate_hz, order=16)
        clean, noise = (np.fft.irfft(np.fft.rfft(x) * low, N) for x in (clean, noise))
    gains = []
    for rate in (RATE, rate_hz):
        up, down = np.array([rate, RATE]) // np.gcd(rate, RATE)
        s, v = (resample_poly(x, up, down, axis=-1) for x in (clean, noise))
        gain = si_sdr_db(np.broadcast_to(s, v.shape), denoise(s + v, rate)) - si_sdr_db(
            np.broadcast_to(s, v.shape), s + v
        )
        gains.append(float(np.median(gain.mean(axis=-1))))
    assert gains[0] > 3
    assert gains[1] > gains[0] - 1.5


@pytest.mark.parametrize("at", [20, 100, 1000, 4000, 5000])
def test_the_place_in_the_record_does_not_matter(event, at):
    """From 0.2 s after its start to 10 s before its end, the event scores within 1 dB of the middle of the record.

    The noise moves with the event, so that only the place changes.
    """
    noise, found = noise_for(event), []
    for place in (N // 2, at):
        clean = placed(event, place)
        span = slice(place, place + 1000)
        found.append(score(clean[:, span], denoise(clean + np.roll(noise, place - N // 2, axis=-1))[..., span]))
    assert found[1] > found[0] - 1


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_nothing_leaks_into_a_dead_component(event, dead):
    """Zeros stay zeros, and an absent component stays absent."""
    noisy = placed(event, P) + noise_for(event)
    for value in (0.0, np.nan):
        noisy[:, dead] = value
        np.testing.assert_array_equal(denoise(noisy)[:, dead], np.broadcast_to(value, (4, N)))
