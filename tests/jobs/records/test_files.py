"""Figure of the first record."""

import numpy as np
import pytest

from geoae.errors import OutputError
from geoae.jobs.records.clean import PlottedRecord
from geoae.jobs.records.files import draw_record
from geoae.labels.segments import Record
from tests.conftest import tiny_model


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    """A format that matplotlib does not write is one error, and no file is left."""
    x = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    record = Record(("XX.A..HHE", "XX.A..HHN", "XX.A..HHZ"), 0, 100.0, 1000, ())
    plotted = PlottedRecord(record, x, 0.5 * x)
    path = draw_record(plotted, tmp_path / "a.png", tiny_model())
    assert path.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(OutputError, match="The recordings are complete"):
        draw_record(plotted, tmp_path / "a.unknown", tiny_model())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
