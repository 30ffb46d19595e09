"""Training windows of long periods depend only on seed and index, and use events with and without a P pick."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.readers.records.seisbench import open_set
from geoae.records.long_mixing import LongMixer, isolate_event, measure_event_snr, open_long_pools
from geoae.records.recipe import RecordMix
from geoae.records.scaling import RecordScaler
from geoae.records.task import build_record_mixers
from geoae.records.teleseisms import draw_teleseism
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation
from tests.conftest import tiny_recipe, write_seisbench

MIX = {"periods": "long", "short_record": 0.3, "synthetic_events": 0.4, "synthetic_noise": 0.4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Teleseisms at 1 and 5 Hz, of which some have no pick, and one that is lost in noise; noise, long and short."""
    rng, folder = np.random.default_rng(1), tmp_path_factory.mktemp("long")
    rows, waves = [], []
    for i in range(10):
        rate, n = (1.0, 1500) if i % 2 else (5.0, 4000)
        x = np.zeros((3, n))
        x[:, 100 * int(rate) :] = draw_teleseism(n - 100 * int(rate), rate, rng)
        x += (1e-3 if i else 3.0) * rng.normal(size=x.shape)
        pick = {"trace_p_arrival_sample": 100 * rate} if i % 3 else {}
        rows.append({"station_network_code": "XX", "station_code": f"L{i}", "trace_sampling_rate_hz": rate,
                     "trace_npts": n, **pick})  # fmt: skip
        waves.append(x)
    write_seisbench(folder / "events", rows, waves)
    rows = [{"station_network_code": "XX", "station_code": f"L{i}", "trace_sampling_rate_hz": 1.0} for i in range(10)]
    write_seisbench(folder / "noise", rows, [rng.normal(size=(3, 100 if i % 2 else 2000)) for i in range(10)])
    return folder


def mixer(folder, seed: int = 3, validation: bool | None = None, **mix) -> LongMixer:
    events, noise, section = open_set(folder / "events"), open_set(folder / "noise"), RecordMix(**(MIX | mix))
    pools = open_long_pools(events, noise, SplitSection(), section, 1.0, validation)
    return LongMixer(*pools, section, 512, RecordScaler(), seed)


def test_windows_are_finite_and_depend_only_on_seed_and_index(folder):
    """A fresh mixer gives the same windows; another seed gives others."""
    one, again, other = mixer(folder), mixer(folder), mixer(folder, seed=4)
    for i in (7, 0, 3, *range(8, 20)):
        noisy, target, valid = one[i]
        assert noisy.shape == target.shape == valid.shape == (3, 512)
        assert np.isfinite(noisy).all()
        assert np.isfinite(target).all()
        assert not noisy[~valid].any()
        assert all(np.array_equal(x, y) for x, y in zip((noisy, target, valid), again[i], strict=True))
    assert not np.array_equal(one[0].noisy, other[0].noisy)


def test_events_need_no_pick_but_a_signal_above_the_noise(folder):
    """The event that is lost in noise is left out; those without a pick are used."""
    used = mixer(folder).events.indices
    assert 0 not in used
    assert {3, 6, 9} <= set(used.tolist())
    with pytest.raises(InputError, match=r"hold 0 usable events \(SNR above 90 dB at 1 Hz\) and 10 noise records"):
        mixer(folder, min_event_snr_db=90.0)


def test_validation_stations_are_left_out_of_training(folder):
    """By the name of the station, as for other records."""
    for validation in (True, False):
        pools = mixer(folder, validation=validation)
        for pool in (pools.events, pools.noise):
            found = {is_validation(pool.data.station(int(i)), SplitSection()) for i in pool.indices}
            assert found == {validation}


def test_the_snr_is_that_of_the_loudest_part(folder):
    """Without damage, with each component scaled by itself or all together, within a few decibels."""
    plain = {k: 0.0 for k in RecordMix.model_fields if k not in ("snr_db", "min_event_snr_db", "periods")}
    drawn = mixer(folder, **(plain | {"snr_db": (3.0, 3.0)}))
    for i in range(20):
        mixture = drawn.draw(i)
        noise = mixture.noisy - mixture.signal
        smooth = np.convolve((mixture.signal**2).sum(0), np.ones(100) / 100, "valid").max()
        power = np.nanmean(noise**2) * np.isfinite(noise).any(-1).sum()
        assert 10 * np.log10(smooth / power) == pytest.approx(3, abs=6)


def test_an_event_is_isolated_from_the_noise_before_it():
    """Zero before P or, without a pick, before the rise of the power; the end is tapered."""
    rng = np.random.default_rng(0)
    x = 1e-3 * rng.normal(size=(3, 1000))
    x[:, 400:] += draw_teleseism(600, 1.0, rng)
    for p in (400, -1):
        found = isolate_event(x, p)
        assert not found[:, :350].any()
        assert abs(found[:, -1]).max() < 1e-9
        np.testing.assert_array_equal(found[:, 420:800], x[:, 420:800])
    assert measure_event_snr(x, np.ones(3, bool), 400) > 30
    assert measure_event_snr(x[:, 390:500], np.ones(3, bool), -1) == -np.inf


def test_a_recipe_chooses_the_windows_of_long_periods(folder):
    """periods: long; validation windows are not damaged."""
    recipe = tiny_recipe(rate_hz=1.0, rate_range_hz=(0.1, 1000.0), mix=MIX, partner="")
    training, validation = build_record_mixers(recipe, folder)
    assert isinstance(training, LongMixer)
    assert (validation.mix.short_record, validation.mix.periods) == (0.0, "long")
