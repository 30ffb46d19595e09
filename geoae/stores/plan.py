"""Plans of stores: denoised variables, codes and coordinates, with their chunks. No sample is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import xarray as xr

from geoae.errors import InputError, OptionError, one_line
from geoae.labels.valid import unpack_valid_range
from geoae.stores.blocks import Part, Variable, choose_chunks, choose_shards
from geoae.stores.plain import simplify_attrs, simplify_variable
from geoae.stores.references import drop_dangling
from geoae.stores.schema import (
    CODE,
    CODE_STATISTICS,
    CODED_VARIABLE,
    COMPONENT,
    LATENT,
    MISSING,
    MISSING_BITS,
    MISSING_BYTE,
    N_VALID,
    SCALING,
    STATISTICS,
)  # fmt: skip

# attributes that describe the packing or the values of the input, and are wrong for the output
_NO_LONGER_TRUE = {
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "dtype",
    "coordinates",
    "actual_range",
    "_Unsigned",
}


@dataclass(frozen=True)
class StorePlan:
    """What a store will hold. Plans are added: ``plan_field(u) + plan_field(v) + plan_codes(...)``."""

    parts: tuple[Part, ...]
    coords: xr.Dataset
    """Coordinates, their bounds and grid mappings, in memory, as they are written."""
    attrs: Mapping[str, Mapping[str, Any]]
    """Attributes of each variable of `parts`, by name."""

    def __add__(self, other: "StorePlan") -> "StorePlan":
        for first, second in ((self, other), (other, self)):
            if shared := sorted(set(first.attrs) & {*second.attrs, *map(str, second.coords.variables)}):
                raise InputError(f"The store would hold {', '.join(shared)} twice; give the variables other names.")
        labels = {str(k): v for k, v in self.coords.variables.items()}
        for name, coord in other.coords.variables.items():
            if not labels.setdefault(str(name), coord).equals(coord):  # type: ignore[no-untyped-call]
                raise InputError(f"The variables do not share one grid: they have different coordinates {name}.")
        arrays = [(v.dims, v.shape) for part in (*self.parts, *other.parts) for v in part.variables]
        sizes: dict[Any, int] = {}
        for dims, shape in [*arrays, *((v.dims, v.shape) for v in labels.values())]:
            for dim, n in zip(dims, shape, strict=True):
                if sizes.setdefault(dim, n) != n:
                    raise InputError(f"The variables do not share one grid: {dim} has {sizes[dim]} and {n} samples.")
        coords = xr.Dataset(labels).set_coords(list(labels))
        return StorePlan((*self.parts, *other.parts), coords, {**self.attrs, **other.attrs})


@dataclass(frozen=True)
class Chunking:
    """How arrays are divided into chunks and files."""

    chunks: Mapping[str, int] = field(default_factory=dict)
    """Samples of a chunk by dimension; chosen automatically for dimensions that are left out."""
    shard_chunks: int = 1
    """Maximum number of chunks in one file. A task writes a whole file, and needs the memory of all its chunks."""
    grows: str | None = None
    """The dimension that will be appended to. Chunks along it do not depend on its present length."""


@dataclass(frozen=True)
class CodeVariables:
    """Which variables are stored for codes, and their names."""

    variable: str | None = None
    """The denoised variable in the same store that the codes encode. It lists them as its ancillary variables."""
    units: str | None = None
    """Units of the samples."""
    prefix: str = ""
    """Begins each name if a store holds the codes of several variables."""
    statistics: Sequence[str] = CODE_STATISTICS
    """Names in `geoae.stores.schema.STATISTICS`."""
    components: Sequence[str] = ()
    """Names of the components of a window that are scaled one by one; empty if a window has one component."""
    dtype: str = "float32"
    """Dtype of the codes."""
    missing_bytes: int = 0
    """Bytes that mark the missing samples of a window; 0: these are not stored."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.statistics) - set(STATISTICS)):
            raise InputError(f"Unknown statistics: {', '.join(unknown)}. The statistics are: {', '.join(STATISTICS)}.")


def plan_field(
    template: xr.DataArray,
    core_dims: str | Collection[str] = (),
    *,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
    auxiliary: xr.Dataset | None = None,
    chunking: Chunking = Chunking(),
) -> StorePlan:
    """Plan one denoised variable with the name, dims, coordinates, attributes and dtype of its input.

    Packing is undone: samples are stored in the dtype of `template`. One task writes one block.

    Parameters
    ----------
    template
        The input; its samples are not read.
    core_dims
        Dims that the model works along; chunks are whole along them if possible.
    extra
        Attributes of more variables with the same dims, by name, such as the noise that was removed.
    auxiliary
        Small variables that are written as they are: bounds, grid mappings.
    chunking
        Chunks of all variables.

    Raises
    ------
    InputError
        There are no samples, samples are not numbers, a dimension is unknown, a name cannot be stored, or coordinates
        cannot be written.
    """
    name = check_name(template.name)
    if template.dtype.kind not in "fiubc" or template.dtype.itemsize > (16 if template.dtype.kind == "c" else 8):
        raise InputError(f"{name} holds {template.dtype}; a store holds numbers of at most 64 bits.")
    if not template.size or not template.ndim:
        raise InputError(f"{name} has the sizes {dict(template.sizes)}: there is nothing to store.")
    dims = tuple(map(check_name, template.dims))
    own = unpack_valid_range(template.attrs, template.encoding)
    names = {name: own, **{check_name(k): v for k, v in (extra or {}).items()}}
    core = [core_dims] if isinstance(core_dims, str) else core_dims
    blocks = _choose_blocks(dims, template.shape, core, chunking)
    variables = tuple(Variable(n, dims, template.shape, template.dtype.name, *blocks) for n in names)
    mapping = {k: template.encoding[k] for k in ("grid_mapping",) if k in template.encoding}
    attrs = {
        n: simplify_attrs({k: v for k, v in (mapping | dict(a)).items() if k not in _NO_LONGER_TRUE})
        for n, a in names.items()
    }
    labels = {str(k): v.variable for k, v in template.coords.items()}
    if auxiliary is not None:
        labels |= {str(k): v for k, v in auxiliary.variables.items()}
    sizes = dict(zip(dims, template.shape, strict=True))
    return StorePlan((Part(name, len(dims), variables),), _check_coords(labels, sizes), attrs)


def plan_codes(
    windows: Mapping[str, int],
    n_latent: int,
    *,
    coords: Mapping[str, Any] | None = None,
    stored: CodeVariables = CodeVariables(),
    chunking: Chunking = Chunking(),
) -> StorePlan:
    """Plan the codes of windows, with the scaling and the reconstruction error of each window.

    One task writes one block of windows of all these variables.

    Parameters
    ----------
    windows
        Number of windows by dimension: ``{"window": 5000}``, or ``{"time": 744, "window_y": 9, "window_x": 18}``.
    n_latent
        Numbers in one code.
    coords
        Coordinates of the windows, as `xarray.Dataset` takes them: t0, or y0 and x0, source id.
    stored
        Variables and their names.
    chunking
        Chunks of windows; a chunk holds whole codes.

    Raises
    ------
    InputError
        There are no windows, or coordinates cannot be written.
    """
    prefix, components = stored.prefix, stored.components
    code, latent, component = (check_name(prefix + word) for word in (CODE, LATENT, COMPONENT))
    sizes = {**{check_name(dim): n for dim, n in windows.items()}, latent: n_latent}
    if not windows or min(sizes.values()) < 1:
        raise InputError(f"Codes of windows {dict(windows)} with {n_latent} numbers each: there is nothing to store.")
    whole_codes = replace(chunking, chunks={**chunking.chunks, latent: n_latent})
    blocks = _choose_blocks(tuple(sizes), tuple(sizes.values()), [latent], whole_codes)
    variables = [Variable(code, tuple(sizes), tuple(sizes.values()), stored.dtype, *blocks)]
    attrs: dict[str, dict[str, Any]] = {
        code: {
            "long_name": "latent code of the window",
            "units": "1",
            **({CODED_VARIABLE: stored.variable} if stored.variable else {}),
        }
    }
    for word in stored.statistics:
        dtype, meaning = STATISTICS[word]
        scaled_dim = {component: len(components)} if components and word in SCALING else {}
        dims, shape = (*windows, *scaled_dim), (*windows.values(), *scaled_dim.values())
        variables.append(Variable(prefix + word, dims, shape, dtype, (*variables[0].block[:-1], *scaled_dim.values())))
        attrs[prefix + word] = {"long_name": meaning, "units": "1" if word == N_VALID else stored.units or "1"}
    if stored.missing_bytes:
        dtype, meaning = MISSING_BITS
        dims, shape = (*windows, prefix + MISSING_BYTE), (*windows.values(), stored.missing_bytes)
        block = (*variables[0].block[:-1], stored.missing_bytes)
        variables.append(Variable(prefix + MISSING, dims, shape, dtype, block))
        attrs[prefix + MISSING] = {"long_name": meaning}
    labels: dict[str, Any] = {component: (component, list(components))} if components else {}
    try:
        labelled = xr.Dataset(coords={**labels, **(coords or {})}).variables
    except ValueError as error:
        raise InputError(f"The windows' coordinates do not fit: {one_line(error)}") from error
    checked = _check_coords({str(k): v for k, v in labelled.items()}, {**sizes, component: len(components)})
    return StorePlan((Part(code, len(windows), tuple(variables)),), checked, attrs)


def make_attributes(plan: StorePlan, external: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Attributes of the variables by name. Each variable lists the variables that belong to it, as CF asks for.

    Names of variables that are neither in the plan nor `external` are left out.
    """
    attrs = {name: dict(values) for name, values in plan.attrs.items()}
    stored = {*attrs, *map(str, plan.coords.variables)}
    listed = {name: str(a.pop("ancillary_variables", "")).split() for name, a in attrs.items()}
    for part in plan.parts:
        names = [variable.name for variable in part.variables]
        listed[names[0]] += names[1:]
        listed.get(attrs[names[0]].get(CODED_VARIABLE, ""), []).extend(names)
    for name, ancillary in listed.items():
        if kept := [other for other in dict.fromkeys(ancillary) if other in stored.union(external) and other != name]:
            attrs[name]["ancillary_variables"] = " ".join(kept)
    return {name: drop_dangling(a, stored.union(external)) for name, a in attrs.items()}


def make_coordinates(plan: StorePlan, external: Collection[str] = ()) -> xr.Dataset:
    """Coordinates as they are written, without names of variables that are neither in the plan nor `external`."""
    coords = plan.coords.copy()
    held = {*plan.attrs, *map(str, coords.variables), *external}
    for name in coords.variables:
        coords[name].attrs = drop_dangling(coords[name].attrs, held)
    return coords


def check_chunk_sizes(chunks: Mapping[str, int], shard_chunks: int) -> None:
    """Raise InputError for a chunk without samples along some dimension, or a file without chunks."""
    if wrong := [f"{dim}={n}" for dim, n in chunks.items() if n < 1]:
        raise OptionError(f"chunks are {', '.join(wrong)}; a chunk must have at least 1 sample.")
    if shard_chunks < 1:
        raise OptionError(f"shard is {shard_chunks}; a file must hold at least 1 chunk.")


def check_name(name: Any) -> str:
    """The name as text; InputError if it cannot be the name of a folder or stand in a list of names."""
    text = str(name) if name is not None else ""
    if not text or text.startswith(("__", ".")) or any(c in text for c in "/\\ ;") or text == "zarr.json":
        raise InputError(f"{name!r} cannot be the name of a variable or dim in a store. Rename it: x.rename('...').")
    return text


def _choose_blocks(
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    core_dims: Collection[str],
    chunking: Chunking,
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Choose chunks, and shards if a file holds more than one chunk."""
    chunks, shard_chunks, grows = chunking.chunks, chunking.shard_chunks, chunking.grows
    requested = {**dict.fromkeys(core_dims, 1), **chunks, **({grows: 1} if grows else {})}
    if unknown := [dim for dim in requested if dim not in dims]:
        raise InputError(f"There is no dimension {', '.join(unknown)}; there are {', '.join(dims)}.")
    check_chunk_sizes(requested, shard_chunks)
    axis = dims.index(grows) if grows else None
    chosen = choose_chunks(shape, [dims.index(dim) for dim in core_dims], axis)
    limits = [max(n, c) for n, c in zip(shape, chosen, strict=True)]
    chunk = tuple(min(chunks.get(d, c), n) for d, c, n in zip(dims, chosen, limits, strict=True))
    # along a dimension that grows, files are full however short it is now
    full = tuple(n * shard_chunks * c if a == axis else n for a, (n, c) in enumerate(zip(shape, chunk, strict=True)))
    shard = choose_shards(full, chunk, shard_chunks)
    return chunk, shard if shard != chunk else None


def _check_coords(labels: Mapping[str, xr.Variable], sizes: Mapping[str, int]) -> xr.Dataset:
    for name, variable in labels.items():
        if any(sizes.get(str(dim), n) != n for dim, n in variable.sizes.items()):
            raise InputError(f"{name} has the sizes {dict(variable.sizes)}; the samples have {dict(sizes)}.")
    plain = {check_name(name): simplify_variable(name, variable) for name, variable in labels.items()}
    return xr.Dataset(plain).set_coords(list(plain))
