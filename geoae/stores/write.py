"""Write zarr stores that are laid out once and filled block by block, by any number of processes.

A plan describes the arrays of a store. `begin_store` lays the store out, or finds the run that was begun.
`write_region` writes one block a call, in any order, as often as needed. `Ledger.finish` gives the store its name. A
finished store is zarr of format 3 with CF attributes, and opens in plain xarray.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae._version import __version__
from geoae.errors import InputError, StoreError, one_line
from geoae.stores import ledger, runs
from geoae.stores.blocks import Variable
from geoae.stores.lay_out import Provenance, find_fill_value, lay_out_store, make_compressors
from geoae.stores.ledger import Ledger
from geoae.stores.plain import digest_coordinates, simplify_attrs, simplify_value
from geoae.stores.plan import StorePlan


@dataclass(frozen=True)
class Origin:
    """Where the samples of a store come from."""

    source: str = ""
    """The input, as text for people."""
    source_hash: str = ""
    """A digest of the input. A run is resumed only with the same source and digest."""
    command: str = ""
    """Command line for ``history``. A resumed run keeps the command and time of its first start."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the input's data set; one line is added to its ``history``."""


def begin_store(
    target: str | Path,
    plan: StorePlan,
    settings: Mapping[str, Any],
    origin: Origin = Origin(),
    *,
    overwrite: bool = False,
    append: str | Collection[str] = (),
) -> Ledger:
    """Lay out a store, or resume the run that was begun with the same settings.

    Write the blocks of `Ledger.pending` with `write_region`, in any order and process, then call `Ledger.finish`. Until
    then there is no store of that name, or the old one. If the store is finished already, nothing is pending.

    Parameters
    ----------
    target
        Path of the store, on a disk that all writers share.
    plan
        What the store holds.
    settings
        What decides the samples, by name: model, digest, window, overlap, scaling, units, ... They become attributes
        ``geoae_NAME``: numbers, text, lists of them. A run is resumed or appended to only with the same settings.
    origin
        Source, digest and command, for provenance.
    overwrite
        Replace a finished store when this one is finished, and remove an unfinished one that has other settings.
    append
        Dimensions to append along, one for each part, if there is a finished store: "time". `plan` describes the new
        samples. Stored samples stay; a block that was not full is written again with its old samples.

    Raises
    ------
    StoreError
        An unfinished store, or one to append to, has other settings (each is named, old -> new) or is damaged.
    OutputExistsError
        There is a finished store, and neither `overwrite` nor `append` was given.
    OutputError
        The place cannot be written to, or the target is not a store.
    """
    if "://" in str(target):
        raise InputError(f"{target} is a URL; a store is written to a folder. Copy it there when it is finished.")
    plain = {name: simplify_value(value) for name, value in settings.items()}
    made_by = Provenance(plain, origin.source, origin.source_hash, origin.command, simplify_attrs(origin.attrs))
    identity = {
        **plain,
        "version": __version__,
        "source": origin.source,
        "source_hash": origin.source_hash,
        **{f"variable {v.name}": _describe(v) for part in plan.parts for v in part.variables},
        "coordinates": digest_coordinates(plan.coords),
    }
    dims = (append,) if isinstance(append, str) else tuple(append)
    lay_out = partial(lay_out_store, plan, made_by, identity, dims)
    return ledger.begin_run(Path(target), identity, lay_out, overwrite=overwrite, append=bool(dims))


def write_region(folder: str | Path, number: int, values: Mapping[str, NDArray[Any]]) -> None:
    """Write one block: the samples of task `number`, of every variable of its part.

    Writing it again changes nothing. A block is complete or absent, whenever the writer is killed. It is written also
    if all its samples are missing.

    Parameters
    ----------
    folder
        `Ledger.folder`, from which a worker reads everything else.
    number
        Number of the task, see `Ledger.pending`.
    values
        Samples of ``Ledger.task(number).region`` for each variable, and all samples along its other axes.

    Raises
    ------
    InputError
        Variables, shapes or dtypes are not those of the task.
    OutputError
        The disk is full or fails; blocks that are done stay done.
    StoreError
        The run was removed, or the store to append to is damaged.
    """
    run = ledger.load_run(Path(folder))
    task = run.task(number)
    if set(values) != (names := {v.name for v in task.part.variables}):
        raise InputError(f"Task {number} writes {', '.join(sorted(names))}; it was given {', '.join(sorted(values))}.")
    contents = {}
    for variable in task.part.variables:
        x = np.asarray(values[variable.name])
        shape = tuple(s.stop - s.start for s in task.region) + variable.shape[task.part.n_axes :]
        if x.shape != shape or not np.can_cast(x.dtype, variable.dtype, "same_kind"):
            raise InputError(
                f"Task {number} writes {variable.name} as {variable.dtype} of shape {shape}; "
                f"it was given {x.dtype} of shape {x.shape}."
            )
        x = x.astype(variable.dtype, copy=False)
        axis, n_old = task.part.grown or (0, 0)
        if task.block[axis].start < n_old:
            old = tuple(slice(s.start, n_old) if a == axis else s for a, s in enumerate(task.block))
            x = np.concatenate([_read_samples(run.target, variable, old), x], axis)
        contents[variable] = _encode(variable, x)
    for variable, content in contents.items():
        run.write(task, variable, content)


def read_region(folder: str | Path, number: int) -> dict[str, NDArray[Any]] | None:
    """New samples that `write_region` wrote, for every variable of the task's part; None if the task is not done."""
    run = ledger.load_run(Path(folder))
    if not run.is_done(number):
        return None
    task = run.task(number)
    axis, n_old = task.part.grown or (0, 0)
    new = tuple(slice(max(s.start, n_old), s.stop) if a == axis else s for a, s in enumerate(task.block))
    try:
        return {v.name: _read_samples(run.folder / runs.STORE, v, new) for v in task.part.variables}
    except StoreError:  # another process has just finished the run
        return None


def _encode(variable: Variable, x: NDArray[Any]) -> bytes:
    """Content of the file of one block, as zarr writes it for an array of one block."""
    import zarr

    # in memory: the ledger writes the file. open_array would ignore write_empty_chunks
    files: dict[str, Any] = {}
    array = zarr.create_array(
        zarr.storage.MemoryStore(files),
        shape=variable.block,
        chunks=variable.chunks,
        shards=variable.shards,
        dtype=variable.dtype,
        compressors=make_compressors(variable.is_checked),
        fill_value=find_fill_value(variable),
        config={"write_empty_chunks": True},
        zarr_format=3,
    )
    array[tuple(slice(0, n) for n in x.shape)] = x
    (content,) = (value for key, value in files.items() if key != "zarr.json")
    return bytes(content.to_bytes())


def _read_samples(store: Path, variable: Variable, region: tuple[slice, ...]) -> NDArray[Any]:
    import zarr

    try:
        return np.asarray(zarr.open_array(store / variable.name, mode="r", zarr_format=3)[region])
    except Exception as error:  # what a damaged store does to zarr has many kinds
        raise StoreError(f"{store} is damaged: {variable.name} cannot be read ({one_line(error)}).") from error


def _describe(variable: Variable) -> str:
    sizes = ", ".join(f"{dim} {n}" for dim, n in zip(variable.dims, variable.shape, strict=True))
    chunks, files = ("x".join(map(str, n)) for n in (variable.chunks, variable.block))
    return f"{variable.dtype} ({sizes}) in chunks of {chunks}, files of {files}"
