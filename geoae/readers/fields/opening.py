"""Open one netCDF file, zarr store, GRIB file, or anything else that xarray opens, as a Dataset of lazy variables.

The format is detected from the first bytes. Exceptions of the libraries become errors of one line.
"""

import importlib.util
import json
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from geoae.errors import DamagedFileError, GeoAEError, InputError, MissingFileError, UnreadableFileError, one_line
from geoae.labels.cf import promote_coordinates
from geoae.readers.protocols import Place

_ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
_FILE_SUFFIXES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".grib", ".grib2", ".grb", ".grb2", ".tif", ".tiff")
UNNAMED = "values"
"""Name for a variable that has none."""
_FORMAT_NAMES = {
    "netcdf3": "netCDF-3",
    "netcdf5": "netCDF",
    "hdf5": "netCDF-4",
    "zarr": "zarr",
    "zip": "zarr",
    "grib": "GRIB",
    "tiff": "GeoTIFF",
}


def is_url(place: Place) -> bool:
    """Whether a place is a URL that fsspec can open, such as s3://bucket/store.zarr."""
    return isinstance(place, str) and "://" in place


def detect_format(path: Path) -> str | None:
    """Detect the format of a file or folder: netcdf3, netcdf5, hdf5, grib, tiff, zarr, zip that holds zarr; or None.

    Raises
    ------
    OSError
        It does not exist or cannot be read.
    """
    if path.is_dir():
        return "zarr" if any((path / name).is_file() for name in _ZARR_METADATA) else None
    with path.open("rb") as file:
        kind = _kind_of_bytes(file.read(8))
    if kind == "zip":
        return "zip" if _zipped_group(path) is not None else None
    return kind


def shorten_error(error: BaseException) -> str:
    """Message of an error, in one line of at most 200 characters."""
    text = one_line(error).rstrip(".")
    return text if len(text) <= 200 else f"{text[:197]}..."


def open_store(
    place: Place, group: str | None = None, engine: str | None = None, options: Mapping[str, Any] | None = None
) -> list[xr.Dataset]:
    """Open a store; no samples are read.

    Parameters
    ----------
    place
        Path or URL.
    group
        Name of a group in the store.
    engine
        Engine of xarray. None: chosen by the format.
    options
        Keyword arguments of the engine, such as `storage_options` for a URL.

    Returns
    -------
    list of Dataset
        One data set; for a GRIB file one for each grid and type of level.

    Raises
    ------
    MissingFileError, UnreadableFileError
        It does not exist, or may not be read.
    InputError
        It needs a library that is not installed.
    DamagedFileError
        It cannot be opened.
    """
    if is_url(place):
        kind = _remote_kind(str(place), options) if engine is None else None
    else:
        kind = _local_kind(Path(place)) if engine is None else None
    with _errors_in_one_line(place, kind, group):
        source, engine, arguments = _engine_arguments(place, kind, group, engine, dict(options or {}))
        datasets = _open(source, engine, arguments)
        if group is not None and kind in ("hdf5", "zarr", "zip"):
            datasets = [_add_outer_coordinates(data, place, kind, group, options) for data in datasets]
    # zarr lists the variables of a store without consolidated metadata in random order
    is_random = arguments.get("consolidated") is False
    datasets = [_name_variables(data) for data in datasets]
    return [_sort_variables(data) for data in datasets] if is_random else datasets


def list_groups(place: Place) -> list[str]:
    """Names of the groups with variables in a zarr folder or netCDF-4 file; empty for other formats and on errors."""
    if is_url(place):
        return []
    try:
        kind = detect_format(Path(place))
        if kind == "hdf5":
            import h5py

            found: list[str] = []
            with h5py.File(place, "r") as file:
                file.visititems(lambda name, item: found.append(name) if _holds_arrays(item, h5py) else None)
            return sorted(found)
        if kind == "zarr":
            arrays = (folder for folder in Path(place).glob("**/") if _node_type(folder) == "array")
            groups = {folder.parent.relative_to(place).as_posix() for folder in arrays}
            return sorted(groups - {"."})
    except Exception:  # the names are only used in an error message
        return []
    return []


def _holds_arrays(item: Any, h5py: Any) -> bool:
    return isinstance(item, h5py.Group) and any(isinstance(member, h5py.Dataset) for member in item.values())


def _add_outer_coordinates(
    data: xr.Dataset, place: Place, kind: str, group: str, options: Mapping[str, Any] | None
) -> xr.Dataset:
    """Add coordinates that outer groups hold for the dimensions of a group, the nearest first, as CF defines it."""
    names = [name for name in group.split("/") if name]
    out = data
    for depth in reversed(range(len(names))):
        outer = "/".join(names[:depth]) or None
        source, engine, arguments = _engine_arguments(place, kind, outer, None, dict(options or {}))
        for upper in _open(source, engine, arguments):
            own = promote_coordinates(upper)
            fitting = {
                name: c.variable.load()
                for name, c in own.coords.items()
                if name not in out.variables and c.ndim and all(out.sizes.get(d) == n for d, n in c.sizes.items())
            }
            out = out.assign_coords(fitting)
            upper.close()
    out.encoding = data.encoding
    out.set_close(data.close)
    return out


def _engine_arguments(
    place: Place, kind: str | None, group: str | None, engine: str | None, options: dict[str, Any]
) -> tuple[Any, str | None, dict[str, Any]]:
    """Source, engine and further arguments for `xarray.open_dataset`."""
    options = options if group is None else {"group": group, **options}
    if kind == "grib":
        _require("cfgrib", f"{place} is GRIB", "geoae[grib]")
        if is_url(place):
            raise InputError(f"{place} is GRIB, which can only be read from a file. Fetch it first.")
        _require_eccodes(place)
        # write no index file, and raise an error for a message that is cut off
        return place, "cfgrib", {"indexpath": "", "errors": "raise", **options}
    if kind == "tiff":
        _require("rioxarray", f"{place} is a TIFF image")
        return place, "rasterio", options
    if kind in ("hdf5", "netcdf3", "netcdf5"):
        if kind == "netcdf5":
            _require("netCDF4", f"{place} is netCDF of the CDF-5 kind")
        source = _open_remote(str(place), options.pop("storage_options", None)) if is_url(place) else place
        return source, {"hdf5": "h5netcdf", "netcdf3": "scipy", "netcdf5": "netcdf4"}[kind], options
    if kind == "zip":
        import zarr

        inner = "/".join(part for part in (_zipped_group(Path(place)), group) if part)
        return (
            zarr.storage.ZipStore(place, mode="r"),
            "zarr",
            {"consolidated": False, **options, "group": inner or None},
        )
    if kind == "zarr":
        if is_url(place):
            return place, "zarr", options
        if group is None and _is_array(Path(place)):
            raise InputError(
                f"{place} is a bare zarr array without coordinates; a group, as xarray writes it, was expected."
            )
        return place, "zarr", {"consolidated": _is_consolidated(Path(place), group), **options}
    return place, engine, options


@contextmanager
def _errors_in_one_line(place: Place, kind: str | None, group: str | None) -> Iterator[None]:
    """Turn exceptions of the libraries into an error of one line that names the store."""
    try:
        yield
    except GeoAEError:
        raise
    except PermissionError as error:
        raise UnreadableFileError(
            f"{place} cannot be opened ({shorten_error(error)}). Check its permissions."
        ) from error
    except ImportError as error:
        raise InputError(
            f"{place} cannot be opened without a library: {shorten_error(error)}. Install it with pip."
        ) from error
    except Exception as error:  # parsers raise many types for a damaged file
        if isinstance(error, FileNotFoundError) and group is None and is_url(place):
            raise MissingFileError(f"{place} does not exist. Check the address.") from error
        if "match in any of xarray's" in str(error):
            raise DamagedFileError(
                f"{place} is neither netCDF nor zarr nor GRIB, nor anything else that xarray opens."
            ) from error
        what = f"as {_FORMAT_NAMES[kind]}" if kind in _FORMAT_NAMES else "by xarray"
        inner = f", group {group!r}," if group is not None else ""
        raise DamagedFileError(
            f"{place}{inner} cannot be opened {what}: {shorten_error(error)}. Is it complete? Copy it again."
        ) from error


def _open(source: Any, engine: str | None, arguments: dict[str, Any]) -> list[xr.Dataset]:
    # a variable in seconds, such as a wave period, holds samples and not durations
    keywords: dict[str, Any] = {
        "engine": engine,
        "chunks": None,
        "cache": False,
        "decode_timedelta": False,
        **arguments,
    }
    with warnings.catch_warnings():
        # users cannot act on these warnings: fill values of other types, stores without consolidated metadata, text of
        # fixed width, dates beyond the range of nanoseconds
        warnings.simplefilter("ignore")
        try:
            with _silence("cfgrib"):  # it logs errors that it also raises or handles
                return [xr.open_dataset(source, **keywords)]
        except Exception as error:
            if engine == "cfgrib" and type(error).__name__ == "DatasetBuildError":
                return _open_grib_parts(source, arguments)
            if "time" not in str(error):
                raise
            # units such as "months since" are no fixed time: keep the numbers
            return [xr.open_dataset(source, **keywords, decode_times=False)]


def _name_variables(data: xr.Dataset) -> xr.Dataset:
    """Give a name to a variable without one. xarray writes it as __values__, which no store of zarr 3 can hold."""
    if None not in data.variables:
        return data
    name = UNNAMED
    while name in data.variables or name in data.dims:
        name = f"{name}_"
    named = data.rename({None: name})
    named.set_close(data.close)
    return named


def _sort_variables(data: xr.Dataset) -> xr.Dataset:
    """Sort the variables of a data set by name."""
    variables = {name: data.variables[name] for name in sorted(data.data_vars, key=str)}
    ordered = xr.Dataset(variables, data.coords, data.attrs)
    ordered.encoding = data.encoding
    ordered.set_close(data.close)
    return ordered


def _open_grib_parts(source: Any, arguments: dict[str, Any]) -> list[xr.Dataset]:
    """Open the parts of a GRIB file with several types of levels or grids."""
    import cfgrib

    with _silence("cfgrib"):
        return list(cfgrib.open_datasets(str(source), backend_kwargs=arguments, cache=False, decode_timedelta=False))


@contextmanager
def _silence(logger: str) -> Iterator[None]:
    """Silence a library's logger while the ``with`` block runs."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _kind_of_bytes(head: bytes) -> str | None:
    if head[:4] in (b"CDF\x01", b"CDF\x02"):
        return "netcdf3"
    for magic, kind in (
        (b"CDF\x05", "netcdf5"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"GRIB", "grib"),
        (b"PK\x03\x04", "zip"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),  # of more than 4 GB
        (b"MM\0+", "tiff"),
    ):
        if head.startswith(magic):
            return kind
    return None


def _local_kind(path: Path) -> str | None:
    try:
        return detect_format(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} does not exist. Check the name and the folder.") from error
    except PermissionError as error:
        raise UnreadableFileError(f"{path} cannot be opened ({error.strerror}). Check its permissions.") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"{path} cannot be read: {shorten_error(error)}. Copy it again.") from error


def _remote_kind(url: str, options: Mapping[str, Any] | None) -> str | None:
    """Format of a remote file from its first bytes; a URL without the suffix of a file is taken for zarr."""
    _require("fsspec", f"{url} is a URL")
    import fsspec

    storage_options = (options or {}).get("storage_options")
    if url.partition("?")[0].lower().endswith(_FILE_SUFFIXES):
        with _open_remote(url, storage_options) as file:
            return _kind_of_bytes(file.read(8))
    try:
        fsspec.core.url_to_fs(url, **dict(storage_options or {}))
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened: {shorten_error(error)}. Install what its protocol needs.") from error
    return "zarr"


def _open_remote(url: str, storage_options: Mapping[str, Any] | None) -> Any:
    import fsspec

    try:
        return fsspec.open(url, "rb", **dict(storage_options or {})).open()
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened: {shorten_error(error)}. Install what its protocol needs.") from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{url} does not exist. Check the address.") from error
    except Exception as error:  # each protocol has exceptions of its own
        raise InputError(
            f"{url} cannot be reached: {shorten_error(error)}. Check the address and the network."
        ) from error


def _zipped_group(path: Path) -> str | None:
    """Folder in a zip file that is a zarr group; "" for its root, None if there is none."""
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
    if names & set(_ZARR_METADATA):
        return ""
    folders = {name.partition("/")[0] for name in names}
    found = [folder for folder in sorted(folders) if any(f"{folder}/{name}" in names for name in _ZARR_METADATA)]
    return found[0] if len(found) == 1 else None


def _node_type(path: Path) -> str | None:
    """Type of a folder in a zarr store, "group" or "array"; None for another folder."""
    if (path / "zarr.json").is_file():
        return str(json.loads((path / "zarr.json").read_text()).get("node_type"))
    return next((node for name, node in ((".zgroup", "group"), (".zarray", "array")) if (path / name).is_file()), None)


def _is_array(path: Path) -> bool:
    try:
        return _node_type(path) == "array"
    except (OSError, ValueError, AttributeError):  # opening the store raises a clear error
        return False


def _is_consolidated(path: Path, group: str | None) -> bool:
    inner = path / group if group else path
    if (inner / ".zmetadata").is_file():
        return True
    try:
        return '"consolidated_metadata"' in (inner / "zarr.json").read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _require(library: str, why: str, package: str | None = None) -> None:
    if importlib.util.find_spec(library) is None:
        raise InputError(f"{why}, which needs {library}: pip install '{package or library}'.")


def _require_eccodes(place: Place) -> None:
    try:
        importlib.import_module("cfgrib")
    except Exception as error:  # without the C library it raises exceptions of several types
        raise InputError(
            f"{place} is GRIB, but cfgrib does not start: {shorten_error(error)}. Install ecCodes."
        ) from error
