"""Scores of recordings without truth: doing nothing is perfect, and each harm is seen by the score that names it."""

from dataclasses import replace

import numpy as np
import pytest

from geoae.records.recordings import Recording
from geoae.records.scores_recorded import score_event_records, score_noise_records
from tests.support.mixtures import draw_event

P_S = 30


def do_nothing(x, rate_hz):
    return x


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    return [Recording(f"n{i}", "ambient", rng.normal(size=(3, 9000)), 100.0, None, np.nan) for i in range(6)]


@pytest.fixture(scope="module")
def events():
    """Clear local events, one of them with Z alone, a weak one, and a long one at 1 Hz without P."""
    rng = np.random.default_rng(1)
    found = [
        Recording(f"e{i}", "local", draw_event(rng, rate, noise=0.01), rate, int(P_S * rate), 30.0)
        for i, rate in enumerate((50.0, 100.0, 200.0))
    ]
    found += [replace(found[1], name="weak", data=draw_event(rng, noise=0.15), snr_db=8.0)]
    found += [replace(found[1], name="one", data=found[1].data * [[0], [0], [1]])]
    time = np.arange(1500.0)
    wave = np.sin(2 * np.pi * time / 20) * np.exp(-(((time - 900) / 100) ** 2)) + 0.01 * rng.normal(size=(3, 1500))
    return [*found, Recording("far", "teleseism", wave, 1.0, None, np.nan)]


def test_doing_nothing_is_perfect(noise, events):
    """No trigger, all P found on time, nothing added, every peak kept."""
    scores = score_noise_records(do_nothing, noise)
    assert (scores["n"], scores["hours"]) == (6, round(6 * 80 / 3600, 2))
    assert scores["recorded"] == scores["surrogates"] == {"on_4": 0, "on_8": 0}
    assert scores["energy_added"]["median_db"] == scores["energy_added"]["q90_db"] == 0
    scores = score_event_records(do_nothing, events)
    assert (scores["below"]["n"], scores["above"]["n"]) == (1, 4)
    for group in (scores["below"], scores["above"]):
        assert group["triggers_a_minute"] == {"on_4": 0, "on_8": 0}
        assert group["found"] == group["onset"]["within_0.5s"] == 1
        assert group["energy_added"]["q90_db"] == 0
    assert list(scores["kinds"]) == ["all", "local", "teleseism"]
    for kind, n in (("all", 6), ("local", 5), ("teleseism", 1)):
        peaks = scores["kinds"][kind]
        assert (peaks["n"], peaks["n_unchanged"], peaks["n_above_10_db"], peaks["n_lost"]) == (n, n, n, 0)
        assert peaks["peak_kept"] == {"median": 1, "q10": 1, "q90": 1}


def test_a_gate_triggers_on_noise_and_before_p(noise, events):
    """Noise that is let through for 0.4 s every 5 s triggers, whether or not its phases are random."""

    def gate(x, rate_hz):
        is_open = np.arange(x.shape[-1]) / rate_hz % 5 < 0.4
        return np.where(is_open, x, 0.01 * x)

    scores = score_noise_records(gate, noise)
    assert min(scores["recorded"]["on_4"], scores["surrogates"]["on_4"]) > 300
    scores = score_event_records(gate, events)
    assert scores["above"]["triggers_a_minute"]["on_4"] > 5
    assert scores["above"]["energy_added"]["q90_db"] <= 0


def test_lost_events_are_named(events):
    """An event that loses 60 % of its peak is lost; what comes back unchanged is counted."""

    def shrink_slow(x, rate_hz):
        return x if rate_hz > 1 else 0.4 * x

    kinds = score_event_records(shrink_slow, events)["kinds"]
    assert kinds["teleseism"]["lost"] == kinds["all"]["lost"] == ["far"]
    np.testing.assert_allclose(kinds["teleseism"]["peak_kept"]["median"], 0.4)
    assert (kinds["all"]["n_unchanged"], kinds["local"]["n_lost"]) == (5, 0)


def test_missed_and_early_arrivals_are_seen(events):
    """Silence loses every P; traces that are early by a second have early onsets, and their triggers still count."""
    silence = score_event_records(lambda x, rate_hz: 0 * x, events)["above"]
    assert (silence["found"], silence["onset"]["within_0.5s"]) == (0, 0)
    early = score_event_records(lambda x, rate_hz: np.roll(x, -round(rate_hz), axis=-1), events)["above"]
    assert (early["found"], early["onset"]["early"]) == (1, 1)


def test_an_image_is_seen_before_p(events):
    """A tone at 25 Hz before P adds energy; a record at a low rate does not hide it."""

    def add_tone(x, rate_hz):
        return x + (np.abs(x).max() * np.sin(2 * np.pi * 23 * np.arange(x.shape[-1]) / rate_hz))

    added = score_event_records(add_tone, events)["above"]["energy_added"]
    assert added["median_db"] > 20
    assert added["hz"] == 22


def test_nothing_to_score_is_not_an_error():
    """Without records every rate is NaN and every count 0."""
    scores = score_noise_records(do_nothing, [])
    assert scores["n"] == 0
    assert np.isnan(scores["recorded"]["on_4"])
    scores = score_event_records(do_nothing, [])
    assert scores["below"]["n"] == 0
    assert np.isnan(scores["below"]["triggers_a_minute"]["on_4"])
    assert (list(scores["kinds"]), scores["kinds"]["all"]["n"]) == (["all"], 0)
