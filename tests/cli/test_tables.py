"""Tables and summary lines."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geoae.cli import tables
from geoae.jobs.inspect import SourceContent, TraceRow
from geoae.jobs.records.counts import RecordSummary, TraceCounts
from geoae.labels.segments import PlacedSegment, Segment
from geoae.records.faults import Faults
from geoae.stores.ledger import Status


def summary(n_outputs: int) -> RecordSummary:
    segment = Segment("XX.A..HHZ", 0, 100.0, 2000, 0, Path("a"), None)
    counts = TraceCounts([segment])
    x = np.random.default_rng(0).normal(size=2000)
    counts[segment].add(x, 0.1 * x, PlacedSegment(segment, 0, 0), 0, Faults(0, None, ()))
    return RecordSummary(counts.conclude(), [Path(f"{i}.mseed") for i in range(n_outputs)], [], [], "tiny 01", 2.0)


def test_the_table_of_a_run():
    """One line for each trace, with a legend; a dry run has neither sums nor legend."""
    shown = tables.summary_table(summary(1), dry_run=False)
    assert "rms: without drift" in shown
    assert "20.0" in shown
    assert "2,000" in shown
    assert "rms" not in tables.summary_table(summary(1), dry_run=True)


def test_the_line_on_outputs():
    """Three names at most, then their number; a dry run names no model."""
    assert tables.format_outputs(summary(1), dry_run=False) == "wrote 0.mseed (model tiny 01, 2.0 s)"
    done = replace(summary(1), format="SAC and MSEED")
    assert tables.format_outputs(done, dry_run=False) == "wrote 0.mseed (SAC and MSEED; model tiny 01, 2.0 s)"
    assert tables.format_outputs(done, dry_run=True) == "would write 0.mseed (SAC and MSEED)"
    unchanged = [replace(summary(n), is_unchanged=True) for n in (1, 2)]
    assert tables.format_outputs(unchanged[0], dry_run=False) == "left as it was: 0.mseed"
    assert tables.format_outputs(unchanged[1], dry_run=False) == "left as they were: 0.mseed, 1.mseed"
    shown = tables.format_outputs(summary(5), dry_run=True)
    assert shown == "would write 0.mseed, 1.mseed, 2.mseed and 2 more"


def test_levels_of_counts_have_no_exponent():
    """Up to ten million; small and huge levels, as in other units, have one."""
    shown = [tables._level(value) for value in (0.5, 1213.4, 11084.3, 2.106e5, 3e7, 2e-9, np.nan)]
    assert shown == ["0.5", "1213", "11,084", "210,600", "3e+07", "2e-09", "-"]


@pytest.mark.parametrize(("width", "lines"), [(120, 1), (80, 2)])
def test_a_narrow_terminal_breaks_times_and_not_ids(monkeypatch, width, lines):
    """Dates stand above times; all columns stay inside the width."""
    row = TraceRow("YA.UV05.00.HHZ", 10**18 + 1000, 10**18 + 3000, 100.0, 8_640_000, 0, 0)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    styled = tables.recording_table("a", SourceContent([row], [], [], 1))
    table = re.sub(r"\x1b\[\d*m", "", styled).splitlines()[1:-1]
    shown = table[-lines:]
    assert table[-lines - 1].startswith(" ──")
    assert shown[0].split()[:2] == ["YA.UV05.00.HHZ", "2001-09-09"]
    assert "01:46:40.000001" in shown[-1].split()
    assert " overlaps" in "".join(table[: -lines - 1])
    assert max(map(len, table)) <= width


def test_times_after_the_end_of_calendars_are_years():
    """As a rate of 1e-9 Hz gives; the other times have milliseconds or microseconds."""
    assert tables._time(10**18) == "2001-09-09 01:46:40.000"
    assert tables._time(10**18 + 1000) == "2001-09-09 01:46:40.000001"
    assert tables._time(10**21) == "year 33658.7"
    assert tables._time(10**60).startswith("year 3.1")


def test_the_status_names_both_models():
    """A partner, too, decides the samples."""
    settings = {"model": "seismic", "digest": "01", "partner": "seismic-long", "partner_digest": "02"}
    found = Status(Path("a.zarr"), True, 1, 1, "now", settings)
    assert "  model  seismic 01 + seismic-long 02" in tables.status_table(Path("a.zarr"), found)
