"""Functions that a reader must have. A reader is a module or an object; it needs no base class.

Every reader has `sniff` and `read`. Its `kind` is "records" (traces of sensors) or "fields" (gridded variables). For
readers of other packages without `scan` or `contents`, geoae derives these, see `geoae.readers.from_arrays` and
`geoae.readers.plugins`. `geoae.testing.readers` has tests that every reader should pass.
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
    """Remarks on the file, one line each."""
    losses: tuple[str, ...] = ()
    """Damaged parts that could not be read, one line each."""


@runtime_checkable
class Locator(Protocol):
    """Where the samples of one segment are: `Segment.locator`. It must be hashable."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples that `read` returns."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop of the segment, shape (time,); missing ones are NaN."""

    def part(self, start: int, stop: int) -> "Locator":
        """Return the locator of a segment that has only samples start ... stop."""

    def headers(self) -> Any:
        """Return a new ObsPy Stats with all headers of the format; geoae sets start and number of samples."""

    def raw_bytes(self) -> bytes | None:
        """Return the miniSEED records of the segment, to be copied unchanged; None for other formats."""


class Reader(Protocol):
    """Functions of every reader."""

    def sniff(self, path: Path) -> bool:
        """Whether the reader reads this file or folder, by its first bytes or names.

        It is called for every file that geoae itself does not recognise. It must be quick and never raise.
        """

    def read(self, path: Any, **selection: Any) -> xr.DataArray | Sequence[xr.DataArray]:
        """Return one or several labelled arrays; samples should be read when they are used.

        Records have dims (channel, time), a coordinate ``channel`` with codes, a coordinate ``id`` along it with
        NET.STA.LOC.CHA (or attributes network, station, location), and a time coordinate or
        ``attrs["sampling_rate_hz"]``. Gaps are NaN. Fields have names, two horizontal dimensions with coordinates,
        and a time coordinate if they have times.
        """


class RecordsReader(Reader, Protocol):
    """A reader of recordings with all functions that the jobs use."""

    def scan(self, path: Path, ids: Sequence[str] = (), start_time: Any = None, end_time: Any = None) -> Scan:
        """Find the segments of one file.

        Parameters
        ----------
        path
            One file or folder.
        ids
            NET.STA.LOC.CHA with the wildcards * ? [ ]; all if empty.
        start_time, end_time
            Anything `obspy.UTCDateTime` accepts; both ends are included.
        """


class FieldsReader(Reader, Protocol):
    """A reader of gridded fields with all functions that the jobs use."""

    def contents(self, place: Place, **options: Any) -> Mapping[str, xr.DataArray]:
        """Return all variables of one place by name, lazily, including those that are no fields on a grid."""
