"""Write codes to a zarr store, with their coordinates and the digest of their model, and read them again."""

from pathlib import Path
from typing import Any

import xarray as xr

from geoae.errors import InputError, MissingFileError, OutputExistsError, StoreError, one_line
from geoae.files.whole import whole_folder
from geoae.priors.space import LatentSpace
from geoae.stores.schema import CODE, MODEL_DIGEST, MODEL_NAME


def write_codes(
    space: LatentSpace, codes: Any, path: str | Path, dims: tuple[str, ...] = (), coords: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write codes (..., d) to a new zarr store as the variable ``code``, with coordinates.

    Raises
    ------
    OutputExistsError
        The store exists.
    OutputError
        The store cannot be written.
    InputError
        The codes have another length, or belong to another model.
    """
    out = Path(path)
    x = codes if isinstance(codes, xr.DataArray) else space.labelled(codes, dims, coords)
    space.labelled(x, tuple(str(d) for d in x.dims[:-1]))  # refuses codes of another model
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} is there already; choose another name, or give overwrite=True.")
    x = x.assign_attrs({MODEL_DIGEST: space.digest, MODEL_NAME: space.name})
    with whole_folder(out) as part:
        x.to_dataset(name=CODE).to_zarr(part, mode="w", consolidated=False)
    return out


def read_codes(space: LatentSpace, path: str | Path) -> xr.DataArray:
    """Read the codes of a zarr store lazily; they must belong to the model of `space`.

    Raises
    ------
    MissingFileError
        The store does not exist.
    StoreError
        The store has no codes, or is damaged.
    InputError
        The codes belong to another model.
    """
    folder = Path(path)
    if not folder.exists():
        raise MissingFileError(f"There is no store {folder}.")
    try:
        data = xr.open_zarr(folder, consolidated=False)
    except Exception as error:  # a damaged store makes zarr and xarray raise many kinds of errors
        raise StoreError(f"{folder} is no zarr store that can be read: {one_line(error)}.") from error
    if CODE not in data:
        there = ", ".join(map(str, data.data_vars)) or "nothing"
        raise StoreError(f"{folder} holds no codes, only {there}. Write them with geoae.priors.saved.write_codes.")
    found = data[CODE]
    if (digest := found.attrs.get(MODEL_DIGEST)) != space.digest:
        raise InputError(
            f"{folder} holds codes of model {found.attrs.get(MODEL_NAME)!r} ({digest}); this is {space.name!r} "
            f"({space.digest}). Load the model that made them, or encode anew."
        )
    return found
