"""Conformance tests of readers: functions with asserts that explain what a reader must do.

Call `check_records_reader` or `check_fields_reader` with a reader (a module, an object, or the name of an installed
reader) and a file that it reads. Every built-in reader passes.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from geoae import readers
from geoae.errors import InputError
from geoae.labels.cf import grid_layout
from geoae.labels.lazy_indexing import is_in_memory
from geoae.labels.timeaxis import rate_hz, start_ns
from geoae.readers import plugins
from geoae.readers.records import traces

_FOREIGN_FILES = {
    "empty": b"",
    "text": b"no recording, no field\n" * 40,
    "zeros": bytes(4096),
    "noise": np.random.default_rng(0).bytes(4096),
    "one-byte": b"\x89",
}


def check_reader(reader: Any, path: str | Path, *, lazy: bool = True) -> list[xr.DataArray]:
    """Check what a reader of any kind must do.

    `sniff` returns True for the file and False for empty, foreign and missing files, and never raises. `read` returns
    labelled arrays, and equal ones when it is called again. A part of an array equals that part of the whole array.

    Parameters
    ----------
    reader
        A module or object with `sniff` and `read`, or the name of an installed reader.
    path
        A file or folder that it reads. It should be small, because it is read several times.
    lazy
        Whether samples must be read only when they are used. False for a format that can only be read whole.

    Returns
    -------
    list of DataArray
        The arrays that `read` returns.

    Raises
    ------
    AssertionError
        The reader does not conform.
    """
    path = Path(path)
    complete = _complete_reader(reader)
    _check_sniff(_author_reader(reader), path)
    arrays, again = _read_arrays(complete, path), _read_arrays(complete, path)
    assert arrays, f"read({path.name!r}) returns no array; at least one was expected."
    assert len(arrays) == len(again), (
        f"Two calls of read return {len(arrays)} and {len(again)} arrays; they must be equal."
    )
    for x, y in zip(arrays, again, strict=True):
        label = f"array {x.name!r} of {path.name}"
        if lazy:
            assert not is_in_memory(x), (
                f"The samples of {label} lie in memory after read. Read them when they are used (chunks of dask, or "
                "arrays that xarray indexes lazily), or pass lazy=False for a format that can only be read whole."
            )
        _check_parts(x, y, label)
        xr.testing.assert_identical(x.drop_attrs(), y.drop_attrs())
    return arrays


def check_records_reader(
    reader: Any, path: str | Path, expected: Sequence[xr.DataArray] | None = None, *, lazy: bool = True
) -> None:
    """Check a reader of recordings on a file that it reads.

    In addition to `check_reader`: arrays have dims (channel, time), ids, a rate and a start, and gaps are NaN.
    Selections by id and by time have the same samples as the whole. The segments of `scan` contain all samples that
    `read` returns.

    Parameters
    ----------
    reader, path, lazy
        As for `check_reader`. For a reader without `scan`, the one that geoae derives is checked.
    expected
        Content of the file, one array for each record in any order: dims (channel, time), the coordinate `id`, NaN in
        gaps, a time coordinate or ``attrs["sampling_rate_hz"]``. None: the content is not compared.

    Raises
    ------
    AssertionError
        The reader does not conform.
    """
    path = Path(path)
    arrays = check_reader(reader, path, lazy=lazy)
    complete: Any = _complete_reader(reader)
    for x in arrays:
        _check_record(x, path)
    if expected is not None:
        _check_expected_records(arrays, expected, path)
    _check_id_selection(complete, arrays, path)
    _check_time_selection(complete, arrays[0], path)
    _check_scan(complete, arrays, path)


def check_fields_reader(
    reader: Any, path: str | Path, expected: Mapping[str, Any] | None = None, *, lazy: bool = True
) -> None:
    """Check a reader of gridded fields on a file that it reads.

    In addition to `check_reader`: every variable has a name, two horizontal dimensions and a coordinate along each of
    them. `contents` has every variable that `read` returns. A variable can be read alone, by name.

    Parameters
    ----------
    reader, path, lazy
        As for `check_reader`. For a reader without `contents`, the one that geoae derives is checked.
    expected
        Samples of each variable by name, NaN where they are missing. None: the content is not compared.

    Raises
    ------
    AssertionError
        The reader does not conform.
    """
    path = Path(path)
    fields = check_reader(reader, path, lazy=lazy)
    complete: Any = _complete_reader(reader)
    names = [str(x.name) for x in fields]
    assert len(set(names)) == len(names), f"Two variables of {path.name} share a name: {', '.join(names)}."
    for x in fields:
        assert x.name is not None, f"A variable of {path.name} has no name; set x.name."
        try:
            layout = grid_layout(x)
        except InputError as error:
            raise AssertionError(f"{x.name} of {path.name} is no field on a grid: {error}") from error
        for dim in layout.horizontal:
            assert dim in x.coords, f"{x.name} of {path.name} has no coordinate along {dim}; give it one."
        (alone,) = complete.read(path, var=[str(x.name)])
        np.testing.assert_array_equal(
            alone.values, x.values, f"{x.name} of {path.name} has other samples when it is read alone."
        )
    contents = complete.contents(path)
    missing = set(names) - set(contents)
    assert not missing, f"contents({path.name!r}) has no {', '.join(sorted(missing))}, which read returns."
    for x in contents.values():
        x.close()
    if expected is not None:
        assert set(names) == set(expected), f"{path.name} holds {sorted(names)}; {sorted(expected)} were expected."
        for x in fields:
            np.testing.assert_array_equal(
                x.values, np.asarray(expected[str(x.name)]), f"{x.name} of {path.name} holds other samples."
            )


def _author_reader(reader: Any) -> Any:
    """The reader without the wrapper of geoae."""
    if isinstance(reader, str):
        reader = readers.open_reader(reader)
    return reader.plugin if isinstance(reader, plugins.PluginRecords | plugins.PluginFields) else reader


def _complete_reader(reader: Any) -> Any:
    """The reader with all functions that the jobs use."""
    if isinstance(reader, str):
        return readers.open_reader(reader)
    built_in = isinstance(reader, ModuleType) and reader.__name__ in readers.READERS.values()
    if built_in and (reader.kind == "fields" or hasattr(reader, "scan") or reader.__name__.endswith("seisbench")):
        return reader
    if isinstance(reader, plugins.PluginRecords | plugins.PluginFields):
        return reader
    return plugins.wrap_reader(reader, getattr(reader, "__name__", type(reader).__name__))


def _read_arrays(reader: Any, path: Path) -> list[xr.DataArray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about a file are allowed
        found = reader.read(path)
    return [found] if isinstance(found, xr.DataArray) else list(found)


def _check_sniff(reader: Any, path: Path) -> None:
    def sniff(place: Path, label: str) -> object:
        try:
            return reader.sniff(place)
        except Exception as error:
            raise AssertionError(f"sniff raises {error!r} for {label}; it must return False instead.") from error

    result = sniff(path, path.name)
    assert result is True, f"sniff({path.name!r}) returns {result!r}; it must return True for a file of the reader."
    with tempfile.TemporaryDirectory() as folder:
        places = {"a missing file": Path(folder, "missing"), "a folder of other files": Path(folder)}
        for name, content in _FOREIGN_FILES.items():
            places[f"a foreign file ({name})"] = Path(folder, name)
            Path(folder, name).write_bytes(content)
        for label, place in places.items():
            result = sniff(place, label)
            assert result is False, f"sniff returns {result!r} for {label}; it must return False."


def _check_parts(x: xr.DataArray, again: xr.DataArray, label: str) -> None:
    """Check that parts that are read alone equal the same parts of the whole array."""
    whole = again.values
    n = x.sizes[x.dims[-1]]
    for part in (slice(0, 1), slice(n // 3, 2 * n // 3 + 1), slice(n - 1, n), slice(None, None, 2)):
        key = (..., part)
        np.testing.assert_array_equal(
            x[key].values,
            whole[key],
            f"Samples {part.start}:{part.stop} of {label} differ from those of the whole array.",
        )
    np.testing.assert_array_equal(
        x[-1].values, whole[-1], f"The last row of {label} differs from that of the whole array."
    )


def _check_record(x: xr.DataArray, path: Path) -> None:
    assert x.dims == ("channel", "time"), f"A record of {path.name} has dims {x.dims}; (channel, time) was expected."
    for name in ("channel", "id", "time"):
        assert name in x.coords, f"A record of {path.name} has no coordinate {name!r}."
    assert x["id"].dims == ("channel",), f"The coordinate id has dims {x['id'].dims}; (channel,) was expected."
    ids = [str(id_) for id_ in x["id"].values]
    assert all(id_.count(".") >= 3 for id_ in ids), f"Ids {ids} of {path.name} are not all NET.STA.LOC.CHA."
    assert len(set(ids)) == len(ids), f"Ids {ids} of one record of {path.name} are not all different."
    assert x.dtype.kind in "biuf", f"Samples of {path.name} are {x.dtype}; real numbers were expected."
    assert rate_hz(x) > 0, f"The rate of a record of {path.name} is {rate_hz(x)} Hz."
    times = x["time"].values
    assert times.dtype.kind == "M", f"Times of {path.name} are {times.dtype}; datetime64 was expected."
    steps: Any = np.diff(times.astype("M8[ns]").astype(np.int64))
    uneven = steps.size and np.abs(steps - 1e9 / rate_hz(x)).max() > 0.1e9 / rate_hz(x) + 1
    assert not uneven, f"Times of {path.name} are uneven, or do not fit {rate_hz(x):g} Hz. Gaps must be NaN samples."


def _check_expected_records(arrays: list[xr.DataArray], expected: Sequence[xr.DataArray], path: Path) -> None:
    assert len(arrays) == len(expected), (
        f"read({path.name!r}) returns {len(arrays)} records; {len(expected)} were expected."
    )

    def key(x: xr.DataArray) -> tuple[str, int]:
        return ",".join(map(str, x["id"].values)), start_ns(x)

    for x, known in zip(sorted(arrays, key=key), sorted(expected, key=key), strict=True):
        label = f"{', '.join(map(str, x['id'].values))} of {path.name}"
        assert list(x["id"].values) == list(known["id"].values), f"Ids of {label} differ: {list(known['id'].values)}."
        half = 0.5e9 / rate_hz(x)
        assert abs(rate_hz(x) / rate_hz(known) - 1) < 1e-6, f"{label} has {rate_hz(x)} Hz, not {rate_hz(known)} Hz."
        assert abs(start_ns(x) - start_ns(known)) <= half, f"{label} starts {start_ns(x) - start_ns(known)} ns late."
        np.testing.assert_array_equal(x.values, known.values, f"{label} holds other samples.")


def _check_id_selection(reader: Any, arrays: list[xr.DataArray], path: Path) -> None:
    for id_ in sorted({str(name) for x in arrays for name in x["id"].values}):
        found = reader.read(path, ids=[id_])
        held = {str(name) for x in found for name in x["id"].values}
        assert held == {id_}, f"read({path.name!r}, ids=[{id_!r}]) returns {sorted(held)}."
        n = sum(int(np.isfinite(x.values).sum()) for x in found)
        expected = sum(
            int(np.isfinite(x.values[row]).sum())
            for x in arrays
            for row, name in enumerate(x["id"].values)
            if name == id_
        )
        assert n == expected, f"{id_} has {n} samples when it is read alone, and {expected} when all ids are read."


def _check_time_selection(reader: Any, x: xr.DataArray, path: Path) -> None:
    times = x["time"].values.astype("M8[ns]")
    first, last = (times[k * len(times) // 4].astype("M8[us]") for k in (1, 3))
    start, end = str(first), str(last)
    id_ = str(x["id"].values[0])
    found = reader.read(path, ids=[id_], start_time=start, end_time=end)
    for part in found:
        inside = (part["time"].values >= first) & (part["time"].values <= last)
        assert inside.all(), f"read({path.name!r}) from {first} to {last} returns samples outside."
    inside = (times >= first) & (times <= last)
    expected = x.values[0][inside]
    held = [part.values[0] for part in found]
    n = sum(int(np.isfinite(samples).sum()) for samples in held)
    least = int(np.isfinite(expected).sum())
    assert n >= least, f"read({path.name!r}) from {first} to {last} returns {n} samples of {id_}; there are {least}."


def _check_scan(reader: Any, arrays: list[xr.DataArray], path: Path) -> None:
    """Check that every segment lies in a record, and every number of a record in a segment."""
    scan = reader.scan(path)
    values = [x.values for x in arrays]
    unassigned = [np.isfinite(samples) for samples in values]
    for segment in scan.segments:
        if segment.text or segment.n == 0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = traces.fetch_samples(segment)
        label = f"segment of {segment.id} at {segment.start_ns} ns"
        assert samples.shape == (segment.n,), f"The {label} holds samples of shape {samples.shape}, not ({segment.n},)."
        place = _find_segment(segment, samples, arrays, values, unassigned)
        assert place is not None, (
            f"The {label} ({segment.n} samples at {segment.rate_hz:g} Hz) of scan is in no record of read with the "
            "same samples at the same time."
        )
        number, row, first = place
        unassigned[number][row, first : first + segment.n] = False
        headers = traces.read_header(segment)
        assert (headers.npts, headers.starttime.ns) == (segment.n, segment.start_ns), f"Headers of the {label} differ."
        part = traces.fetch_samples(segment, segment.n // 2)
        np.testing.assert_array_equal(
            part, samples[segment.n // 2 :], f"Half of the {label} differs from the whole segment."
        )
    outside = sum(int(samples.sum()) for samples in unassigned)
    assert not outside, f"read({path.name!r}) returns {outside} samples that are in no segment of scan."


def _find_segment(
    segment: Any,
    samples: np.ndarray,
    arrays: list[xr.DataArray],
    values: list[np.ndarray],
    unassigned: list[np.ndarray],
) -> tuple[int, int, int] | None:
    """Find number of the record, row and first sample of a segment; None if it is in no record."""
    for number, x in enumerate(arrays):
        shift = (segment.start_ns - start_ns(x)) * rate_hz(x) / 1e9
        # segments that follow each other are placed without a gap, even if the clock drifts by up to a sample
        for first in (round(shift), round(shift) - 1, round(shift) + 1):
            for row, id_ in enumerate(x["id"].values):
                if id_ != segment.id or first < 0 or first + segment.n > x.sizes["time"]:
                    continue
                span = slice(first, first + segment.n)
                same = np.array_equal(
                    values[number][row, span], samples.astype(x.dtype), equal_nan=samples.dtype.kind == "f"
                )
                if same and unassigned[number][row, span].any():
                    return number, row, first
    return None
