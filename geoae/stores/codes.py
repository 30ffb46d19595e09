"""The latent codes in a store that geoae wrote, and what it takes to decode them. No sample is read."""

from pathlib import Path

import xarray as xr

from geoae.errors import InputError, StoreError, one_line
from geoae.stores import ledger, provenance
from geoae.stores.blocks import Part
from geoae.stores.schema import CODE, CODED_VARIABLE


def open_codes(store: str | Path, variable: str | None = None) -> xr.Dataset:
    """Open codes and their windows' scaling, reconstruction error and places, lazily.

    Parameters
    ----------
    store
        A finished zarr store.
    variable
        Which codes, where the store holds those of several variables: the name of the variable, or of the codes.

    Returns
    -------
    Dataset
        ``code`` (window dims..., latent), and of offset, slope, gain (window dims...[, component]), recon_error and
        n_valid (window dims...) what was stored; windows' coordinates; attributes of the store.

    Raises
    ------
    MissingFileError
        There is no such store.
    StoreError
        It is not finished, holds no codes, was not written by geoae, or is damaged.
    InputError
        It holds codes of several variables, and not of `variable`, or none was named.
    """
    path = Path(store).resolve()
    codes = _parts(path)
    try:
        data = xr.open_zarr(path, chunks={}, decode_timedelta=False)
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise StoreError(f"{path} is damaged: {one_line(error)}.") from error
    found = [name for name in codes if variable in (None, name, data[name].attrs.get(CODED_VARIABLE))]
    if len(found) != 1:
        choices = ", ".join(str(data[name].attrs.get(CODED_VARIABLE, name)) for name in codes)
        raise InputError(f"{path} holds codes of {choices}; say which: variable={variable!r} is not one of them.")
    (name,) = found
    prefix = name.removesuffix(CODE)
    others = [other.removesuffix(CODE) for other in codes if other != name and other != CODE]
    names = {v.name: v.name.removeprefix(prefix) for v in codes[name].variables}
    # what belongs to the codes of other variables, or to the cleaned variable alone, stays behind
    coords = [str(c) for c in data.coords if not any(str(c).startswith(other) for other in others)]
    chosen = data.drop_vars([v for v in data.variables if v not in coords and v not in names])
    own = {str(n): str(n).removeprefix(prefix) for n in (*chosen.dims, *chosen.variables) if str(n).startswith(prefix)}
    return chosen.rename({old: new for old, new in own.items() if old != new})


def list_coded_variables(store: str | Path) -> list[str]:
    """Names of the variables whose codes a finished store holds; raises as `open_codes`."""
    path = Path(store).resolve()
    names = list(_parts(path))
    with xr.open_zarr(path, chunks=None, decode_times=False) as data:
        return [str(data[name].attrs.get(CODED_VARIABLE, name)) for name in names]


def _parts(path: Path) -> dict[str, Part]:
    """The codes in a finished store, all blocks there."""
    if not path.exists():
        how_far = ledger.read_store_status(path)
        raise StoreError(
            f"{path} is not finished: {how_far.n_done} of {how_far.n_tasks} blocks are done. "
            "Run the command that makes it again; it goes on from there."
        )
    parts = provenance.read_parts(path)
    codes = {part.name: part for part in parts if part.n_axes < len(part.variables[0].dims)}
    if not codes:
        there = ", ".join(v.name for part in parts for v in part.variables)
        raise StoreError(f"{path} holds no codes, only {there}. Make them with geoae encode, or geoae denoise --codes.")
    if missing := int((~provenance.find_done_blocks(path, codes.values())).sum()):
        raise StoreError(
            f"{path} is damaged: {missing} blocks of its codes are missing. Make it anew with --overwrite."
        )
    return codes
