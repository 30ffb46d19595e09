"""Training windows: drawn from their number alone, at the SNR they state, and never from a validation station."""

import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.errors import InputError
from geoae.mixing import Mixer, Pool, is_validation, open_pools
from geoae.readers.seisbench import SeisBenchSet, open_set
from geoae.recipe import MixSection, SplitSection
from geoae.scaling import Scaler
from tests.conftest import write_seisbench

PLAIN = {k: 0.0 for k in MixSection.model_fields if k not in ("snr_db", "min_event_snr_db")}
LENGTH, P_TO_END = 6144, 2000


def mixer(data: Path, seed: int = 3, length: int = LENGTH, validation: bool | None = None, **mix) -> Mixer:
    events, noise, section = open_set(data / "events"), open_set(data / "noise"), MixSection(**mix)
    pools = open_pools(events, noise, SplitSection(), section, 100.0, validation)
    return Mixer(*pools, section, length, Scaler(), seed)


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_window_depends_on_seed_and_number_alone(data):
    """Other windows drawn before, a fresh mixer, a copy for another process and an empty cache change nothing."""
    one = mixer(data)
    expected = [one[i] for i in range(6)]
    again, uncached = mixer(data), mixer(data)
    for pool in (uncached.events, uncached.noise):
        pool.cache_bytes = 0
    for i in (5, 0, 3):
        assert same(again[i], expected[i])
        assert same(uncached[i], expected[i])
        assert same(pickle.loads(pickle.dumps(one))[i], expected[i])
    assert not same(expected[0], expected[1])
    assert not same(mixer(data, seed=4)[0], expected[0])


def test_examples_are_finite_float32_for_a_net(data):
    """Whatever the damage: finite float32 of the window's length, zeros where there is no sample."""
    drawn = mixer(data, length=1024)
    for i in range(40):
        noisy, target, valid = drawn[i]
        assert noisy.shape == target.shape == valid.shape == (3, 1024)
        assert noisy.dtype == target.dtype == np.float32
        assert np.isfinite(noisy).all()
        assert np.isfinite(target).all()
        assert not noisy[~valid].any()


def test_the_target_is_the_signal_at_the_scale_of_the_input(data):
    """For a plain mix noisy - target, times the gain of the input, is the noise less its line."""
    drawn = mixer(data, **PLAIN)
    for i in range(8):
        mixture, example = drawn.draw(i), drawn[i]
        _, stats = Scaler().apply(mixture.noisy[None])
        removed = (example.noisy - example.target)[example.valid.any(-1)]
        noise = (mixture.noisy - mixture.signal)[example.valid.any(-1)]
        t = np.arange(LENGTH)
        line = np.array([np.polyval(np.polyfit(t, x, 1), t) for x in noise])
        gain = stats.gain[0][example.valid.any(-1)]
        np.testing.assert_allclose(removed * gain, noise - line, rtol=0, atol=1e-4 * np.abs(noise).max())


def test_the_snr_is_the_one_stated(data):
    """Over the 20 s from P a plain mix has the stated SNR, in 3 of 10 mixtures exactly, else within a 2 dB scatter."""
    drawn, exact, deviations = mixer(data, **PLAIN, snr_db=(-12, 25)), 0, []
    for i in range(150):
        noisy, signal, snr = drawn.draw(i)
        assert -12 <= snr <= 25
        here = np.isfinite(noisy).all(-1)
        moving = np.flatnonzero(signal[here].any(0))
        p = moving[0] + 49 if len(moving) else 0  # the onset is faded in over the 50 samples before it
        if moving.size == 0 or moving[0] == 0 or p + P_TO_END > LENGTH:
            continue
        span = slice(p, p + P_TO_END)
        power = signal[here, span].var(-1) / (noisy - signal)[here, span].var(-1)
        off = 10 * np.log10(power) - snr
        exact += np.abs(off).max() < 0.01
        deviations += list(off) if np.abs(off).max() >= 0.01 else []
    assert 8 <= exact <= 40
    assert np.std(deviations) == pytest.approx(2, rel=0.2)
    assert np.abs(deviations).max() < 9


def test_the_signal_is_silent_before_its_onset(data):
    """The events' own noise before P is no target: 0.5 s before P the signal begins from zero."""
    drawn = mixer(data, **PLAIN)
    starts = [np.flatnonzero(s.any(0))[0] for s in (drawn.draw(i).signal for i in range(40)) if s.any()]
    assert sum(s > 0 for s in starts) > 20


def test_missing_components_are_nan_and_not_valid(data):
    """One or two components are NaN throughout where one is to be missing, and the example says so."""
    drawn = mixer(data, **{**PLAIN, "missing_component": 1.0})
    for i in range(20):
        gone = np.isnan(drawn.draw(i).noisy)
        assert (gone.all(-1) == gone.any(-1)).all()
        assert 1 <= gone.all(-1).sum() <= 2
        np.testing.assert_array_equal(drawn[i].valid, ~gone)


def test_gaps_are_nan_and_not_valid(data):
    """Every window has a gap where gaps are certain."""
    drawn = mixer(data, length=1024, **{**PLAIN, "gaps": 1.0})
    for i in range(10):
        gone = np.isnan(drawn.draw(i).noisy)
        assert gone.any()
        np.testing.assert_array_equal(drawn[i].valid, ~gone)


def test_the_target_of_noise_alone_is_silence(data):
    """A window without an event asks for zeros, and says -inf dB."""
    drawn = mixer(data, **{**PLAIN, "noise_only": 1.0})
    for i in range(5):
        assert drawn.draw(i).snr_db == -np.inf
        assert not drawn[i].target.any()
        assert drawn[i].noisy.any()


def test_clean_windows_have_next_to_no_noise(data):
    """Where all windows are clean ones, the SNR is 40 to 70 dB."""
    drawn = mixer(data, **{**PLAIN, "clean_only": 1.0})
    assert all(40 <= drawn.draw(i).snr_db <= 70 for i in range(10))


names = st.from_regex(r"[A-Z0-9]{1,2}\.[A-Z0-9]{1,5}", fullmatch=True)


def a_set(stations: list[str]) -> SeisBenchSet:
    keys = ("station_network_code", "station_code")
    about = {"trace_p_arrival_sample": "1000", "trace_snr_db": "30"}
    return SeisBenchSet(Path("made up"), [dict(zip(keys, s.split("."), strict=True)) | about for s in stations])


@given(
    events=st.lists(names, min_size=1, max_size=40),
    noise=st.lists(names, min_size=1, max_size=40),
    modulus=st.integers(2, 5),
)
def test_no_station_is_on_both_sides(events, noise, modulus):
    """Training and validation share no station, in events or noise, and together hold every record."""
    sets, split, seen = (a_set(events), a_set(noise)), SplitSection(modulus=modulus), {}
    for validation in (True, False):
        try:
            pools = open_pools(*sets, split, MixSection(), 100.0, validation)
        except InputError:  # one side is empty: said so
            return
        seen[validation] = [[s.station(int(i)) for i in p.indices] for s, p in zip(sets, pools, strict=True)]
    assert not {s for side in seen[True] for s in side} & {s for side in seen[False] for s in side}
    for kind, wanted in enumerate((events, noise)):
        assert sorted(seen[True][kind] + seen[False][kind]) == sorted(wanted)
    assert all(zlib.crc32(s.encode()) % modulus == 0 for side in seen[True] for s in side)


@given(name=names, modulus=st.integers(2, 9))
def test_a_side_depends_on_the_name_alone(name, modulus):
    """Exactly one remainder holds a station, so a larger data set moves none."""
    sides = [is_validation(name, SplitSection(modulus=modulus, remainder=r)) for r in range(modulus)]
    assert sum(sides) == 1


def test_no_validation_record_is_ever_drawn(data):
    """Among 300 windows' draws, and all that was read for 30, no record is of a validation station."""
    drawn, rng = mixer(data, validation=False), np.random.default_rng(0)
    for i in range(30):
        drawn[i]
    for pool in (drawn.events, drawn.noise):
        read = {*pool._cache, *(pool.choose(rng) for _ in range(300))}
        stations = {pool.data.station(i) for i in read}
        assert len(stations) > 2
        assert not any(is_validation(s, SplitSection()) for s in stations)


def test_a_station_with_many_records_does_not_rule():
    """A station's share grows with the square root of its number of records."""
    pool = Pool(a_set(["XX.MANY"] * 100 + ["XX.ONE"]), np.arange(101), 100.0)
    rng = np.random.default_rng(0)
    share = np.mean([pool.choose(rng) == 100 for _ in range(5000)])
    assert share == pytest.approx(1 / 11, rel=0.15)


def test_weak_and_unpicked_events_are_no_targets():
    """No pick, or an SNR below the recipe's, leaves an event out; STEAD's three numbers count as their mean."""
    events = a_set([f"XX.S{i}" for i in range(5)])
    events.rows[0]["trace_p_arrival_sample"] = ""
    events.rows[1]["trace_snr_db"] = "10"
    events.rows[2]["trace_snr_db"] = "[40.1 39 41]"
    events.rows[3]["trace_snr_db"] = "[5 5 5]"
    del events.rows[4]["trace_snr_db"]
    pool, _ = open_pools(events, a_set(["XX.N"]), SplitSection(), MixSection(), 100.0, None)
    assert list(pool.indices) == [2, 4]


def test_an_empty_side_is_refused_with_its_counts():
    """Nothing to validate on is said at once, with what would help."""
    station = next(f"XX.S{i}" for i in range(99) if not is_validation(f"XX.S{i}", SplitSection()))
    with pytest.raises(InputError, match=r"validation stations hold 0 usable events.* 0 noise records.*modulus"):
        open_pools(a_set([station]), a_set([station]), SplitSection(), MixSection(), 100.0, True)


def test_p_moves_with_the_sampling_rate(tmp_path):
    """A record at 50 Hz comes at 100 Hz with its P at the same time, and INSTANCE's upper case name counts."""
    spike = np.zeros((3, 800))
    spike[:, 300] = 1.0
    row = {"station_network_code": "XX", "station_code": "A", "trace_sampling_rate_hz": 50.0}
    data = open_set(write_seisbench(tmp_path / "set", [{**row, "trace_P_arrival_sample": 300.0}], [spike]))
    x, present, p = Pool(data, np.array([0]), 100.0).record(0)
    assert present.all()
    assert p == 600
    assert (np.abs(x).argmax(axis=-1) == 600).all()
