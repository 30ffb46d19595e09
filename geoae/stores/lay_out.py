"""The store before its first block: metadata, coordinates, and what an older store passes on to it."""

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
from geoae.stores.plan import StorePlan, make_attributes
from geoae.stores.provenance import Identity, describe_differences
from geoae.stores.schema import COMMAND, FINGERPRINT, PARTS, PREFIX, SOURCE, SOURCE_HASH, STARTED, VERSION

CONVENTIONS = "CF-1.11"


@dataclass(frozen=True)
class Provenance:
    """What becomes the attributes of a store."""

    settings: dict[str, Any]
    source: str
    source_hash: str
    command: str
    attrs: dict[str, Any]


def lay_out_store(
    plan: StorePlan,
    about: Provenance,
    identity: Identity,
    append: tuple[str, ...],
    folder: Path,
    started: str,
    base: Path | None,
) -> tuple[Part, ...]:
    """Make a store in `folder`, whole but for its blocks; those of `base` that stay as they are come with it.

    Raises
    ------
    StoreError
        `base` cannot be appended to: other settings or variables, coordinates that do not follow, or it is damaged.
    """
    attrs = _attributes(about, identity, started)
    if base is not None:
        plan, attrs = _grown(plan, attrs, about, base, append)
    attrs[PARTS] = provenance.format_parts(plan.parts)
    _write_metadata(plan, attrs, folder)
    sync_to_disk(*(path for path in folder.rglob("*") if path.is_file()))
    if base is not None:
        for part in plan.parts:
            _link_blocks(part, base, folder)
    return plan.parts


def make_compressors() -> tuple[Any, ...]:
    """Of all numbers."""
    from zarr.codecs import BloscCodec

    return (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),)


def find_fill_value(variable: Variable) -> Any:
    """What a reader sees where nothing was written."""
    return np.array(np.nan if np.dtype(variable.dtype).kind in "fc" else 0).astype(variable.dtype)[()]


def _attributes(about: Provenance, identity: Identity, started: str) -> dict[str, Any]:
    line = f"{started} geoae {__version__}: {about.command or 'called from Python'}"
    before = str(about.attrs.get("history", "")).rstrip()
    return {
        **about.attrs,
        "Conventions": CONVENTIONS,
        "history": f"{before}\n{line}".lstrip(),
        **{PREFIX + name: value for name, value in about.settings.items()},
        VERSION: __version__,
        COMMAND: about.command,
        SOURCE: about.source,
        SOURCE_HASH: about.source_hash,
        STARTED: started,
        FINGERPRINT: provenance.make_fingerprint(identity),
    }


def _write_metadata(plan: StorePlan, attrs: dict[str, Any], folder: Path) -> None:
    from dask.array import full

    attributes = make_attributes(plan)
    data: dict[str, xr.Variable] = {}
    encoding: dict[str, dict[str, Any]] = {}
    for variable in (v for part in plan.parts for v in part.variables):
        fill = find_fill_value(variable)
        # one chunk, whatever its size: it is never computed
        nothing = full(variable.shape, fill, dtype=variable.dtype, chunks=variable.shape)  # type: ignore[no-untyped-call]
        data[variable.name] = xr.Variable(variable.dims, nothing, attributes[variable.name])
        encoding[variable.name] = {
            "chunks": variable.chunks,
            "shards": variable.shards,
            "compressors": make_compressors(),
            "fill_value": fill,
            "_FillValue": None,  # missing samples are NaN: nothing is to be masked
            "chunk_key_encoding": {"name": "default", "separator": "."},
        }
    for label, coord in plan.coords.variables.items():
        if coord.ndim and coord.dtype.kind != "O":
            chunks = choose_chunks(coord.shape, range(coord.ndim))
            # what is given here is taken in place of the variable's own
            encoding[str(label)] = {**coord.encoding, "chunks": chunks, "compressors": make_compressors()}
    dataset = plan.coords.assign(data).assign_attrs(attrs)
    with warnings.catch_warnings():
        # without consolidated metadata xarray warns whoever opens the store; with it zarr warns here
        warnings.filterwarnings("ignore", "Consolidated metadata")
        dataset.to_zarr(
            folder, mode="w-", zarr_format=3, consolidated=True, compute=False, safe_chunks=False, encoding=encoding
        )


def check_settings(base: Path, settings: Mapping[str, Any]) -> None:
    """Whether samples made with `settings` may stand behind those of a finished store.

    Raises
    ------
    StoreError
        They were made with others, which are named; or it cannot be read.
    """
    wanted = {name: simplify_value(value) for name, value in settings.items()}
    there = {k: v for k, v in provenance.read_settings(base).items() if k in wanted}
    if changed := describe_differences(there, wanted):
        raise StoreError(f"{base} was made with other settings: {changed}. Append with the same, or to another store.")


def _grown(
    plan: StorePlan, attrs: dict[str, Any], about: Provenance, base: Path, append: tuple[str, ...]
) -> tuple[StorePlan, dict[str, Any]]:
    """Plan and attributes of a finished store with the samples of `plan` behind its own."""
    there = {part.name: part for part in provenance.read_parts(base)}
    check_settings(base, about.settings)
    if changed := describe_differences(
        {"variables": ", ".join(there)}, {"variables": ", ".join(p.name for p in plan.parts)}
    ):
        raise StoreError(f"{base} holds other variables ({changed}). Append the same, or to another store.")
    missing = int((~provenance.find_done_blocks(base, there.values())).sum())
    if missing:
        raise StoreError(f"{base} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite.")
    parts = tuple(_grown_part(part, there[part.name], base, append) for part in plan.parts)
    try:
        old = xr.open_zarr(base, chunks=None)
        for name in old.coords:
            old[name].load()
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise StoreError(f"{base} is damaged: {one_line(error)}.") from error
    coords = _grown_coords(old, plan.coords, base, append)
    before = dict(old.attrs)
    variables = {v.name: {**old[v.name].attrs} for part in parts for v in part.variables}
    for key in (SOURCE, SOURCE_HASH):
        attrs[key] = f"{before.get(key, '')}\n{attrs[key]}"
    history = f"{before.get('history', '')}\n{attrs['history'].splitlines()[-1]}"
    return StorePlan(parts, coords, variables), {**before, **attrs, "history": history}


def _grown_part(new: Part, old: Part, base: Path, append: tuple[str, ...]) -> Part:
    axes = [axis for axis, dim in enumerate(new.dims) if dim in append]
    if len(axes) != 1:
        raise StoreError(
            f"{new.name} has dims {', '.join(new.dims)}; expected one to append along of {', '.join(append)}."
        )
    (axis,) = axes
    variables = []
    if changed := describe_differences(
        *({"with it": ", ".join(v.name for v in part.variables)} for part in (old, new))
    ):
        raise StoreError(f"{base} holds {new.name} otherwise: {changed}.")
    for mine, theirs in zip(new.variables, old.variables, strict=True):
        was, now = (
            {"dims": list(v.dims), "dtype": v.dtype, "sizes": [n for a, n in enumerate(v.shape) if a != axis]}
            for v in (theirs, mine)
        )
        if changed := describe_differences(was, now):
            raise StoreError(f"{base} holds {mine.name} otherwise: {changed}.")
        shape = tuple(n + theirs.shape[a] if a == axis else n for a, n in enumerate(mine.shape))
        variables.append(replace(theirs, shape=shape))
    return Part(new.name, new.n_axes, tuple(variables), (axis, old.shape[axis]))


def _grown_coords(old: xr.Dataset, new: xr.Dataset, base: Path, append: tuple[str, ...]) -> xr.Dataset:
    names = [str(name) for name in old.variables if name in new.variables]
    if unlike := sorted({*map(str, old.coords), *map(str, new.variables)} - set(names)):
        raise StoreError(f"{base} and the new samples do not have the same coordinates: {', '.join(unlike)}.")
    grown = {}
    for name in names:
        was, now = simplify_variable(name, old.variables[name]), new.variables[name]
        if was.dims != now.dims or not (set(was.dims) & set(append) or was.equals(now)):  # type: ignore[no-untyped-call]
            raise StoreError(f"{base} lies on another grid: its {name} differs from that of the new samples.")
        if (name,) == was.dims and name in append:
            _check_follows(name, was.values, now.values, base)
        dims = [dim for dim in was.dims if dim in append]
        if dims:
            was = simplify_variable(name, xr.Variable.concat([was, now], dims[0]))  # type: ignore[no-untyped-call]
        grown[name] = was
    return xr.Dataset(grown).set_coords(names)


def _check_follows(name: str, old: Any, new: Any, base: Path) -> None:
    """Positions go on in the direction in which they were going."""
    falling = len(old) > 1 and old[-1] < old[0]
    if new[0] >= old[-1] if falling else new[0] <= old[-1]:
        raise StoreError(
            f"{base} ends at {name} {old[-1]} and the new samples begin at {new[0]}: they would be out of order or "
            "there twice. Append only what comes after."
        )


def _link_blocks(part: Part, base: Path, folder: Path) -> None:
    """Full blocks are shared by both stores: no block is ever changed, only replaced by another file."""
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
        shutil.copyfile(path, other)  # not every file system has links
        sync_to_disk(other)
