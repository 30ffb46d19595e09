"""Training windows depend only on seed and index, have the stated SNR, and leave validation stations out."""

import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.errors import InputError
from geoae.readers.records.seisbench import SeisBenchSet, open_set
from geoae.records.mixing import RecordMixer, WaveformPool, open_pools
from geoae.records.recipe import RecordMix
from geoae.records.scaling import RecordScaler
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation
from tests.conftest import write_seisbench

PLAIN = {k: 0.0 for k in RecordMix.model_fields if k not in ("snr_db", "min_event_snr_db", "periods")}
LENGTH, P_TO_END = 6144, 2000


def mixer(data: Path, seed: int = 3, length: int = LENGTH, validation: bool | None = None, **mix) -> RecordMixer:
    events, noise, section = open_set(data / "events"), open_set(data / "noise"), RecordMix(**mix)
    pools = open_pools(events, noise, SplitSection(), section, 100.0, validation)
    return RecordMixer(*pools, section, length, RecordScaler(), seed)


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_window_depends_only_on_seed_and_index(data):
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
    """With any damage: finite float32 of the window's length, zeros where there is no sample."""
    drawn = mixer(data, length=1024)
    for i in range(40):
        noisy, target, valid = drawn[i]
        assert noisy.shape == target.shape == valid.shape == (3, 1024)
        assert noisy.dtype == target.dtype == np.float32
        assert np.isfinite(noisy).all()
        assert np.isfinite(target).all()
        assert not noisy[~valid].any()


def test_the_target_is_the_signal_at_the_scale_of_the_input(data):
    """Without damage, noisy - target, times the gain of the input, is the detrended noise."""
    drawn = mixer(data, **PLAIN)
    for i in range(8):
        mixture, example = drawn.draw(i), drawn[i]
        _, stats = RecordScaler().apply(mixture.noisy[None])
        removed = (example.noisy - example.target)[example.valid.any(-1)]
        noise = (mixture.noisy - mixture.signal)[example.valid.any(-1)]
        t = np.arange(LENGTH)
        line = np.array([np.polyval(np.polyfit(t, x, 1), t) for x in noise])
        gain = stats.gain[0][example.valid.any(-1)]
        np.testing.assert_allclose(removed * gain, noise - line, rtol=0, atol=1e-4 * np.abs(noise).max())


def test_mixtures_have_the_stated_snr(data):
    """Over the 20 s from P a plain mix has the stated SNR, in 3 of 10 mixtures exactly, else within a 2 dB scatter."""
    drawn, exact, deviations = mixer(data, **PLAIN, snr_db=(-12, 25)), 0, []
    for i in range(150):
        noisy, signal, snr = drawn.draw(i)
        assert -12 <= snr <= 25
        here = np.isfinite(noisy).all(-1)
        moving = np.flatnonzero(signal[here].any(0))
        p = moving[0] + 4 if len(moving) else 0  # the onset is faded in over the 5 samples before it, from zero
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


@pytest.mark.parametrize(
    ("kind", "lead_s", "share"),
    [
        ({}, 0.05, 0.0),
        ({"synthetic_events": 1.0}, 0.0, 0.0),
        # resampling spreads an onset: by ten samples of the slower of the two rates, faintly
        ({"time_stretch": 1.0}, 0.05, 0.05),
        ({"time_stretch": 1.0}, 0.25, 0.0),
        ({"distant": 1.0}, 0.4, 0.05),
        ({"distant": 1.0}, 1.25, 0.0),
    ],
)
def test_the_signal_is_silent_before_its_onset(data, kind, lead_s, share):
    """The target has no noise before P: it is zero until 0.05 s before P, and not after."""
    drawn, rng = mixer(data, **{**PLAIN, **kind}), np.random.default_rng(0)
    for _ in range(40):
        signal, _, at = drawn._draw_event(LENGTH, rng, 500, 3000)
        peak = np.abs(signal).max()
        assert np.abs(signal[:, : at - round(lead_s * 100)]).max() <= share * peak
        assert np.abs(signal[:, at : at + 100]).max() > 0.01 * peak


def test_windows_begin_in_silence(data):
    """If the onset lies inside a window, the signal is zero before it."""
    drawn = mixer(data, **PLAIN)
    starts = [np.flatnonzero(s.any(0))[0] for s in (drawn.draw(i).signal for i in range(40)) if s.any()]
    assert sum(s > 0 for s in starts) > 20


FRACTIONS = sorted(set(PLAIN) - {"noise_only", "short_record"})


@pytest.mark.parametrize("name", FRACTIONS)
def test_every_kind_of_window_can_be_drawn(data, name):
    """With one fraction at 1, signal and noise are finite, repeatable, and differ from those without damage."""
    drawn, plain = mixer(data, length=2048, **{**PLAIN, name: 1.0}), mixer(data, length=2048, **PLAIN)
    changed = 0
    for i in range(6):
        noisy, signal, snr = drawn.draw(i)
        here = np.isfinite(noisy)
        assert here.any()
        assert np.isfinite(signal).all()
        assert np.isfinite(snr)
        assert same(drawn[i], drawn[i])
        changed += not same(drawn[i], plain[i])
    assert changed >= 4  # damage may fall on a missing component


def test_synthetic_events_have_all_components(data):
    """A synthetic event has three components; its P may lie before the window, as for recorded events."""
    drawn, rng = mixer(data, **{**PLAIN, "synthetic_events": 1.0}), np.random.default_rng(1)
    places = []
    for _ in range(40):
        signal, present, at = drawn._draw_event(LENGTH, rng, -1000, 0.9 * LENGTH)
        assert signal.shape == (3, LENGTH)
        assert present.all()
        assert signal[:, max(at, 0) :].any(axis=-1).all()
        places.append(at)
    assert min(places) < 0 < max(places)
    assert all(np.isfinite(drawn.draw(i).noisy).all() for i in range(5))


def two_pulses(folder: Path, p: float) -> WaveformPool:
    """One event in faint noise: a pulse at sample 1000, another 5 s later, and a pick of the first."""
    x = 1e-4 * np.random.default_rng(0).normal(size=(3, 3000))
    decay = np.exp(-np.arange(40) / 8) * np.cos(np.arange(40))
    for at, size in ((1000, 1.0), (1500, 1.5)):
        x[:, at : at + 40] += size * decay
    row = {"station_network_code": "XX", "station_code": "A", "trace_sampling_rate_hz": 100.0}
    return WaveformPool(
        open_set(write_seisbench(folder, [{**row, "trace_p_arrival_sample": p}], [x])), np.array([0]), 100.0
    )


@pytest.mark.parametrize(("kind", "least", "most"), [({"time_stretch": 1.0}, 0.65, 1.6), ({"distant": 1.0}, 2, 8)])
def test_events_are_stretched_in_time(tmp_path, kind, least, most):
    """The time between two pulses of one event becomes 0.65 to 1.6 times itself, or that of a distant event 2 to 8."""
    pool, rng = two_pulses(tmp_path / "events", 1000), np.random.default_rng(2)
    drawn = RecordMixer(pool, pool, RecordMix(**{**PLAIN, **kind}), LENGTH, RecordScaler(), 0)
    factors = []
    for _ in range(60):
        z = np.abs(drawn._draw_event(LENGTH, rng, 500, 1000)[0][2])
        second = z.argmax()
        factors.append((second - z[: second - 150].argmax()) / 500)
    factors = np.array(factors)
    assert ((factors > 0.98 * least) & (factors < 1.02 * most)).all()
    assert factors.min() < least * (most / least) ** 0.2
    assert factors.max() > least * (most / least) ** 0.8
    assert np.log(factors).mean() == pytest.approx(np.log(least * most) / 2, abs=0.2)


@pytest.mark.parametrize(
    ("pick", "onset"), [(1000, 1000), (1030, 1000), (960, 1000), (1000.4, 1000), (850, 850), (400, None)]
)
def test_a_pick_moves_to_a_near_onset(tmp_path, pick, onset):
    """A pick within 0.6 s of an onset moves to it; no pick moves by more than 0.6 s."""
    _, _, p = two_pulses(tmp_path / "events", pick).record(0)
    assert abs(p - pick) <= 60
    assert onset is None or abs(p - onset) <= 3


def test_missing_components_are_nan_and_not_valid(data):
    """One or two components are NaN and not valid, if missing components are certain."""
    drawn = mixer(data, **{**PLAIN, "missing_component": 1.0})
    for i in range(20):
        gone = np.isnan(drawn.draw(i).noisy)
        assert (gone.all(-1) == gone.any(-1)).all()
        assert 1 <= gone.all(-1).sum() <= 2
        np.testing.assert_array_equal(drawn[i].valid, ~gone)


def test_gaps_are_nan_and_not_valid(data):
    """Every window has a gap if gaps are certain."""
    drawn = mixer(data, length=1024, **{**PLAIN, "gaps": 1.0})
    for i in range(10):
        gone = np.isnan(drawn.draw(i).noisy)
        assert gone.any()
        np.testing.assert_array_equal(drawn[i].valid, ~gone)


def test_the_target_of_noise_alone_is_silence(data):
    """A window without an event has a target of zeros and an SNR of -inf dB."""
    drawn = mixer(data, **{**PLAIN, "noise_only": 1.0})
    for i in range(5):
        assert drawn.draw(i).snr_db == -np.inf
        assert not drawn[i].target.any()
        assert drawn[i].noisy.any()


def test_clean_windows_have_next_to_no_noise(data):
    """If clean windows are certain, the SNR is 40 to 70 dB."""
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
            pools = open_pools(*sets, split, RecordMix(), 100.0, validation)
        except InputError:  # one side is empty
            return
        seen[validation] = [[s.station(int(i)) for i in p.indices] for s, p in zip(sets, pools, strict=True)]
    assert not {s for side in seen[True] for s in side} & {s for side in seen[False] for s in side}
    for kind, wanted in enumerate((events, noise)):
        assert sorted(seen[True][kind] + seen[False][kind]) == sorted(wanted)
    assert all(zlib.crc32(s.encode()) % modulus == 0 for side in seen[True] for s in side)


@given(name=names, modulus=st.integers(2, 9))
def test_a_side_depends_on_the_name_alone(name, modulus):
    """Each station has exactly one remainder, so adding stations to a data set moves none."""
    sides = [is_validation(name, SplitSection(modulus=modulus, remainder=r)) for r in range(modulus)]
    assert sum(sides) == 1


def test_no_validation_record_is_ever_drawn(data):
    """No record that is drawn or read for training is of a validation station."""
    drawn, rng = mixer(data, validation=False), np.random.default_rng(0)
    for i in range(30):
        drawn[i]
    for pool in (drawn.events, drawn.noise):
        read = {*pool._cache, *(pool.choose(rng) for _ in range(300))}
        stations = {pool.data.station(i) for i in read}
        assert len(stations) > 2
        assert not any(is_validation(s, SplitSection()) for s in stations)


def test_a_station_with_many_records_does_not_dominate():
    """A station's share grows with the square root of its number of records."""
    pool = WaveformPool(a_set(["XX.MANY"] * 100 + ["XX.ONE"]), np.arange(101), 100.0)
    rng = np.random.default_rng(0)
    share = np.mean([pool.choose(rng) == 100 for _ in range(5000)])
    assert share == pytest.approx(1 / 11, rel=0.15)


def test_weak_and_unpicked_events_are_left_out():
    """Events without pick or with low SNR are left out; of the three SNRs in STEAD the mean counts."""
    events = a_set([f"XX.S{i}" for i in range(5)])
    events.rows[0]["trace_p_arrival_sample"] = ""
    events.rows[1]["trace_snr_db"] = "10"
    events.rows[2]["trace_snr_db"] = "[40.1 39 41]"
    events.rows[3]["trace_snr_db"] = "[5 5 5]"
    del events.rows[4]["trace_snr_db"]
    pool, _ = open_pools(events, a_set(["XX.N"]), SplitSection(), RecordMix(), 100.0, None)
    assert list(pool.indices) == [2, 4]


def test_an_empty_side_is_refused_with_its_counts():
    """The message has the counts and the recipe key to change."""
    station = next(f"XX.S{i}" for i in range(99) if not is_validation(f"XX.S{i}", SplitSection()))
    with pytest.raises(InputError, match=r"validation stations hold 0 usable events.* 0 noise records.*modulus"):
        open_pools(a_set([station]), a_set([station]), SplitSection(), RecordMix(), 100.0, True)


def test_p_moves_with_the_sampling_rate(tmp_path):
    """A record at 50 Hz is resampled to 100 Hz with its P at the same time; INSTANCE's upper-case column is read."""
    pulse = 0.03 * np.random.default_rng(0).normal(size=(3, 800))
    pulse[:, 300:340] += 0.8 ** np.arange(40)
    row = {"station_network_code": "XX", "station_code": "A", "trace_sampling_rate_hz": 50.0}
    data = open_set(write_seisbench(tmp_path / "set", [{**row, "trace_P_arrival_sample": 300.0}], [pulse]))
    x, present, p = WaveformPool(data, np.array([0]), 100.0).record(0)
    assert present.all()
    assert abs(p - 600) <= 6
    assert (np.abs(np.abs(x).argmax(axis=-1) - 600) <= 1).all()
