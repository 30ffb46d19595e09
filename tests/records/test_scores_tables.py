"""Tables hold every method, and the numbers that are scored."""

import pytest

from geoae.records.scores_tables import (
    build_following_rows,
    build_kind_rows,
    build_recorded_rows,
    build_table_rows,
    format_markdown,
)


def scored_band(within):
    """Scores of one method on mixtures at 0 and 5 dB."""
    ratio = {"median": 0.97, "q10": 0.8, "q90": 1.1, "off": 0.12}
    following = {
        "onset": {"within_0.1s": within, "early": 0.1, "late": 0.2, "median_s": 0.0},
        "polarity_kept": 0.9, "p_ratio": ratio, "peak_ratio": ratio, "peak_kept": ratio,
        "energy_added": {"median_db": -3.0, "q90_db": 28.0, "hz": 48},
    }  # fmt: skip
    quartiles = {"median": 1.25, "q25": 1, "q75": 2}
    snr = dict.fromkeys(("si_sdr_gain_db", "correlation", "peak_ratio"), quartiles)
    by_snr = {"0": {**snr, "onset_within_0.1s": within, "following": following}}
    by_snr["5"] = by_snr["0"]
    return {"snr": by_snr, "clean_in": {"sdr_db": quartiles}, "noise_in": {"reduction_db": quartiles}}


def scored_recordings(lost):
    """Scores of one method on recordings, without an event below 15 dB."""
    picks = {"n": 4, "triggers_a_minute": {"on_4": 1.5, "on_8": 0.0}, "found": 0.5}
    picks["onset"] = {"within_0.1s": 0.25, "within_0.5s": 0.75}
    nothing = {"n": 0, "triggers_a_minute": {"on_4": None, "on_8": None}, "found": None}
    nothing["onset"] = {"within_0.1s": None, "within_0.5s": None}
    peaks = {"n": 9, "n_unchanged": 2, "peak_kept": {"median": 1, "q10": 0.5}, "n_above_10_db": 7, "n_lost": lost}
    noise = {"n": 3, "hours": 2.0, "recorded": {"on_4": 20, "on_8": 1}, "surrogates": {"on_4": 6, "on_8": 0}}
    noise["energy_added"] = {"median_db": None, "q90_db": None, "hz": None}
    return {"noise": noise, "events": {"below": nothing, "above": picks, "kinds": {"all": peaks, "local": peaks}}}


@pytest.fixture
def results():
    methods = {"mine": scored_band(0.75), "do nothing": scored_band(0.5)}
    counts = {"n_events": 3, "n_stations": 2, "n_noise_stations": 1}
    recorded = {"mine": scored_recordings(5), "do nothing": scored_recordings(0)}
    return {
        "n": 7, "stations": "all", "snrs_db": [0.0, 5.0], "bands": {"raw": {**counts, "methods": methods}},
        "recordings": {"methods": recorded},
    }  # fmt: skip


def test_each_table_has_a_row_a_method(results):
    """Rows are as long as their header; missing values are dashes."""
    tables = (
        build_table_rows(results, "raw"),
        build_following_rows(results, "raw"),
        build_recorded_rows(results),
        build_kind_rows(results),
    )
    for header, rows in tables:
        assert [row[0] for row in rows] == ["mine", "do nothing"]
        assert {len(row) for row in rows} == {len(header)}
    assert dict(zip(*(tables[1][0], tables[1][1][0]), strict=True)) == {
        "What follows, mixtures": "mine",
        "onset <=0.1 s at 5 dB": "75%",
        "early, late at 5 dB": "10, 20%",
        "polarity at 5 dB": "90%",
        "P amplitude at 5 dB": "0.97 (0.80-1.10)",
        "P off at 0, 5 dB": "12, 12%",
        "largest amplitude at 0 dB": "0.97 (0.80-1.10)",
        "off at 0, 5 dB": "12, 12%",
        "peak kept at 0 dB": "0.97 (0.80)",
        "energy added dB at 5 dB": "-3.0, 28.0 (at 48 Hz)",
    }
    assert tables[2][1][0][1:7] == ["20.0, 1.0", "6.0, 0.0", "-, -", "-%", "-, -%", "1.50, 0.00"]
    assert tables[3][1][0][1] == "1.00 (0.50), 5 of 7; 2 unchanged"


def test_nearness_to_the_truth_is_never_alone(results):
    """Each band has a table of what follows, and the recordings have two; a note says what the columns are."""
    text = format_markdown(results)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## `raw` (n=7 mixtures per SNR of 3 events at 2 stations with noise of 1 stations, all stations; medians)",
        "## Recordings, as they came (2.0 h of noise; 0 events with P below and 4 above 15 dB, 9 events in all; "
        "all stations)",
    ]
    assert text.count("| mine |") == text.count("| do nothing |") == 4
    assert "random phases" in text
