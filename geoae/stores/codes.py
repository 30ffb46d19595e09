"""Open the latent codes in a store that geoae wrote, with all that decoding needs. No sample is read."""

from pathlib import Path

import xarray as xr

from geoae.errors import InputError, StoreError, one_line
from geoae.files.paths import can_reach, require_path, resolve_links
from geoae.stores import ledger, provenance
from geoae.stores.blocks import Part
from geoae.stores.schema import CODE, CODED_DIMS, CODED_VARIABLE, list_code_names


def open_codes(store: str | Path, variable: str | None = None) -> xr.Dataset:
    """Open codes lazily, with the scaling, reconstruction error and coordinates of their windows.

    Parameters
    ----------
    store
        A finished zarr store.
    variable
        Name of the encoded variable, or of its codes. Needed only if the store holds codes of several variables.

    Returns
    -------
    Dataset
        ``code`` (window dims..., latent), and those of these variables that were stored: ``offset``, ``slope``,
        ``gain`` (window dims...[, component]), ``recon_error`` and ``n_valid`` (window dims...), ``missing`` (window
        dims..., missing_byte). Coordinates of the windows; attributes of the store.

    Raises
    ------
    MissingFileError
        There is no such store.
    StoreError
        It is not finished, holds no codes, was not written by geoae, or is damaged.
    InputError
        The store has no codes of `variable`, or has codes of several variables and none was named.
    """
    path = resolve_links(require_path(store, "The store of codes"))
    codes = _read_code_parts(path)
    try:
        data = xr.open_zarr(path, chunks={}, decode_timedelta=False)
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise StoreError(f"{path} is damaged: {one_line(error)}.") from error
    # a variable may have the name that the codes of another one have
    found = [name for name in codes if variable in (None, data[name].attrs.get(CODED_VARIABLE))]
    found = found or [name for name in codes if name == variable]
    if len(found) != 1:
        choices = ", ".join(str(data[name].attrs.get(CODED_VARIABLE, name)) for name in codes)
        raise InputError(f"{path} holds codes of {choices}; say which: variable={variable!r} is not one of them.")
    (name,) = found
    prefix = name.removesuffix(CODE)
    words = list_code_names(1) | list_code_names(2)
    others = {other.removesuffix(CODE) + word for other in codes if other not in (name, CODE) for word in words}
    own = {prefix + word: word for word in words}
    variables = {v.name for v in codes[name].variables}
    # coordinates of the codes of other variables are left out, and so are the denoised variables
    coords = {str(c) for c in data.coords if str(c) not in others - own.keys()}
    chosen = data.drop_vars([v for v in data.variables if v not in coords | variables])
    present = {*map(str, chosen.dims), *map(str, chosen.variables)}
    return chosen.rename({stored: word for stored, word in own.items() if prefix and stored in present})


def refuse_codes(x: xr.DataArray) -> None:
    """Raise InputError if an array holds latent codes, where samples are expected."""
    if CODED_DIMS in x.attrs:
        of = x.attrs.get(CODED_VARIABLE) or "an array"
        raise InputError(
            f"{x.name} holds latent codes of {of}; samples were expected. Decode them first: geoae decode."
        )


def list_coded_variables(store: str | Path) -> list[str]:
    """Names of the variables whose codes a finished store holds; raises as `open_codes`."""
    path = resolve_links(store)
    names = list(_read_code_parts(path))
    with xr.open_zarr(path, chunks=None, decode_times=False) as data:
        return [str(data[name].attrs.get(CODED_VARIABLE, name)) for name in names]


def _read_code_parts(path: Path) -> dict[str, Part]:
    """Parts of a finished store that hold codes, by name; raises if blocks of them are missing."""
    if not can_reach(path):
        status = ledger.read_store_status(path)
        raise StoreError(
            f"{path} is not finished: {status.n_done} of {status.n_tasks} blocks are done. "
            "Run the command that makes it again; it resumes there."
        )
    parts = provenance.read_parts(path)
    codes = {part.name: part for part in parts if part.n_axes < len(part.variables[0].dims)}
    if not codes:
        names = ", ".join(v.name for part in parts for v in part.variables)
        raise StoreError(f"{path} holds no codes, only {names}. Make them with geoae encode, or geoae denoise --codes.")
    if missing := int((~provenance.find_done_blocks(path, codes.values())).sum()):
        raise StoreError(
            f"{path} is damaged: {missing} blocks of its codes are missing. Make it anew with --overwrite."
        )
    return codes
