"""Recorded events and noise: which records are used, and functions of one rate on records of any rate."""

import csv

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.records.recordings import adapt_to_records, denoise_recording, open_recordings
from tests.support.mixtures import draw_event, write_set

WHOLE, ONLY_Z = (True, True, True), (False, False, True)


def add_columns(folder, **columns):
    """Add columns to metadata.csv: name -> value of each row."""
    path = folder / "metadata.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    for name, values in columns.items():
        for row, value in zip(rows, [name, *values], strict=True):
            row.append(value)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two data folders: one with columns on kind, source and SNR, one without."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("recordings")
    events = [(f"twin{i}", "XX.A", 50.0, draw_event(rng, 50), 1500, WHOLE) for i in range(10)]
    events += [("slow", "XX.B", 1.0, rng.normal(size=(3, 900)), "", WHOLE)]
    events += [("one", "XX.C", 100.0, draw_event(rng) * [[0], [0], [1]], 3000, ONLY_Z)]
    broken = draw_event(rng)
    broken[1, 5] = np.nan
    events += [("broken", "XX.D", 100.0, broken, 3000, WHOLE), ("short", "XX.E", 1.0, np.ones((3, 50)), "", WHOLE)]
    write_set(root / "a" / "events", events)
    add_columns(
        root / "a" / "events",
        event_kind=["local"] * 10 + ["teleseism", "local", "local", "local"],
        source_id=["1"] * 10 + ["", "2", "3", "4"],
        trace_snr_db=["12.5"] * 10 + [""] * 4,
    )
    noise = [(f"n{i}", "XX.A", 100.0, rng.normal(size=(3, 1500)), "", WHOLE) for i in range(45)]
    write_set(root / "a" / "noise", noise)
    write_set(root / "b" / "events", [("plain", "XX.F", 100.0, draw_event(rng), 3000, WHOLE)])
    write_set(root / "b" / "noise", [("m", "XX.G", 100.0, rng.normal(size=(3, 1500)), "", WHOLE)])
    return root / "a", root / "b"


def test_records_of_all_kinds_and_rates_are_read(folders):
    """At most 8 of one event; broken and short ones are left out; an absent component is zero."""
    found = {record.name: record for record in open_recordings(folders, "events", "all")}
    assert set(found) == {*(f"twin{i}" for i in range(8)), "slow", "one", "plain"}
    assert (found["slow"].kind, found["slow"].rate_hz, found["slow"].p) == ("teleseism", 1, None)
    assert (found["twin0"].snr_db, found["twin0"].p) == (12.5, 1500)
    assert np.isnan(found["slow"].snr_db)
    assert found["one"].snr_db > 40
    np.testing.assert_array_equal(found["one"].data[:2], 0)
    assert found["plain"].kind == "unknown"
    assert len(list(open_recordings(folders, "noise", "all"))) == 41
    few = [record.name for record in open_recordings(folders, "events", "all", most=2)]
    assert few == ["twin0", "twin6", "slow", "plain"]
    assert len(list(open_recordings(folders, "noise", "all", most=20))) == 14


def test_stations_are_split_as_in_training(folders):
    """Validation and training stations are all stations, and none is in both."""
    names = {s: {r.name for r in open_recordings(folders, "events", s, 2)} for s in ("validation", "train", "all")}
    assert names["validation"] | names["train"] == names["all"]
    assert not names["validation"] & names["train"]
    assert names["validation"]


def test_a_folder_may_hold_events_or_noise_alone(folders, tmp_path):
    """The side that it lacks is taken from the others; a folder with neither is refused."""
    rng = np.random.default_rng(3)
    write_set(tmp_path / "more" / "events", [("extra", "XX.H", 100.0, draw_event(rng), 3000, WHOLE)])
    both = (folders[1], tmp_path / "more")
    assert [record.name for record in open_recordings(both, "events", "all")] == ["plain", "extra"]
    assert [record.name for record in open_recordings(both, "noise", "all")] == ["m"]
    with pytest.raises(InputError, match="SeisBench"):
        open_recordings([tmp_path], "events", "all")


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 99.99, 250.0])
def test_a_function_of_one_rate_takes_other_rates(rate_hz):
    """Half of what is taken off comes off at every rate; nothing changes where nothing is taken off."""
    x = draw_event(np.random.default_rng(1), rate_hz, 79.9)
    np.testing.assert_allclose(adapt_to_records(lambda y: y)(x, rate_hz), x, atol=1e-9)
    half = adapt_to_records(lambda y: 0.5 * y)(x, rate_hz)
    assert np.abs(half - 0.5 * x).max() < 0.03 * np.abs(x).max()


def test_records_at_other_rates_stay():
    """A record at 1 Hz is not resampled a hundredfold; it comes back as it is."""
    x = np.ones((3, 100))
    assert adapt_to_records(lambda y: 0 * y)(x, 1.0) is x


def test_results_are_checked():
    """Another shape is refused, samples that are not finite become zero, and the input is a copy."""
    x = np.ones((3, 100))
    with pytest.raises(InputError, match="keep the shape"):
        denoise_recording(lambda y, rate_hz: y[:1], x, 100.0)

    def spoil(y, rate_hz):
        y[0, 0] = np.nan
        return y

    result = denoise_recording(spoil, x, 100.0)
    assert result[0, 0] == 0
    assert x[0, 0] == 1
