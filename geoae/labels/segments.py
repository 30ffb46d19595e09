"""Segments of a recording, and the records that they form."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Segment:
    """One gap-free stretch of one channel, as found in a file or a Stream."""

    id: str
    """NET.STA.LOC.CHA; parts may be empty."""
    start_ns: int
    """Time of the first sample, ns since 1970-01-01 UTC."""
    rate_hz: float
    n: int
    """Number of samples; 0 for text and log channels."""
    order: int
    """Position among the segments of its source: output keeps this order. Parts of one segment have the same."""
    source: Path | None
    """The file, or None for data in memory."""
    locator: object
    """Where the samples are: a `geoae.readers.protocols.Locator` or data of the reader that made the segment."""
    text: bool = False
    """True for text and log channels, which are passed through."""


def touches(segment: Segment, following: Segment) -> bool:
    """Whether a segment begins within half a sample of the end of another one."""
    return abs(count_missing_samples(segment, following)) <= 0.5 + 1e-9


def count_missing_samples(segment: Segment, following: Segment) -> float:
    """Number of samples between the end of a segment and the start of another one; negative if they overlap."""
    return (following.start_ns - segment.start_ns) * segment.rate_hz / 1e9 - segment.n


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment and its place in a record: row and first sample."""

    segment: Segment
    row: int
    first: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """A segment that overlaps an earlier one of its id, with other samples."""

    id: str
    start_ns: int
    n: int
    """Number of samples that overlap."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sensor over one stretch of time: rows of samples at one rate, with NaN where no segment lies."""

    ids: tuple[str, ...]
    """One per row, in the order E N Z, 1 2 Z, ..."""
    start_ns: int
    rate_hz: float
    n: int
    placed: tuple[PlacedSegment, ...]
    """Sorted by row and first sample. Segments of one row that overlap have the same samples there."""
    overlaps: tuple[Overlap, ...] = ()
    """Segments whose samples differ from those of other records of the sensor."""
    reads: tuple[PlacedSegment, ...] = ()
    """What is read, if it is not `placed`: parts of segments that do not overlap, sorted like these."""
    has_context: bool = False
    """Whether samples of other records are read where this one has none; only those of `placed` belong to it."""

    @property
    def sources(self) -> tuple[PlacedSegment, ...]:
        """Parts of segments that are read: they do not overlap, and are sorted by row and first sample."""
        return self.reads or self.placed
