"""The verbs for a notebook: each gives back the kind of thing it was given."""

# ObsPy has no type hints, so mypy takes its Stream for anything and the overloads behind it for dead
# mypy: disable-error-code="overload-cannot-match"

import inspect
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import xarray as xr

from geoae import infer
from geoae.devices import prepare
from geoae.errors import InputError
from geoae.jobs import inspect as look
from geoae.jobs.clean import Options
from geoae.jobs.denoise import denoise_files, denoise_stream
from geoae.model import Model, load

if TYPE_CHECKING:
    from obspy import Stream, Trace


@overload
def denoise(x: "Stream", **options: Any) -> "Stream": ...
@overload
def denoise(x: "Trace", **options: Any) -> "Trace": ...
@overload
def denoise(x: xr.DataArray, **options: Any) -> xr.DataArray: ...
@overload
def denoise(x: xr.DataTree, **options: Any) -> xr.DataTree: ...
@overload
def denoise(x: str | Path, out: str | Path | None = None, **options: Any) -> Path: ...


def denoise(
    x: Any,
    out: str | Path | None = None,
    *,
    model: str | Path | Model | None = None,
    device: str = "auto",
    batch_size: int = infer.BATCH,
    threads: int | None = None,
    dry: float = 0.0,
    above_band: str = "pass",
    return_noise: bool = False,
    **file_options: Any,
) -> Any:
    """Take the noise out of a recording; returns what it was given.

    Parameters
    ----------
    x
        ObsPy Stream or Trace; DataArray (..., channel, time) or DataTree, as `geoae.read` gives; or the path of a file.
    out
        With a path only: the file to write; default ``INPUT.denoised.mseed`` beside the input.
    model
        Name of a shipped model, folder of a trained one, or a loaded `Model`.
    device
        "auto", "cpu", "cuda" or "mps".
    batch_size
        Windows a call of the net; changes speed, not results.
    threads
        Of the CPU; None: as many as this process may use, at most 8.
    dry
        Fraction of the original kept in the output, 0 to 1.
    above_band
        What lies above the model's band (50 Hz): "pass" or "remove".
    return_noise
        Return (signal, noise); their sum is the input to the rounding of its dtype. Not with a path: use `noise_out`.
    **file_options
        With a path only: those of `geoae.jobs.denoise.denoise_files`.

    Returns
    -------
    Stream, Trace, DataArray, DataTree or Path
        New; the input is left as it was. Traces that cannot be denoised come back unchanged, with a warning.

    Raises
    ------
    GeoAEError
        Each of its kinds is also the built-in that fits (ValueError, OSError, LookupError); its message says what to
        do.
    """
    options = Options(model, device, batch_size, threads, dry, above_band)
    if isinstance(x, str | Path):
        if return_noise:
            raise InputError("return_noise is for data in memory; with a path, give noise_out=FILE.")
        return _file(Path(x), out, options, file_options)
    if out is not None or file_options:
        named = ", ".join(["out"] * (out is not None) + sorted(file_options))
        raise InputError(f"{named} go with the path of a file; for data in memory, write the result yourself.")
    if isinstance(x, xr.DataArray | xr.DataTree):
        loaded = prepare(load(model), device, threads)
        if isinstance(x, xr.DataArray):
            pair = _array(x, loaded, options)
            return pair if return_noise else pair[0]
        pairs = {node.path: _tree_arrays(node, loaded, options) for node in x.subtree if node.has_data}
        if not pairs:
            raise InputError("The DataTree holds no arrays, so there is nothing to denoise.")
        trees = tuple(xr.DataTree.from_dict({k: p[i] for k, p in pairs.items()}) for i in (0, 1))
        return trees if return_noise else trees[0]
    if (obspy := sys.modules.get("obspy")) and isinstance(x, obspy.Stream | obspy.Trace):
        return denoise_stream(x, options, return_noise)
    hints = {
        "ndarray": "Wrap it: xarray.DataArray(x, dims=('channel', 'time'), attrs={'sampling_rate_hz': 100.0}).",
        "Dataset": "Choose one of its variables: denoise(x['trace']).",
        "list": "Give one after the other, or join the traces: obspy.Stream(x).",
    }
    raise InputError(
        f"denoise was given a {type(x).__name__}; it takes an ObsPy Stream or Trace, an xarray DataArray or DataTree "
        f"with a 'time' dimension, or the path of a file. {hints.get(type(x).__name__, '')}".rstrip()
    )


def info(source: str | Path) -> look.Content:
    """List what a recording holds (ids, times, rates, gaps, overlaps) or a gridded data set (variables, dimensions).

    `source` is a path, a URL, or the name of a data set in data_catalog.yml.
    """
    return look.info(source)


def models() -> list[str]:
    """Names of the models that come with geoae."""
    return [str(facts["contract"]["name"]) for facts in look.models()]


def _array(x: xr.DataArray, model: Model, options: Options) -> tuple[xr.DataArray, xr.DataArray]:
    return infer.denoise(x, model, dry=options.dry, batch=options.batch_size, above_band=options.above_band)


def _tree_arrays(node: xr.DataTree, model: Model, options: Options) -> tuple[xr.Dataset, xr.Dataset]:
    data = node.to_dataset()
    pairs = {name: _array(array, model, options) for name, array in data.data_vars.items() if "time" in array.dims}
    return data.assign({k: v[0] for k, v in pairs.items()}), data.assign({k: v[1] for k, v in pairs.items()})


def _file(path: Path, out: str | Path | None, options: Options, file_options: dict[str, Any]) -> Path:
    known = inspect.signature(denoise_files).parameters
    if unknown := sorted(file_options.keys() - known.keys()):
        raise InputError(f"denoise has no option {', '.join(unknown)}; with the path of a file there are also "
                         f"{', '.join(k for k, v in known.items() if v.kind is v.KEYWORD_ONLY)}.")  # fmt: skip
    if file_options.get("plot") is not None:
        file_options["plot"] = Path(file_options["plot"])
    if isinstance(file_options.get("ids"), str):
        file_options["ids"] = [file_options["ids"]]
    summary = denoise_files([path], out, options, **file_options)
    for line in summary.problems:
        warnings.warn(line, stacklevel=3)
    return summary.outputs[0]
