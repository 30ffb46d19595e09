"""Open one netCDF file, zarr store, GRIB file, or anything else that xarray opens, as a Dataset of lazy variables.

Which of them it is, is seen in the first bytes; what libraries raise and warn of is told in one line, or not at all.
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
from geoae.readers.protocols import Place

_ZARR = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
_FILES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".grib", ".grib2", ".grb", ".grb2")
_NAMES = {"netcdf3": "netCDF-3", "netcdf5": "netCDF", "hdf5": "netCDF-4", "zarr": "zarr", "zip": "zarr", "grib": "GRIB"}


def is_url(place: Place) -> bool:
    """Whether a place is on the network or in another store that fsspec knows, such as s3://bucket/store.zarr."""
    return isinstance(place, str) and "://" in place


def detect_format(path: Path) -> str | None:
    """What a file or folder is: netcdf3, netcdf5, hdf5, grib, zarr or zip (with zarr in it); None if none of these.

    Raises
    ------
    OSError
        It is not there, or cannot be read.
    """
    if path.is_dir():
        return "zarr" if any((path / name).is_file() for name in _ZARR) else None
    with path.open("rb") as file:
        kind = _kind_of_bytes(file.read(8))
    if kind == "zip":
        return "zip" if _zipped_group(path) is not None else None
    return kind


def shorten_error(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
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
        Of a store that has several.
    engine
        Of xarray; found from the content if left out.
    options
        Handed to the engine, such as `storage_options` for a URL.

    Returns
    -------
    list of Dataset
        One; of a GRIB file one for each of the grids and kinds of levels in it.

    Raises
    ------
    MissingFileError, UnreadableFileError
        It is not there, or must not be read.
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
        return _open(*_plan(place, kind, group, engine, dict(options or {})))


def list_groups(place: Place) -> list[str]:
    """Names of the groups right below the root of a zarr folder or netCDF-4 file; empty where that is not known."""
    if is_url(place):
        return []
    try:
        kind = detect_format(Path(place))
        if kind == "hdf5":
            import h5py

            with h5py.File(place, "r") as file:
                return sorted(name for name, item in file.items() if isinstance(item, h5py.Group))
        if kind == "zarr":
            return sorted(p.name for p in Path(place).iterdir() if _node(p) == "group")
    except Exception:  # only asked for to word an error
        return []
    return []


def _plan(
    place: Place, kind: str | None, group: str | None, engine: str | None, options: dict[str, Any]
) -> tuple[Any, str | None, dict[str, Any]]:
    """What to hand to xarray, its engine, and what that has to know."""
    options = options if group is None else {"group": group, **options}
    if kind == "grib":
        _need("cfgrib", f"{place} is GRIB", "geoae[grib]")
        if is_url(place):
            raise InputError(f"{place} is GRIB, which can only be read from a file. Fetch it first.")
        _need_eccodes(place)
        # no index is written beside the file, and a message that is cut off does not just go missing
        return place, "cfgrib", {"indexpath": "", "errors": "raise", **options}
    if kind in ("hdf5", "netcdf3", "netcdf5"):
        if kind == "netcdf5":
            _need("netCDF4", f"{place} is netCDF of the CDF-5 kind")
        source = _remote(str(place), options.pop("storage_options", None)) if is_url(place) else place
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
    """Turn what libraries raise into one line that names the store."""
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
    except Exception as error:  # what a damaged file does to a parser has many kinds
        if isinstance(error, FileNotFoundError) and group is None and is_url(place):
            raise MissingFileError(f"{place} is not there. Check the address.") from error
        if "match in any of xarray's" in str(error):
            raise DamagedFileError(
                f"{place} is neither netCDF nor zarr nor GRIB, nor anything else that xarray opens."
            ) from error
        what = f"as {_NAMES[kind]}" if kind in _NAMES else "by xarray"
        inner = f", group {group!r}," if group is not None else ""
        raise DamagedFileError(
            f"{place}{inner} cannot be opened {what}: {shorten_error(error)}. Is it complete? Copy it again."
        ) from error


def _open(source: Any, engine: str | None, arguments: dict[str, Any]) -> list[xr.Dataset]:
    # numbers with units of time are samples like others, not durations
    plain: dict[str, Any] = {"engine": engine, "chunks": None, "cache": False, "decode_timedelta": False, **arguments}
    with warnings.catch_warnings():
        # what xarray and zarr warn of here is nothing a person could act on: fill values of other types, stores without
        # consolidated metadata, text of fixed width, dates beyond the range of nanoseconds
        warnings.simplefilter("ignore")
        try:
            with _silent("cfgrib"):  # it logs what it then raises or sorts out
                return [xr.open_dataset(source, **plain)]
        except Exception as error:
            if engine == "cfgrib" and type(error).__name__ == "DatasetBuildError":
                return _grib_parts(source, arguments)
            if "time" not in str(error):
                raise
            # such as "months since", which is no fixed time: the numbers stay as they are
            return [xr.open_dataset(source, **plain, decode_times=False)]


def _grib_parts(source: Any, arguments: dict[str, Any]) -> list[xr.Dataset]:
    """The parts of a GRIB file that holds several kinds of levels or grids."""
    import cfgrib

    with _silent("cfgrib"):
        return list(cfgrib.open_datasets(str(source), backend_kwargs=arguments, cache=False, decode_timedelta=False))


@contextmanager
def _silent(logger: str) -> Iterator[None]:
    """Keep a library's log away from the user's screen for a moment."""
    found = logging.getLogger(logger)
    before = found.level
    found.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        found.setLevel(before)


def _kind_of_bytes(head: bytes) -> str | None:
    if head[:4] in (b"CDF\x01", b"CDF\x02"):
        return "netcdf3"
    for magic, kind in (
        (b"CDF\x05", "netcdf5"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"GRIB", "grib"),
        (b"PK\x03\x04", "zip"),
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
    """Of a file from its first bytes; all else that has an address is taken for zarr."""
    _need("fsspec", f"{url} is a URL")
    import fsspec

    storage_options = (options or {}).get("storage_options")
    if url.partition("?")[0].lower().endswith(_FILES):
        with _remote(url, storage_options) as file:
            return _kind_of_bytes(file.read(8))
    try:
        fsspec.core.url_to_fs(url, **dict(storage_options or {}))
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened: {shorten_error(error)}. Install what its protocol needs.") from error
    return "zarr"


def _remote(url: str, storage_options: Mapping[str, Any] | None) -> Any:
    import fsspec

    try:
        return fsspec.open(url, "rb", **dict(storage_options or {})).open()
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened: {shorten_error(error)}. Install what its protocol needs.") from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{url} is not there. Check the address.") from error
    except Exception as error:  # each protocol has its own
        raise InputError(
            f"{url} cannot be reached: {shorten_error(error)}. Check the address and the network."
        ) from error


def _zipped_group(path: Path) -> str | None:
    """Folder inside a zip file that is a zarr group; "" for its root, None where there is none."""
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
    if names & set(_ZARR):
        return ""
    folders = {name.partition("/")[0] for name in names}
    found = [folder for folder in sorted(folders) if any(f"{folder}/{name}" in names for name in _ZARR)]
    return found[0] if len(found) == 1 else None


def _node(path: Path) -> str | None:
    """Whether a folder of a zarr store is a "group" or an "array"."""
    if (path / "zarr.json").is_file():
        return str(json.loads((path / "zarr.json").read_text()).get("node_type"))
    return next((node for name, node in ((".zgroup", "group"), (".zarray", "array")) if (path / name).is_file()), None)


def _is_array(path: Path) -> bool:
    try:
        return _node(path) == "array"
    except (OSError, ValueError, AttributeError):  # told where it is opened
        return False


def _is_consolidated(path: Path, group: str | None) -> bool:
    inner = path / group if group else path
    if (inner / ".zmetadata").is_file():
        return True
    try:
        return '"consolidated_metadata"' in (inner / "zarr.json").read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _need(library: str, why: str, package: str | None = None) -> None:
    if importlib.util.find_spec(library) is None:
        raise InputError(f"{why}, which needs {library}: pip install '{package or library}'.")


def _need_eccodes(place: Place) -> None:
    try:
        importlib.import_module("cfgrib")
    except Exception as error:  # its C library may be missing, of which each part tells in its own way
        raise InputError(
            f"{place} is GRIB, but cfgrib does not start: {shorten_error(error)}. Install ecCodes."
        ) from error
