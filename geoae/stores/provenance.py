"""Provenance of a store: how it was made, how its arrays are divided, and which blocks are done.

All of it is read from JSON and file names, without zarr and xarray.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import GeoAEError, InputError, StoreError, one_line
from geoae.stores.blocks import Part, Variable
from geoae.stores.schema import FINGERPRINT, PARTS, PREFIX

Identity = Mapping[str, Any]
"""Everything that decides the content of a store, by name."""


def make_fingerprint(identity: Identity, base: str | None = None) -> str:
    """16 hex digits that change with every entry of `identity`; `base` is the fingerprint of the store appended to."""
    return hashlib.sha256(json.dumps([dict(identity), base], sort_keys=True).encode()).hexdigest()[:16]


def describe_differences(old: Identity, new: Identity) -> str:
    """All differences, as ``name: old -> new``; empty if there are none.

    Examples
    --------
    >>> describe_differences({"model": "a", "window": [64, 64]}, {"model": "b", "window": [64, 64]})
    'model: a -> b'
    """
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    return "; ".join(f"{key}: {_as_text(old.get(key))} -> {_as_text(new.get(key))}" for key in keys)


def format_now() -> str:
    """The time in UTC, or SOURCE_DATE_EPOCH (seconds since 1970) for outputs that are identical byte by byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"SOURCE_DATE_EPOCH is {epoch!r}; it should be whole seconds since 1970, or not set."
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_attributes(store: Path) -> dict[str, Any]:
    """Attributes of a finished store.

    Raises
    ------
    StoreError
        It is damaged, or not a zarr store of format 3.
    """
    return dict(_read_metadata(store, store)["attributes"])


def read_settings(store: Path) -> dict[str, Any]:
    """Attributes that geoae wrote to a finished store, without their prefix; raises as `read_attributes`."""
    return {k.removeprefix(PREFIX): v for k, v in read_attributes(store).items() if k.startswith(PREFIX)}


def is_result(store: Path, identity: Identity) -> bool:
    """Whether a finished store is the result of a run with this identity."""
    try:
        return read_attributes(store).get(FINGERPRINT) == make_fingerprint(identity)
    except StoreError:
        return False


def format_parts(parts: Iterable[Part]) -> str:
    """Parts as one attribute, which `read_parts` reads: ``name n_axes variable variable; name ...``."""
    return "; ".join(" ".join([part.name, str(part.n_axes), *(v.name for v in part.variables)]) for part in parts)


def read_parts(store: Path) -> tuple[Part, ...]:
    """Parts of a finished store, from its attributes and metadata.

    Raises
    ------
    StoreError
        It is damaged, or not a store that geoae wrote.
    """
    groups = read_attributes(store).get(PARTS)
    if not isinstance(groups, str):
        raise StoreError(f"{store} was not written by geoae: its attributes do not say how it is divided.")
    try:
        return tuple(_read_part(store, *group.split()) for group in groups.split("; "))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, GeoAEError):
            raise
        raise StoreError(f"{store} is damaged: {one_line(error)}.") from error


def find_done_blocks(store: Path, parts: Iterable[Part]) -> NDArray[np.bool_]:
    """Mask of the tasks that are done, by number. Lists the folder of each variable once.

    Raises
    ------
    FileNotFoundError
        A variable has no folder.
    """
    return np.concatenate([np.zeros(0, bool), *(_find_done(store, part) for part in parts)])


def _find_done(store: Path, part: Part) -> NDArray[np.bool_]:
    done = np.ones(part.counts, bool)
    for variable in part.variables:
        is_written = np.zeros(part.counts, bool)
        block_name = re.compile(r"c" + r"\.(\d+)" * len(variable.shape))
        with os.scandir(store / variable.name) as entries:
            blocks = [match.groups() for entry in entries if (match := block_name.fullmatch(entry.name))]
        keys = np.array(blocks, dtype=np.intp).reshape(-1, len(variable.shape))[:, : part.n_axes]
        is_written[tuple(keys[(keys < part.counts).all(axis=1)].T)] = True
        done &= is_written
    return done.ravel()


def _read_part(store: Path, name: str, n_axes: str, *variables: str) -> Part:
    return Part(name, int(n_axes), tuple(_read_variable(store, v) for v in variables))


def _read_variable(store: Path, name: str) -> Variable:
    facts = _read_metadata(store, store / name)
    block = tuple(facts["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = facts["codecs"]
    inner = None
    if codecs[0]["name"] == "sharding_indexed":
        inner, codecs = tuple(codecs[0]["configuration"]["chunk_shape"]), codecs[0]["configuration"]["codecs"]
    is_checked = any(codec["name"] == "crc32c" for codec in codecs)
    dims, shape = tuple(facts["dimension_names"]), tuple(facts["shape"])
    return Variable(name, dims, shape, facts["data_type"], inner or block, block if inner else None, is_checked)


def _read_metadata(store: Path, folder: Path) -> Any:
    try:
        facts = json.loads((folder / "zarr.json").read_text())
        if not isinstance(facts["attributes"], dict):
            raise TypeError("its attributes are not a mapping")
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a zarr store of format 3" if folder == store else f"is damaged: it lacks {folder.name!r}"
        raise StoreError(f"{store} {what}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store} is damaged ({folder / 'zarr.json'}: {one_line(error)}).") from error
    return facts


def _as_text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
