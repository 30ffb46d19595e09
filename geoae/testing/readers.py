"""Conformance tests of readers: plain functions with asserts that explain what a reader must do.

Call `check_records_reader` or `check_fields_reader` with a reader (a module, an object, or the name of an installed
one) and a file that it reads. They pass for every built-in reader of that kind.
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

_FOREIGN = {
    "empty": b"",
    "text": b"no recording, no field\n" * 40,
    "zeros": bytes(4096),
    "noise": np.random.default_rng(0).bytes(4096),
    "one-byte": b"\x89",
}


def check_reader(reader: Any, path: str | Path, *, lazy: bool = True) -> list[xr.DataArray]:
    """Check what every reader promises, whatever its kind.

    `sniff` gives True for the file and False for files that are empty, foreign or missing, and never raises; `read`
    gives labelled arrays, and the same ones again; a part of an array is read as the same part of all of it.

    Parameters
    ----------
    reader
        A module or object with `sniff` and `read`, or the name of an installed reader.
    path
        A file or folder that it reads; small, since all of it is read several times.
    lazy
        Whether samples are read only when they are used. False for a format that can only be read whole.

    Returns
    -------
    list of DataArray
        What was read.

    Raises
    ------
    AssertionError
        The reader breaks a promise.
    """
    path = Path(path)
    raw, whole = _raw(reader), _complete(reader)
    _check_sniff(raw, path)
    arrays, again = _read(whole, path), _read(whole, path)
    assert arrays, f"read({path.name!r}) gives no array; a file that the reader reads should hold one."
    assert len(arrays) == len(again), f"Two reads give {len(arrays)} and {len(again)} arrays; both should be the same."
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

    Beside what `check_reader` checks: arrays have dims (channel, time), ids, a rate and a start; gaps are NaN;
    selections by id and by time give the same samples as the whole; the segments of `scan` hold what `read` gives, and
    no number lies outside of them.

    Parameters
    ----------
    reader, path, lazy
        As for `check_reader`. Of a reader that has no `scan`, the one that geoae derives is checked.
    expected
        What the file holds, one array a record in any order: dims (channel, time), the coordinate `id`, NaN in gaps,
        a time coordinate or ``attrs["sampling_rate_hz"]``. None: only the promises are checked.

    Raises
    ------
    AssertionError
        The reader breaks a promise.
    """
    path = Path(path)
    arrays = check_reader(reader, path, lazy=lazy)
    whole: Any = _complete(reader)
    for x in arrays:
        _check_record(x, path)
    if expected is not None:
        _check_expected_records(arrays, expected, path)
    _check_id_selection(whole, arrays, path)
    _check_time_selection(whole, arrays[0], path)
    _check_scan(whole, arrays, path)


def check_fields_reader(
    reader: Any, path: str | Path, expected: Mapping[str, Any] | None = None, *, lazy: bool = True
) -> None:
    """Check a reader of gridded fields on a file that it reads.

    Beside what `check_reader` checks: every variable has a name, two horizontal dimensions and a coordinate along each
    of them; `contents` holds every variable that `read` gives; a variable is also read alone, by name.

    Parameters
    ----------
    reader, path, lazy
        As for `check_reader`. Of a reader that has no `contents`, those that geoae derives are checked.
    expected
        Name -> samples of each variable, NaN where they are missing. None: only the promises are checked.

    Raises
    ------
    AssertionError
        The reader breaks a promise.
    """
    path = Path(path)
    fields = check_reader(reader, path, lazy=lazy)
    whole: Any = _complete(reader)
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
        (alone,) = whole.read(path, var=[str(x.name)])
        np.testing.assert_array_equal(
            alone.values, x.values, f"{x.name} of {path.name}, read alone, is not what it is beside the others."
        )
    contents = whole.contents(path)
    lacking = set(names) - set(contents)
    assert not lacking, f"contents({path.name!r}) lacks {', '.join(sorted(lacking))}, which read gives."
    for x in contents.values():
        x.close()
    if expected is not None:
        assert set(names) == set(expected), f"{path.name} holds {sorted(names)}; {sorted(expected)} were expected."
        for x in fields:
            np.testing.assert_array_equal(
                x.values, np.asarray(expected[str(x.name)]), f"{x.name} of {path.name} holds other samples."
            )


def _raw(reader: Any) -> Any:
    """The reader as its author wrote it."""
    if isinstance(reader, str):
        reader = readers.open_reader(reader)
    return reader.plugin if isinstance(reader, plugins.PluginRecords | plugins.PluginFields) else reader


def _complete(reader: Any) -> Any:
    """The reader with all that the jobs need."""
    if isinstance(reader, str):
        return readers.open_reader(reader)
    built_in = isinstance(reader, ModuleType) and reader.__name__ in readers.READERS.values()
    if built_in and (reader.kind == "fields" or hasattr(reader, "scan") or reader.__name__.endswith("seisbench")):
        return reader
    if isinstance(reader, plugins.PluginRecords | plugins.PluginFields):
        return reader
    return plugins.wrap_reader(reader, getattr(reader, "__name__", type(reader).__name__))


def _read(reader: Any, path: Path) -> list[xr.DataArray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a file may be said, and is no fault of the reader
        found = reader.read(path)
    return [found] if isinstance(found, xr.DataArray) else list(found)


def _check_sniff(reader: Any, path: Path) -> None:
    def sniff(place: Path, what: str) -> object:
        try:
            return reader.sniff(place)
        except Exception as error:
            raise AssertionError(f"sniff raises {error!r} for {what}; it must give False instead.") from error

    found = sniff(path, path.name)
    assert found is True, f"sniff({path.name!r}) gives {found!r}; for a file that the reader reads it must give True."
    with tempfile.TemporaryDirectory() as folder:
        places = {"a missing file": Path(folder, "missing"), "a folder of other files": Path(folder)}
        for name, content in _FOREIGN.items():
            places[f"a foreign file ({name})"] = Path(folder, name)
            Path(folder, name).write_bytes(content)
        for what, place in places.items():
            found = sniff(place, what)
            assert found is False, f"sniff gives {found!r} for {what}; it must give False."


def _check_parts(x: xr.DataArray, again: xr.DataArray, label: str) -> None:
    """A part is the same, whether it is read alone or taken from all samples."""
    whole = again.values
    n = x.sizes[x.dims[-1]]
    for part in (slice(0, 1), slice(n // 3, 2 * n // 3 + 1), slice(n - 1, n), slice(None, None, 2)):
        key = (..., part)
        np.testing.assert_array_equal(
            x[key].values, whole[key], f"Samples {part.start}:{part.stop} of {label} differ from those of all of it."
        )
    np.testing.assert_array_equal(x[-1].values, whole[-1], f"The last row of {label} differs from that of all of it.")


def _check_record(x: xr.DataArray, path: Path) -> None:
    assert x.dims == ("channel", "time"), f"A record of {path.name} has dims {x.dims}; (channel, time) was expected."
    for name in ("channel", "id", "time"):
        assert name in x.coords, f"A record of {path.name} has no coordinate {name!r}."
    assert x["id"].dims == ("channel",), f"The coordinate id has dims {x['id'].dims}; (channel,) was expected."
    ids = [str(one) for one in x["id"].values]
    assert all(one.count(".") >= 3 for one in ids), f"Ids {ids} of {path.name} are not all NET.STA.LOC.CHA."
    assert len(set(ids)) == len(ids), f"Ids {ids} of one record of {path.name} are not all different."
    assert x.dtype.kind in "biuf", f"Samples of {path.name} are {x.dtype}; real numbers were expected."
    assert rate_hz(x) > 0, f"The rate of a record of {path.name} is {rate_hz(x)} Hz."
    times = x["time"].values
    assert times.dtype.kind == "M", f"Times of {path.name} are {times.dtype}; datetime64 was expected."
    steps: Any = np.diff(times.astype("M8[ns]").astype(np.int64))
    uneven = steps.size and np.abs(steps - 1e9 / rate_hz(x)).max() > 0.1e9 / rate_hz(x) + 1
    assert not uneven, f"Times of {path.name} are uneven, or do not fit {rate_hz(x):g} Hz. Gaps must be NaN samples."


def _check_expected_records(arrays: list[xr.DataArray], expected: Sequence[xr.DataArray], path: Path) -> None:
    assert len(arrays) == len(expected), f"{path.name} gives {len(arrays)} records; {len(expected)} were expected."

    def key(x: xr.DataArray) -> tuple[str, int]:
        return ",".join(map(str, x["id"].values)), start_ns(x)

    for x, wanted in zip(sorted(arrays, key=key), sorted(expected, key=key), strict=True):
        label = f"{', '.join(map(str, x['id'].values))} of {path.name}"
        assert list(x["id"].values) == list(wanted["id"].values), f"Ids of {label} differ: {list(wanted['id'].values)}."
        half = 0.5e9 / rate_hz(x)
        assert abs(rate_hz(x) / rate_hz(wanted) - 1) < 1e-6, f"{label} has {rate_hz(x)} Hz, not {rate_hz(wanted)} Hz."
        assert abs(start_ns(x) - start_ns(wanted)) <= half, f"{label} starts {start_ns(x) - start_ns(wanted)} ns late."
        np.testing.assert_array_equal(x.values, wanted.values, f"{label} holds other samples.")


def _check_id_selection(reader: Any, arrays: list[xr.DataArray], path: Path) -> None:
    for id_ in sorted({str(one) for x in arrays for one in x["id"].values}):
        found = reader.read(path, ids=[id_])
        held = {str(one) for x in found for one in x["id"].values}
        assert held == {id_}, f"read({path.name!r}, ids=[{id_!r}]) gives {sorted(held)}."
        n = sum(int(np.isfinite(x.values).sum()) for x in found)
        wanted = sum(
            int(np.isfinite(x.values[row]).sum())
            for x in arrays
            for row, one in enumerate(x["id"].values)
            if one == id_
        )
        assert n == wanted, f"{id_}, read alone, has {n} samples; read with the others it has {wanted}."


def _check_time_selection(reader: Any, x: xr.DataArray, path: Path) -> None:
    times = x["time"].values.astype("M8[ns]")
    first, last = (times[k * len(times) // 4].astype("M8[us]") for k in (1, 3))
    start, end = str(first), str(last)
    id_ = str(x["id"].values[0])
    found = reader.read(path, ids=[id_], start_time=start, end_time=end)
    for part in found:
        inside = (part["time"].values >= first) & (part["time"].values <= last)
        assert inside.all(), f"read({path.name!r}) from {first} to {last} gives samples outside."
    inside = (times >= first) & (times <= last)
    wanted = x.values[0][inside]
    held = [part.values[0] for part in found]
    n = sum(int(np.isfinite(one).sum()) for one in held)
    least = int(np.isfinite(wanted).sum())
    assert n >= least, f"read({path.name!r}) from {first} to {last} gives {n} samples of {id_}; there are {least}."


def _check_scan(reader: Any, arrays: list[xr.DataArray], path: Path) -> None:
    """Every segment lies in a record, and all numbers in records lie in segments."""
    scan = reader.scan(path)
    values = [x.values for x in arrays]
    left = [np.isfinite(one) for one in values]
    for segment in scan.segments:
        if segment.text or segment.n == 0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = traces.fetch_samples(segment)
        label = f"segment of {segment.id} at {segment.start_ns} ns"
        assert held.shape == (segment.n,), f"The {label} holds samples of shape {held.shape}, not ({segment.n},)."
        place = _place_of(segment, held, arrays, values, left)
        assert place is not None, (
            f"The {label} ({segment.n} samples at {segment.rate_hz:g} Hz) of scan lies in no record of read with the "
            "same samples at the same time."
        )
        number, row, first = place
        left[number][row, first : first + segment.n] = False
        headers = traces.read_header(segment)
        assert (headers.npts, headers.starttime.ns) == (segment.n, segment.start_ns), f"Headers of the {label} differ."
        part = traces.fetch_samples(segment, segment.n // 2)
        np.testing.assert_array_equal(part, held[segment.n // 2 :], f"Half of the {label} differs from all of it.")
    outside = sum(int(there.sum()) for there in left)
    assert not outside, f"read({path.name!r}) gives {outside} samples that are in no segment of scan."


def _place_of(
    segment: Any, held: np.ndarray, arrays: list[xr.DataArray], values: list[np.ndarray], left: list[np.ndarray]
) -> tuple[int, int, int] | None:
    """Number of the record, row and first sample of a segment; None if it lies nowhere."""
    for number, x in enumerate(arrays):
        shift = (segment.start_ns - start_ns(x)) * rate_hz(x) / 1e9
        # pieces that follow each other are placed gap-free, also where a clock drifts by up to a sample
        for first in (round(shift), round(shift) - 1, round(shift) + 1):
            for row, id_ in enumerate(x["id"].values):
                if id_ != segment.id or first < 0 or first + segment.n > x.sizes["time"]:
                    continue
                span = slice(first, first + segment.n)
                same = np.array_equal(values[number][row, span], held.astype(x.dtype), equal_nan=held.dtype.kind == "f")
                if same and left[number][row, span].any():
                    return number, row, first
    return None
