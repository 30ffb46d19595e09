"""What a reader offers. A reader is a module or an object; it needs no base class.

Every reader has `sniff` and `read`. `kind` says what it reads: "records" (traces of sensors) or "fields" (gridded
variables). geoae derives `scan` and `contents` for the readers of other packages that do not offer them, see
`geoae.readers.from_arrays`. `geoae.testing.readers` holds tests that a reader should pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from geoae.labels.segments import Segment

__all__ = ["FieldsReader", "Kind", "Locator", "Place", "Reader", "RecordsReader", "Scan", "Segment"]

Kind = Literal["records", "fields"]
Place = Path | str
"""A path, or a URL as text."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The segments of a file of recordings."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
    """One line each: what is odd."""
    losses: tuple[str, ...] = ()
    """One line each: what is damaged and could not be read."""


@runtime_checkable
class Locator(Protocol):
    """Where the samples of one segment are: `Segment.locator`. It has to be hashable."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples, as `read` gives them."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop of the segment, shape (time,); NaN where one is missing."""

    def part(self, start: int, stop: int) -> "Locator":
        """The locator of the segment that holds only samples start ... stop."""

    def headers(self) -> Any:
        """A new ObsPy Stats, with all that the format says; geoae sets start and number of samples."""

    def raw_bytes(self) -> bytes | None:
        """The miniSEED records of the segment, which are copied unchanged; None for every other format."""


class Reader(Protocol):
    """What every reader offers."""

    def sniff(self, path: Path) -> bool:
        """Whether the reader reads this file or folder, by its first bytes or names.

        It is asked of every file that geoae itself does not recognise: it must be quick, and never raise.
        """

    def read(self, path: Any, **selection: Any) -> xr.DataArray | Sequence[xr.DataArray]:
        """One labelled array, or several; samples are best read when they are used.

        Records have dims (channel, time), a coordinate ``channel`` with codes, a coordinate ``id`` along it with
        NET.STA.LOC.CHA (or attributes network, station, location), a time coordinate, or
        ``attrs["sampling_rate_hz"]``; gaps are NaN. Fields have names, two horizontal dimensions with coordinates,
        and a time coordinate where they have times.
        """


class RecordsReader(Reader, Protocol):
    """A reader of recordings, as the jobs use it."""

    def scan(self, path: Path, ids: Sequence[str] = (), start_time: Any = None, end_time: Any = None) -> Scan:
        """Find the segments of one file.

        Parameters
        ----------
        path
            One file or folder.
        ids
            NET.STA.LOC.CHA with the wildcards * ? [ ]; all if empty.
        start_time, end_time
            Anything `obspy.UTCDateTime` takes; samples from one to the other, both included, are taken.
        """


class FieldsReader(Reader, Protocol):
    """A reader of gridded fields, as the jobs use it."""

    def contents(self, place: Place, **options: Any) -> Mapping[str, xr.DataArray]:
        """All variables of one place by name, lazily; also those that are no fields on a grid."""
