"""geoae.denoise, info and models for a notebook. `denoise` returns the kind of object that it was given."""

# ObsPy has no type hints, so mypy takes its Stream for Any and the later overloads for unreachable
# mypy: disable-error-code="overload-cannot-match"

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import xarray as xr

from geoae.errors import InputError
from geoae.fields import infer as infer_fields
from geoae.jobs import inspect
from geoae.jobs.denoise import denoise_files
from geoae.jobs.fields.store import DEFAULT_MODEL
from geoae.jobs.options import DenoiseOptions, InferenceOptions, no_progress, split_names
from geoae.jobs.records.stream import denoise_stream
from geoae.labels.cf import grid_layout, list_fields
from geoae.model import Model, load_model
from geoae.model.denoising import BATCH
from geoae.model.devices import prepare_model
from geoae.records import infer

if TYPE_CHECKING:
    from obspy import Stream, Trace


@overload
def denoise(x: "Stream", **options: Any) -> "Stream": ...
@overload
def denoise(x: "Trace", **options: Any) -> "Trace": ...
@overload
def denoise(x: xr.DataArray, **options: Any) -> xr.DataArray: ...
@overload
def denoise(x: xr.Dataset, **options: Any) -> xr.Dataset: ...
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
    batch_size: int = BATCH,
    threads: int | None = None,
    dry: float = 0.0,
    above_band: str = "pass",
    return_noise: bool = False,
    dims: str | Sequence[str] = (),
    force: bool = False,
    **file_options: Any,
) -> Any:
    """Remove noise from a recording or gridded field; returns the kind of object that it was given.

    Parameters
    ----------
    x
        ObsPy Stream or Trace; DataArray (..., channel, time) or DataTree, as `geoae.read` gives; or the path of a file.
        Fields: a DataArray with two horizontal dimensions, found by CF metadata, and any others; a Dataset, in which
        all fields are denoised; or the path or URL of a file or store. Dask arrays stay lazy.
    out
        With a path only: the file to write; default ``INPUT.denoised.mseed`` (fields: ``INPUT.denoised.zarr``) in the
        folder of the input.
    model
        Name of a shipped model, folder of a trained one, or a loaded `Model`; None: "seismic", for fields "grid".
    device
        "auto", "cpu", "cuda" or "mps".
    batch_size
        Windows in one call of the net; changes speed, not results.
    threads
        CPU threads; None: as many as this process may use, at most 8.
    dry
        Fraction of the noise that is kept, 0 to 1.
    above_band
        Frequencies above the model's band (50 Hz): "pass" or "remove".
    return_noise
        Return (signal, noise); their sum equals the input up to rounding. Not with a path: use `noise_out`.
    dims
        Names of the horizontal dimensions of a field, ("y", "x") or "y,x", if metadata does not name them.
    force
        Accept a model that was trained on fields of other units or dimensions.
    **file_options
        With a path only: the other options of ``geoae denoise``, with the same names, such as ``format="SAC"``,
        ``ids=["*Z"]``, ``start_time``, ``noise_out``, ``overwrite``; see `geoae.jobs.options.DenoiseOptions`. And
        ``progress``, called with (samples done, samples in all).

    Returns
    -------
    Stream, Trace, DataArray, Dataset, DataTree or Path
        A new object; the input is not changed. Traces that cannot be denoised come back unchanged, with a warning.

    Raises
    ------
    GeoAEError
        The input, an option or the model cannot be used. Each subclass is also a built-in error (ValueError, OSError,
        LookupError).
    """
    options = InferenceOptions(model, device, batch_size, threads, dry, above_band)
    if isinstance(x, str | Path):
        if return_noise:
            raise InputError("return_noise is for data in memory; with a path, give noise_out=FILE.")
        return _denoise_file(x, out, options, {**file_options, "dims": dims, "force": force})
    if out is not None or file_options:
        named = ", ".join(["out"] * (out is not None) + sorted(file_options))
        raise InputError(f"{named} go with the path of a file; for data in memory, write the result yourself.")
    if isinstance(x, xr.DataArray | xr.Dataset | xr.DataTree):
        denoiser = _ArrayDenoiser(options, split_names(dims), force)
        work: Any = {
            xr.DataArray: denoiser.denoise_array,
            xr.Dataset: denoiser.denoise_dataset,
            xr.DataTree: denoiser.denoise_tree,
        }
        pair = next(do for kind, do in work.items() if isinstance(x, kind))(x)
        return pair if return_noise else pair[0]
    if dims or force:
        raise InputError("dims and force are for fields; a Stream or Trace holds recordings.")
    if (obspy := sys.modules.get("obspy")) and isinstance(x, obspy.Stream | obspy.Trace):
        return denoise_stream(x, options, return_noise)
    hints = {
        "ndarray": "Wrap it: xarray.DataArray(x, dims=('channel', 'time'), attrs={'sampling_rate_hz': 100.0}).",
        "list": "Give one after the other, or join the traces: obspy.Stream(x).",
    }
    raise InputError(
        f"denoise was given a {type(x).__name__}; it takes an ObsPy Stream or Trace, an xarray DataArray, "
        f"Dataset or DataTree, or the path of a file. {hints.get(type(x).__name__, '')}".rstrip()
    )


def info(source: str | Path, group: str = "") -> inspect.SourceContent:
    """List what a recording holds (ids, times, rates, gaps, overlaps) or a gridded data set (variables, dimensions).

    `source` is a path, a URL, or the name of a data set in data_catalog.yml; `group` is a group of a netCDF file or
    zarr store.
    """
    return inspect.info(source, group)


def models() -> list[str]:
    """Names of the models that come with geoae."""
    return [str(facts["contract"]["name"]) for facts in inspect.models()]


class _ArrayDenoiser:
    """Denoises records and fields in memory; loads the model of a kind when it is first needed."""

    def __init__(self, options: InferenceOptions, dims: tuple[str, ...], force: bool) -> None:
        self.options, self.dims, self.force = options, dims, force
        self._models: dict[str, Model] = {}

    def denoise_array(self, x: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """Signal and noise of a record or field."""
        o = self.options
        if _is_record(x, self.dims):
            return infer.denoise_record(
                x, self._model("record"), dry=o.dry, batch=o.batch_size, above_band=o.above_band
            )
        if "time" not in x.dims and not self.dims:
            _check_field(x)
        dims = self.dims or None
        return infer_fields.denoise_field(
            x, self._model("field"), dims=dims, dry=o.dry, batch=o.batch_size, force=self.force
        )

    def denoise_dataset(self, data: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
        """All records and fields of a Dataset; other variables stay unchanged."""
        names = {str(name): name for name in data.data_vars}  # one of them may be None
        fields = {names[name]: data[names[name]] for name in list_fields(data)}
        found = {name: x for name, x in fields.items() if _has_channels(x) or self._is_field(x)}
        if not found:
            raise InputError(
                f"There is no record and no field on a grid, only {', '.join(map(str, data.variables)) or 'nothing'}. "
                "Name the horizontal dimensions: dims=('y', 'x')."
            )
        pairs = {name: self.denoise_array(x) for name, x in found.items()}
        return data.assign({k: v[0] for k, v in pairs.items()}), data.assign({k: v[1] for k, v in pairs.items()})

    def denoise_tree(self, tree: xr.DataTree) -> tuple[xr.DataTree, xr.DataTree]:
        """All records and fields in each node of a tree."""
        pairs = {node.path: self.denoise_dataset(node.to_dataset()) for node in tree.subtree if node.has_data}
        if not pairs:
            raise InputError("The DataTree holds no arrays, so there is nothing to denoise.")
        signal, noise = (xr.DataTree.from_dict({k: p[i] for k, p in pairs.items()}) for i in (0, 1))
        return signal, noise

    def _model(self, kind: str) -> Model:
        if kind not in self._models:
            name = self.options.model or (DEFAULT_MODEL if kind == "field" else None)
            self._models[kind] = prepare_model(load_model(name), self.options.device, self.options.threads)
        return self._models[kind]

    def _is_field(self, x: xr.DataArray) -> bool:
        try:
            grid_layout(x, self.dims or None)
        except InputError:
            return False
        return True


def _is_record(x: xr.DataArray, dims: tuple[str, ...]) -> bool:
    """Whether an array holds samples of a sensor along time, rather than a field."""
    if dims or "time" not in x.dims:
        return False
    if _has_channels(x):
        return True
    try:
        grid_layout(x)
    except InputError:
        return x.ndim < 3
    return False


def _has_channels(x: xr.DataArray) -> bool:
    """Whether the dimensions or attributes of an array mark it as one or more records."""
    return "time" in x.dims and ("channel" in x.dims or "sampling_rate_hz" in x.attrs)


def _check_field(x: xr.DataArray) -> None:
    """Raise InputError for an array that is neither a field nor, without a dimension "time", a record."""
    try:
        grid_layout(x)
    except InputError as error:
        raise InputError(f"{error} A record has samples along 'time'; this has dims {x.dims}.") from error


def _denoise_file(
    path: str | Path, out: str | Path | None, options: InferenceOptions, keywords: dict[str, Any]
) -> Path:
    """Denoise a file with keywords of the command line; problems become warnings."""
    keywords = _rename_keywords(keywords)
    progress = keywords.pop("progress", no_progress)
    all_options = DenoiseOptions.from_keywords(out=out, **vars(options), **keywords)
    summary = denoise_files([path], all_options, progress)
    for line in summary.problems:
        warnings.warn(line, stacklevel=3)
    return summary.outputs[0]


def _rename_keywords(keywords: dict[str, Any]) -> dict[str, Any]:
    """Options by the keywords of `DenoiseOptions.from_keywords`, where others are accepted too."""
    for accepted, name in (("id", "ids"), ("format_name", "format")):
        if accepted not in keywords:
            continue
        if name in keywords:
            raise InputError(f"{accepted} and {name} are the same option of denoise. Leave out {accepted}.")
        keywords = {(name if key == accepted else key): value for key, value in keywords.items()}
        if accepted == "format_name":
            message = "format_name is now called format; the old name will be removed in the next release."
            warnings.warn(message, DeprecationWarning, stacklevel=4)
    return keywords
