"""Mixtures have the stated SNR and onsets, and keep the stations apart."""

import zlib

import h5py
import numpy as np
import pytest

from geoae.errors import InputError
from geoae.records.mixtures import BANDS, Mixtures, build_mixtures
from tests.support.mixtures import STATIONS, draw_event, write_set


@pytest.mark.parametrize("band", BANDS)
def test_mixtures_are_built_as_stated(mixture_data, band):
    """Noise is at 0 dB per component over 20 s from P, P comes between 8 and 25 s, the mean before P is zero."""
    mixtures = build_mixtures(mixture_data, band, n=30)
    assert mixtures.clean.shape == mixtures.noise.shape == (30, 3, 6000)
    assert ((mixtures.p >= 800) & (mixtures.p <= 2500)).all()
    for clean, noise, p in zip(mixtures.clean, mixtures.noise, mixtures.p, strict=True):
        np.testing.assert_allclose(clean[:, p : p + 2000].var(axis=1), noise[:, p : p + 2000].var(axis=1), rtol=1e-9)
        np.testing.assert_allclose(clean[:, : p - 50].mean(axis=1), 0, atol=1e-9 * np.abs(clean).max())
    at_6_db = (mixtures.noisy(6.0) - mixtures.clean).var() / mixtures.noise.var()
    np.testing.assert_allclose(at_6_db, 10**-0.6)


def test_stations_are_kept_apart(mixture_data):
    """Validation holds one of four stations by the hash of the name, training the others; donors are other stations."""
    used = {}
    for side in ("validation", "train", "all"):
        mixtures = build_mixtures(mixture_data, "raw", n=80, stations=side)
        assert all(m["station"] != m["noise_station"] for m in mixtures.meta)
        used[side] = {m[key] for m in mixtures.meta for key in ("station", "noise_station")}
    hashed = {s for s in STATIONS if zlib.crc32(s.encode()) % 4 == 0}
    assert used["validation"] == hashed
    assert used["train"] <= set(STATIONS) - hashed
    assert used["all"] > used["validation"]


def test_unusable_records_are_left_out(mixture_data):
    """Weak, early, unpicked and incomplete events, spiky, dead and slow noise never enter; 8 events a station do."""
    mixtures = build_mixtures(mixture_data, "raw", n=200, stations="all")
    events = {m["event"] for m in mixtures.meta}
    assert {name.rstrip("0123456789") for name in events} == {"e", "fast", "many"}
    assert len([m for m in {(m["event"], m["station"]) for m in mixtures.meta} if m[1] == STATIONS[0]]) == 8
    assert {m["noise"][0] for m in mixtures.meta} == {"n"}


def test_p_stays_on_the_onset_through_resampling(mixture_data):
    """The clean trace is quiet before its P and loud after it, at 100 Hz and from 200 Hz."""
    mixtures = build_mixtures(mixture_data, "raw", n=60)
    kinds = {m["event"].rstrip("0123456789") for m in mixtures.meta}
    assert {"e", "fast"} <= kinds
    for clean, p in zip(mixtures.clean, mixtures.p, strict=True):
        assert (np.abs(clean[:, : p - 10]).max(axis=1) < 0.05 * np.abs(clean[:, p : p + 100]).max(axis=1)).all()


def test_components_follow_their_names(mixture_data):
    """Noise stored as Z N E is mixed into E N Z: each component is a scaled copy of the recorded one."""
    mixtures = build_mixtures(mixture_data, "raw", n=40)
    i = next(i for i, m in enumerate(mixtures.meta) if m["noise"].endswith("_9000"))
    with h5py.File(mixture_data / "noise" / "waveforms.hdf5") as file:
        e_n_z = file["data"][mixtures.meta[i]["noise"]][()][::-1].astype(float)
    for mixed, recorded in zip(mixtures.noise[i], e_n_z, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(recorded, 6000)
        steps = np.diff(mixed) / np.diff(mixed).std()
        best = max(float(steps @ np.diff(w) / 5999 / np.diff(w).std()) for w in windows)
        assert best > 0.99


def test_same_seed_same_mixtures(mixture_data):
    """The arguments fix every sample; another seed draws others."""
    first, again, other = (build_mixtures(mixture_data, n=10, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.clean, again.clean)
    np.testing.assert_array_equal(first.noise, again.noise)
    assert first.meta == again.meta
    assert not np.array_equal(first.noise, other.noise)


def test_noise_of_the_events_station_alone_is_refused(tmp_path):
    """An event is never mixed with noise of its own station, not even when there is no other."""
    rng = np.random.default_rng(0)
    write_set(tmp_path / "events", [("e", "XX.A", 100.0, draw_event(rng), 3000, (True,) * 3)])
    write_set(tmp_path / "noise", [("n", "XX.A", 100.0, rng.normal(size=(3, 9000)), "", (True,) * 3)])
    with pytest.raises(InputError, match="another station"):
        build_mixtures(tmp_path, "raw", stations="all")


def test_the_length_is_the_number_of_mixtures():
    """Mixtures have a length."""
    x = np.zeros((5, 3, 6000))
    assert len(Mixtures(x, x, np.full(5, 800), "raw", ())) == 5
