"""Segments that are parts of one recording, for tests of overlaps."""

from dataclasses import dataclass, replace

import numpy as np

from geoae.labels.segments import Segment
from geoae.readers.records.arrange import assemble_block

SAMPLES = np.random.default_rng(0).integers(-1000, 1000, 10_000)
"""The recording; sample i is at second 1000 + i / 100."""


@dataclass(frozen=True)
class Part:
    """Samples of the recording from one on, `add` to each; see `geoae.readers.protocols.Locator`."""

    first: int
    add: int = 0
    dtype = SAMPLES.dtype

    def read(self, start, stop):
        return SAMPLES[self.first + start : self.first + stop] + self.add

    def part(self, start, stop):
        return replace(self, first=self.first + start)


def part(start, stop, *, code="HHZ", order=0, add=0, source=None, late_s=0.0):
    """The segment of samples start ... stop; its clock is late by `late_s`."""
    start_ns = 1000 * 10**9 + round((start / 100 + late_s) * 1e9)
    return Segment(f"XX.A..{code}", start_ns, 100.0, stop - start, order, source, Part(start, add))


def read_all(record, fetch):
    """All samples of a record."""
    return assemble_block(record, range(len(record.ids)), 0, record.n, np.dtype(float), fetch)


def list_spans(record):
    """Components, and first samples and ends of the segments of a record."""
    return [(p.segment.id[-1], p.first, p.first + p.segment.n) for p in record.placed]
