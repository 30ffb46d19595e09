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
    """Position among the segments of its source: output keeps this order."""
    source: Path | None
    """The file, or None for data in memory."""
    locator: object
    """Where the samples are: a `geoae.readers.protocols.Locator` or data of the reader that made the segment."""
    text: bool = False
    """True for text and log channels, which are passed through."""


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment and its place in a record: row and first sample."""

    segment: Segment
    row: int
    first: int


@dataclass(frozen=True, slots=True)
class Record:
    """One sensor over one stretch of time: rows of samples at one rate, with NaN where no segment lies."""

    ids: tuple[str, ...]
    """One per row, in the order E N Z, 1 2 Z, ..."""
    start_ns: int
    rate_hz: float
    n: int
    placed: tuple[PlacedSegment, ...]
    """Sorted by row and first sample. Segments of one row never overlap: overlapping segments are in other records."""
