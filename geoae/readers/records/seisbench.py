"""Read data sets in the SeisBench format: a folder with waveforms.hdf5 and metadata.csv (STEAD, INSTANCE, ETHZ, ...).

Format: Woollam et al. (2022), SeisBench - A toolbox for machine learning in seismology, doi:10.1785/0220210324.
"""

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.errors import DamagedFileError, InputError, one_line
from geoae.labels.lazy_indexing import lazy_array
from geoae.readers.protocols import Kind

kind: Kind = "records"
"""Kind of data; see `geoae.readers.protocols`."""
COMPONENTS = "ENZ"
# other names of a component: 1 and 2 are the horizontal components of a sensor that is not aligned to north
_ALIASES = {"E": "E2", "N": "N1", "Z": "Z3"}


@dataclass
class SeisBenchSet:
    """An open data set: a row of metadata and a (3, n) waveform for each record. Waveforms are read when used."""

    folder: Path
    rows: list[dict[str, str]]
    """Rows of metadata.csv; the added key `geoae_chunk` is the waveforms file of a row, relative to the folder."""
    _files: dict[tuple[int, str], Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def rate_hz(self, i: int) -> float:
        """Sampling rate of record `i`, Hz."""
        return float(self.rows[i].get("trace_sampling_rate_hz") or 100.0)

    def station(self, i: int) -> str:
        """NET.STA of record `i`."""
        row = self.rows[i]
        return f"{row.get('station_network_code', '')}.{row.get('station_code', '')}"

    def p_sample(self, i: int) -> float | None:
        """Sample number of the P arrival in record `i`; None without a pick."""
        row = self.rows[i]
        # STEAD writes the phase in lower case, INSTANCE in upper case
        text = row.get("trace_p_arrival_sample") or row.get("trace_P_arrival_sample") or "nan"
        return float(text) if math.isfinite(float(text)) else None

    def present(self, i: int) -> tuple[bool, bool, bool]:
        """Whether E, N and Z were recorded: from trace_has_e/n/z if all three are set, else from the samples."""
        flags = [self.rows[i].get(f"trace_has_{c.lower()}", "") for c in COMPONENTS]
        if all(flags):
            e, n, z = (f.strip().lower() in ("true", "1") for f in flags)
        else:
            e, n, z = (bool(np.ptp(np.nan_to_num(x)) > 0) for x in self.waveform(i))
        return e, n, z

    def waveform(self, i: int) -> NDArray[np.floating[Any]]:
        """Samples of record `i`, shape (3, n), rows E N Z as recorded; an absent component is zero."""
        row = self.rows[i]
        handle = self._open(row.get("geoae_chunk", ""))
        name = row["trace_name"]
        try:
            if "$" in name:  # stored in a bucket: "bucket$index,:channels,:samples"
                bucket, _, index = name.partition("$")
                parts = index.split(",")
                data = handle["data"][bucket][tuple([int(parts[0]), *(_parse_slice(p) for p in parts[1:])])]
            else:
                data = handle["data"][name][()]
        except (KeyError, IndexError, ValueError, OSError) as error:
            raise DamagedFileError(
                f"{self.folder.name}: record {name!r} of metadata.csv cannot be read from its waveforms file "
                f"({one_line(error)}). Copy the data set again."
            ) from error
        return _to_enz(np.asarray(data), self._format(handle, "dimension_order", "CW"), self._order(handle, row))

    def _order(self, handle: Any, row: dict[str, str]) -> str:
        return row.get("trace_component_order") or self._format(handle, "component_order", "ZNE")

    @staticmethod
    def _format(handle: Any, key: str, default: str) -> str:
        value = handle["data_format"][key][()] if "data_format" in handle and key in handle["data_format"] else default
        return value.decode() if isinstance(value, bytes) else str(value)

    def _open(self, chunk: str) -> Any:
        import h5py

        key = (os.getpid(), chunk)  # an open file must not cross a fork, so each process opens its own
        if key not in self._files:
            path = self.folder / (chunk or "waveforms.hdf5")
            try:
                self._files[key] = h5py.File(path, "r")
            except OSError as error:
                raise DamagedFileError(
                    f"{path} cannot be opened ({one_line(error)}). Copy the data set again."
                ) from error
        return self._files[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # open files are not sent to other processes


def sniff(path: Path) -> bool:
    """Whether `path` is a folder in the SeisBench format, by the names of its files."""
    try:
        return path.is_dir() and bool(list(_list_chunks(path)))
    except OSError:
        return False


def open_set(folder: Path) -> SeisBenchSet:
    """Open a data set in the SeisBench format.

    Parameters
    ----------
    folder
        Folder with waveforms.hdf5 and metadata.csv, or with waveforms<chunk>.hdf5 and metadata<chunk>.csv for each
        chunk; or a folder of such folders, whose records are taken together.

    Raises
    ------
    InputError
        The folder is not in that format, or metadata.csv has no column `trace_name`.
    DamagedFileError
        metadata.csv cannot be decoded, or a row has no name or an invalid number.
    """
    rows: list[dict[str, str]] = []
    places = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())] if folder.is_dir() else []
    for place in places:
        for chunk in _list_chunks(place):
            waveforms = (place / f"waveforms{chunk}.hdf5").relative_to(folder)
            rows += _read_metadata(place / f"metadata{chunk}.csv", waveforms.as_posix())
    if not rows or "trace_name" not in rows[0]:
        raise InputError(
            f"{folder} is not a data set in the SeisBench format: expected a folder with waveforms.hdf5 and "
            "metadata.csv that names at least one record in a column trace_name."
        )
    return SeisBenchSet(folder, rows)


def read(path: Path) -> xr.DataArray:
    """Read a data set as one lazy array, dims (record, channel, time).

    Short records are padded with NaN at the end; absent components are NaN. Every column of metadata.csv is a
    coordinate along `record`. Samples are read when they are used. If all records have the same sampling rate, it is
    also in ``attrs["sampling_rate_hz"]``.
    """
    data_set = open_set(path)
    n = max(int(float(row.get("trace_npts") or 0)) for row in data_set.rows)
    n = n or max(data_set.waveform(i).shape[1] for i in range(len(data_set)))
    waveforms = _Waveforms(data_set, n)
    lazy = lazy_array(waveforms.shape, np.dtype(np.float32), waveforms.read, slices_only=False)
    columns = [c for c in data_set.rows[0] if c != "geoae_chunk"]
    coords: dict[str, Any] = {c: ("record", [row[c] for row in data_set.rows]) for c in columns}
    coords["sampling_rate_hz"] = ("record", [data_set.rate_hz(i) for i in range(len(data_set))])
    coords["channel"] = list(COMPONENTS)
    attrs: dict[str, Any] = {"source": path.name}
    if len(rates := set(coords["sampling_rate_hz"][1])) == 1:
        attrs["sampling_rate_hz"] = rates.pop()
    return xr.DataArray(xr.Variable(("record", "channel", "time"), lazy), coords=coords, name="trace", attrs=attrs)


class _Waveforms:
    """Waveforms of a data set, padded with NaN at the end, shape (record, channel, time)."""

    def __init__(self, data_set: SeisBenchSet, n: int):
        self.data_set = data_set
        self.shape = (len(data_set), 3, n)

    def read(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        record, channel, time = key
        chosen = np.arange(self.shape[0])[record]
        out = np.full((chosen.size, *self.shape[1:]), np.nan, np.float32)
        for k, i in enumerate(chosen.flat):
            samples = self.data_set.waveform(int(i))[:, : self.shape[2]]
            rows = np.flatnonzero(self.data_set.present(int(i)))
            out[k, rows, : samples.shape[1]] = samples[rows]
        out = out[:, channel][..., time]
        return out if chosen.ndim else out[0]


def _list_chunks(folder: Path) -> Iterator[str]:
    for csv_file in sorted(folder.glob("metadata*.csv")):
        chunk = csv_file.stem.removeprefix("metadata")
        if (folder / f"waveforms{chunk}.hdf5").is_file():
            yield chunk


def _read_metadata(path: Path, chunk: str) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines, restval=""), start=1):
                if fault := _find_fault(row):
                    raise DamagedFileError(f"Row {number} of {path} cannot be used: {fault}. Correct or remove it.")
                yield {**row, "geoae_chunk": chunk}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path} is no CSV table: {error}. Copy the data set again.") from error


def _find_fault(row: dict[str, str]) -> str:
    for key in ("trace_sampling_rate_hz", "trace_npts", "trace_p_arrival_sample", "trace_P_arrival_sample"):
        try:
            float(row.get(key) or 0)
        except ValueError:
            return f"{key} is {row[key]!r} instead of a number"
    if not float(row.get("trace_sampling_rate_hz") or 100) > 0:
        return f"trace_sampling_rate_hz is {row['trace_sampling_rate_hz']} instead of more than 0"
    return "" if row.get("trace_name", "?") else "it has no trace_name"


def _parse_slice(text: str) -> slice:
    start, _, stop = text.partition(":")
    return slice(int(start) if start else None, int(stop) if stop else None)


def _to_enz(data: NDArray[Any], dimension_order: str, component_order: str) -> NDArray[np.floating[Any]]:
    if dimension_order.replace("N", "").startswith("W"):
        data = data.T
    out = np.zeros((3, data.shape[-1]), np.result_type(data.dtype, np.float32))
    for row, code in zip(data, component_order, strict=False):
        for slot, component in enumerate(COMPONENTS):
            if code.upper() in _ALIASES[component]:
                out[slot] = row
    return out
