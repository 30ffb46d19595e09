"""Lay out a store before its first block: metadata, coordinates, and the blocks of a store that is appended to."""

import errno
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae._version import __version__
from geoae.errors import StoreError, one_line
from geoae.files.whole import sync_to_disk
from geoae.stores import provenance
from geoae.stores.blocks import Part, Variable, choose_chunks
from geoae.stores.plain import simplify_value, simplify_variable
from geoae.stores.plan import StorePlan, make_attributes, make_coordinates
from geoae.stores.provenance import Identity, describe_differences
from geoae.stores.references import list_external
from geoae.stores.schema import (
    COMMAND,
    FILE_HASHES,
    FINGERPRINT,
    PARTS,
    PREFIX,
    SOURCE,
    SOURCE_HASH,
    STARTED,
    VERSION,
)

CONVENTIONS = "CF-1.11"


@dataclass(frozen=True)
class Provenance:
    """How a store is made; becomes its attributes."""

    settings: dict[str, Any]
    source: str
    source_hash: str
    command: str
    attrs: dict[str, Any]


def lay_out_store(
    plan: StorePlan,
    made_by: Provenance,
    identity: Identity,
    append: tuple[str, ...],
    folder: Path,
    started: str,
    base: Path | None,
) -> tuple[Part, ...]:
    """Make a store in `folder` without its blocks, except those that a store to append to (`base`) shares with it.

    Raises
    ------
    StoreError
        `base` has other settings or variables, its coordinates do not continue, or it is damaged.
    """
    attrs = _make_store_attributes(made_by, identity, started)
    if base is not None:
        plan, attrs = _append_plan(plan, attrs, made_by, base, append)
    attrs[PARTS] = provenance.format_parts(plan.parts)
    _write_metadata(plan, attrs, folder)
    sync_to_disk(*(path for path in folder.rglob("*") if path.is_file()))
    if base is not None:
        for part in plan.parts:
            _link_blocks(part, base, folder)
    return plan.parts


def make_compressors(is_checked: bool = True) -> tuple[Any, ...]:
    """Compressors of all numeric arrays, as zarr takes them; with a check sum, so that no wrong samples are read."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    return (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), *([Crc32cCodec()] if is_checked else []))


def find_fill_value(variable: Variable) -> Any:
    """Value of samples that were never written: NaN, or 0 for integers."""
    return np.array(np.nan if np.dtype(variable.dtype).kind in "fc" else 0).astype(variable.dtype)[()]


def _make_store_attributes(made_by: Provenance, identity: Identity, started: str) -> dict[str, Any]:
    entry = f"{started} geoae {__version__}: {made_by.command or 'called from Python'}"
    before = str(made_by.attrs.get("history", "")).rstrip()
    return {
        **made_by.attrs,
        "Conventions": CONVENTIONS,
        "history": f"{before}\n{entry}".lstrip(),
        **{PREFIX + name: value for name, value in made_by.settings.items()},
        VERSION: __version__,
        COMMAND: made_by.command,
        SOURCE: made_by.source,
        SOURCE_HASH: made_by.source_hash,
        STARTED: started,
        FINGERPRINT: provenance.make_fingerprint(identity),
    }


def _write_metadata(plan: StorePlan, attrs: dict[str, Any], folder: Path) -> None:
    from dask.array import full
    from zarr.codecs import Crc32cCodec, ZstdCodec

    external = list_external(attrs)
    attributes, coords = make_attributes(plan, external), make_coordinates(plan, external)
    data: dict[str, xr.Variable] = {}
    encoding: dict[str, dict[str, Any]] = {}
    for variable in (v for part in plan.parts for v in part.variables):
        fill = find_fill_value(variable)
        # one chunk, whatever its size: it is never computed
        empty = full(variable.shape, fill, dtype=variable.dtype, chunks=variable.shape)  # type: ignore[no-untyped-call]
        data[variable.name] = xr.Variable(variable.dims, empty, attributes[variable.name])
        encoding[variable.name] = {
            "chunks": variable.chunks,
            "shards": variable.shards,
            "compressors": make_compressors(variable.is_checked),
            "fill_value": fill,
            "_FillValue": None,  # missing samples are NaN, so no value is masked
            "chunk_key_encoding": {"name": "default", "separator": "."},
        }
    for label, coord in coords.variables.items():
        if coord.ndim and coord.dtype.kind != "O":
            chunks = choose_chunks(coord.shape, range(coord.ndim))
            # an encoding passed here replaces that of the variable
            encoding[str(label)] = {**coord.encoding, "chunks": chunks, "compressors": make_compressors()}
        elif coord.ndim:  # text
            encoding[str(label)] = {**coord.encoding, "compressors": (ZstdCodec(), Crc32cCodec())}
    dataset = coords.assign(data).assign_attrs(attrs)
    with warnings.catch_warnings():
        # readers would be warned without consolidated metadata; writing it makes zarr warn here
        warnings.filterwarnings("ignore", "Consolidated metadata")
        dataset.to_zarr(
            folder, mode="w-", zarr_format=3, consolidated=True, compute=False, safe_chunks=False, encoding=encoding
        )


def check_settings(base: Path, settings: Mapping[str, Any]) -> None:
    """Check that samples made with `settings` may be appended to a finished store.

    Raises
    ------
    StoreError
        The store was made with other settings, which are named, or cannot be read.
    """
    wanted = {name: simplify_value(value) for name, value in settings.items()}
    stored = {k: v for k, v in provenance.read_settings(base).items() if k in wanted}
    if changed := describe_differences(stored, wanted):
        raise StoreError(f"{base} was made with other settings: {changed}. Append with the same, or to another store.")


def _append_plan(
    plan: StorePlan, attrs: dict[str, Any], made_by: Provenance, base: Path, append: tuple[str, ...]
) -> tuple[StorePlan, dict[str, Any]]:
    """Plan and attributes of a finished store after the samples of `plan` are appended."""
    old_parts = {part.name: part for part in provenance.read_parts(base)}
    check_settings(base, made_by.settings)
    if changed := describe_differences(
        {"variables": ", ".join(old_parts)}, {"variables": ", ".join(p.name for p in plan.parts)}
    ):
        raise StoreError(f"{base} holds other variables ({changed}). Append the same, or to another store.")
    missing = int((~provenance.find_done_blocks(base, old_parts.values())).sum())
    if missing:
        raise StoreError(f"{base} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite.")
    parts = tuple(_append_part(part, old_parts[part.name], base, append) for part in plan.parts)
    try:
        old = xr.open_zarr(base, chunks=None)
        for name in old.coords:
            old[name].load()
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise StoreError(f"{base} is damaged: {one_line(error)}.") from error
    coords = _append_coords(old, plan.coords, base, append)
    old_attrs = dict(old.attrs)
    variables = {v.name: {**old[v.name].attrs} for part in parts for v in part.variables}
    for key in (SOURCE, SOURCE_HASH):
        attrs[key] = f"{old_attrs.get(key, '')}\n{attrs[key]}"
    hashes = [line for own in (old_attrs, attrs) for line in str(own.get(FILE_HASHES, "")).splitlines()]
    attrs |= {FILE_HASHES: "\n".join(dict.fromkeys(hashes))} if hashes else {}
    history = f"{old_attrs.get('history', '')}\n{attrs['history'].splitlines()[-1]}"
    return StorePlan(parts, coords, variables), {**old_attrs, **attrs, "history": history}


def _append_part(new: Part, old: Part, base: Path, append: tuple[str, ...]) -> Part:
    """The stored part, longer by the samples of the new one; raises StoreError if they do not fit together."""
    axes = [axis for axis, dim in enumerate(new.dims) if dim in append]
    if len(axes) != 1:
        raise StoreError(f"{new.name} has dims {', '.join(new.dims)}; one of them must be {', '.join(append)}.")
    (axis,) = axes
    variables = []
    if changed := describe_differences(
        *({"variables": ", ".join(v.name for v in part.variables)} for part in (old, new))
    ):
        raise StoreError(f"{base} holds {new.name} in another form: {changed}.")
    for added, stored in zip(new.variables, old.variables, strict=True):
        was, now = (
            {"dims": list(v.dims), "dtype": v.dtype, "sizes": [n for a, n in enumerate(v.shape) if a != axis]}
            for v in (stored, added)
        )
        if changed := describe_differences(was, now):
            raise StoreError(f"{base} holds {added.name} in another form: {changed}.")
        shape = tuple(n + stored.shape[a] if a == axis else n for a, n in enumerate(added.shape))
        variables.append(replace(stored, shape=shape))
    return Part(new.name, new.n_axes, tuple(variables), (axis, old.shape[axis]))


def _append_coords(old: xr.Dataset, new: xr.Dataset, base: Path, append: tuple[str, ...]) -> xr.Dataset:
    """Stored coordinates followed by the new ones along `append`; raises StoreError if the grids differ."""
    names = [str(name) for name in old.variables if name in new.variables]
    if unlike := sorted({*map(str, old.coords), *map(str, new.variables)} - set(names)):
        raise StoreError(f"{base} and the new samples do not have the same coordinates: {', '.join(unlike)}.")
    coords = {}
    for name in names:
        stored, added = simplify_variable(name, old.variables[name]), new.variables[name]
        same = stored.dims == added.dims
        if not same or not (set(stored.dims) & set(append) or stored.equals(added)):  # type: ignore[no-untyped-call]
            raise StoreError(f"{base} lies on another grid: its {name} differs from that of the new samples.")
        if (name,) == stored.dims and name in append:
            _check_follows(name, stored.values, added.values, base)
        dims = [dim for dim in stored.dims if dim in append]
        if dims:
            joined = xr.Variable.concat([stored, added], dims[0])  # type: ignore[no-untyped-call]
            stored = simplify_variable(name, joined)
        coords[name] = stored
    return xr.Dataset(coords).set_coords(names)


def _check_follows(name: str, old: Any, new: Any, base: Path) -> None:
    """Check that new coordinates continue in the direction of the old ones."""
    descending = len(old) > 1 and old[-1] < old[0]
    if new[0] >= old[-1] if descending else new[0] <= old[-1]:
        raise StoreError(
            f"{base} ends at {name} {old[-1]} and the new samples begin at {new[0]}: they would be out of order or "
            "there twice. Append only samples that come after."
        )


def _link_blocks(part: Part, base: Path, folder: Path) -> None:
    """Share full blocks between both stores by hard links. Blocks are never changed, only replaced by new files."""
    assert part.grown is not None
    axis, n_old = part.grown
    full = n_old // part.block[axis]
    for variable in part.variables:
        for entry in os.scandir(base / variable.name):
            key = entry.name.split(".")
            if key[0] == "c" and int(key[1 + axis]) < full:
                _link(Path(entry.path), folder / variable.name / entry.name)


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        shutil.copyfile(path, other)  # some file systems have no hard links
        sync_to_disk(other)
