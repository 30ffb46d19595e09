"""geoae.denoise for a notebook. It returns the kind of object that it was given."""

# ObsPy has no type hints, so mypy takes its Stream for Any and the last overload for unreachable
# mypy: disable-error-code="overload-cannot-match"

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, overload

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.api import plain
from geoae.deprecated.paths import moved_names
from geoae.errors import InputError, OptionError
from geoae.fields import infer as infer_fields
from geoae.jobs.denoise import denoise_files
from geoae.jobs.fields.store import DEFAULT_MODEL
from geoae.jobs.options import DenoiseOptions, InferenceOptions, no_progress, split_names
from geoae.jobs.records.stream import denoise_stream
from geoae.labels.cf import grid_layout, list_fields
from geoae.labels.sorting import has_channels, is_field, is_record, separate_rows
from geoae.model import Model, load_model
from geoae.model.denoising import BATCH
from geoae.model.devices import prepare_model
from geoae.readers.records.streams import find_stream
from geoae.records import infer

if TYPE_CHECKING:
    from obspy import Stream, Trace

__getattr__ = moved_names(__name__)

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset, xr.DataTree)


class Inference(TypedDict, total=False):
    """Options of `denoise` for all kinds of data."""

    model: str | Path | Model | None
    device: str
    batch_size: int
    threads: int | None
    dry: float
    above_band: str
    keep_doubtful: bool
    highpass: float | None
    purpose: str | None


class OfLabels(Inference, total=False):
    """Options of `denoise` for labelled arrays."""

    dims: str | Sequence[str]
    force: bool


@overload
def denoise(x: Labelled, *, return_noise: Literal[False] = ..., **options: Unpack[OfLabels]) -> Labelled: ...
@overload
def denoise(x: Labelled, *, return_noise: Literal[True], **options: Unpack[OfLabels]) -> tuple[Labelled, Labelled]: ...
@overload
def denoise(
    x: Labelled, *, return_noise: bool, **options: Unpack[OfLabels]
) -> Labelled | tuple[Labelled, Labelled]: ...
@overload
def denoise(
    x: NDArray[Any], *, rate_hz: float, return_noise: Literal[False] = ..., **options: Unpack[Inference]
) -> NDArray[Any]: ...
@overload
def denoise(
    x: NDArray[Any], *, rate_hz: float, return_noise: Literal[True], **options: Unpack[Inference]
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def denoise(x: str | Path, out: str | Path | None = ..., **options: Any) -> Path: ...
@overload
def denoise(
    x: list[str] | list[Path] | list[str | Path] | tuple[str | Path, ...],
    out: str | Path | None = ...,
    **options: Any,
) -> list[Path]: ...
@overload
def denoise(
    x: list[Labelled], *, return_noise: Literal[False] = ..., **options: Unpack[OfLabels]
) -> list[Labelled]: ...
@overload
def denoise(
    x: list[Labelled], *, return_noise: Literal[True], **options: Unpack[OfLabels]
) -> tuple[list[Labelled], list[Labelled]]: ...
@overload
def denoise(x: "Stream", *, return_noise: Literal[False] = ..., **options: Unpack[Inference]) -> "Stream": ...
@overload
def denoise(x: "Stream", *, return_noise: Literal[True], **options: Unpack[Inference]) -> "tuple[Stream, Stream]": ...
@overload
def denoise(x: "Trace", *, return_noise: Literal[False] = ..., **options: Unpack[Inference]) -> "Trace": ...
@overload
def denoise(x: "Trace", *, return_noise: Literal[True], **options: Unpack[Inference]) -> "tuple[Trace, Trace]": ...
@overload
def denoise(x: "list[Trace]", *, return_noise: Literal[False] = ..., **options: Unpack[Inference]) -> "list[Trace]": ...
@overload
def denoise(
    x: "list[Trace]", *, return_noise: Literal[True], **options: Unpack[Inference]
) -> "tuple[list[Trace], list[Trace]]": ...
@overload
def denoise(
    x: Any, *, return_sigma: Literal[True], return_noise: bool = ..., rate_hz: float = ..., **options: Unpack[OfLabels]
) -> tuple[Any, ...]: ...


def denoise(
    x: Any,
    out: str | Path | None = None,
    *,
    model: str | Path | Model | None = None,
    device: str = "auto",
    batch_size: int = BATCH,
    threads: int | None = None,
    highpass: float | None = None,
    purpose: str | None = None,
    dry: float | None = None,
    above_band: str = "pass",
    keep_doubtful: bool = True,
    return_noise: bool = False,
    return_sigma: bool = False,
    dims: str | Sequence[str] = (),
    force: bool = False,
    rate_hz: float | None = None,
    **file_options: Any,
) -> Any:
    """Remove noise from a recording or gridded field; returns the kind of object that it was given.

    Parameters
    ----------
    x
        ObsPy Stream or Trace; DataArray (..., channel, time) or DataTree, as `geoae.read` gives; a plain array (...,
        time), with `rate_hz`; or the path of a file. Fields: a DataArray with two horizontal dimensions, found by CF
        metadata, and any others; a Dataset, in which all fields are denoised; or the path or URL of a file or store.
        Dask arrays stay lazy. A list of paths is denoised together, as on the command line; a list of Traces is one
        Stream; each Stream or array of a list is denoised by itself.
    out
        With a path only: the file to write; default ``INPUT.denoised.FORMAT`` (fields: ``INPUT.denoised.zarr``) in the
        folder of the input.
    model
        Name of a shipped model, folder of a trained one, or a loaded `Model`; None: "seismic", for fields "grid".
    device
        "auto", "cpu", "cuda" or "mps".
    batch_size
        Windows in one call of the net; changes speed, not results.
    threads
        CPU threads; None: as many as this process may use, at most 8.
    highpass
        Of recordings: corner frequency in Hz. Records are high-passed first (zero phase, gain a half at this frequency
        and one from 1.3 times it on), and what lies below it counts as noise.
    purpose
        Of recordings: "picking", "amplitude", "viewing" or another purpose that the model has, which sets `dry`.
    dry
        Fraction of the noise that is kept, 0 to 1; None: 0.
    above_band
        Frequencies above the model's band (50 Hz): "pass" or "remove".
    keep_doubtful
        Of recordings: a transient in what the model takes for noise stays in the signal if the noise of the record does
        not explain it. Windows with such a transient, and those whose result is not to be trusted, are named in a
        `DoubtWarning` and in ``stats.geoae_flags`` of a Trace, or the attribute ``geoae_flags`` of an array.
    return_noise
        Return (signal, noise); their sum equals the input up to rounding. Not with a path: use `noise_out`.
    return_sigma
        Of recordings: return (signal, sigma), or (signal, noise, sigma): the standard error of each cleaned sample, in
        its units; NaN in gaps and where nothing was denoised. Not with a path: use `sigma_out`.
    dims
        Names of the horizontal dimensions of a field, ("y", "x") or "y,x", if metadata does not name them. "time" says
        that all other dimensions, such as the distance along a fibre or the rows of a plain array, number records of
        their own.
    force
        Accept a model that was trained on fields of other units or dimensions.
    rate_hz
        Sampling rate of a plain array. Up to three rows are the components of one sensor, taken as Z N E.
    **file_options
        With a path only: the other options of ``geoae denoise``, with the same names, such as ``format="SAC"``,
        ``ids=["*Z"]``, ``start_time``, ``noise_out``, ``overwrite``; see `geoae.jobs.options.DenoiseOptions`. And
        ``progress``, called with (samples done, samples in all).

    Returns
    -------
    Stream, Trace, DataArray, Dataset, DataTree, ndarray, Path, or a list of these
        A new object of the kind of `x`; the input is not changed. Traces that cannot be denoised come back unchanged,
        with a warning. Of a list of paths: the files that were written.

    Raises
    ------
    GeoAEError
        The input, an option or the model cannot be used. Each subclass is also a built-in error (ValueError, OSError,
        LookupError).
    """
    if purpose is not None and dry is not None:
        raise OptionError("purpose and dry both say how much of the noise is kept. Leave one of them out.")
    options = InferenceOptions(
        model, device, batch_size, threads, 0.0 if dry is None else dry, above_band, keep_doubtful, return_sigma,
        highpass, purpose,
    )  # fmt: skip
    if isinstance(x, Iterator) and not hasattr(x, "read"):  # as Path.glob gives; an open file is none
        x = list(x)
    paths = _list_paths(x)
    if paths:
        if return_noise or return_sigma or rate_hz is not None:
            raise InputError(
                "return_noise is for data in memory; with a path, give noise_out=FILE."
                if return_noise
                else "return_sigma is for data in memory; with a path, give sigma_out=FILE."
                if return_sigma
                else "rate_hz is for plain arrays; a file has the rate of its samples."
            )
        outputs = _denoise_files(paths, out, options, {**file_options, "dims": dims, "force": force})
        return outputs if isinstance(x, list | tuple) else outputs[0]
    if out is not None or file_options:
        named = ", ".join(["out"] * (out is not None) + sorted(file_options))
        raise InputError(f"{named} go with the path of a file; for data in memory, write the result yourself.")
    parts = _InMemory(options, split_names(dims), force, rate_hz, return_noise).denoise(x)
    wanted = (True, return_noise, return_sigma)
    results = tuple(part for part, is_wanted in zip(parts, wanted, strict=True) if is_wanted)
    return results if len(results) > 1 else results[0]


def _list_paths(x: Any) -> list[str | Path]:
    """The paths of one path or a list of paths; none for anything else."""
    several = x if isinstance(x, list | tuple) else [x]
    is_paths = all(isinstance(one, str | os.PathLike) for one in several)
    return [one if isinstance(one, str) else Path(one) for one in several] if is_paths else []


@dataclass(frozen=True)
class _InMemory:
    """Denoises data in memory."""

    options: InferenceOptions
    dims: tuple[str, ...]
    force: bool
    rate_hz: float | None
    return_noise: bool

    def denoise(self, x: Any) -> tuple[Any, Any, Any]:
        """Signal, noise and sigma, of the kind that was given; None where they are not asked for."""
        is_plain = isinstance(x, np.ndarray) or plain.is_list_of_numbers(x)
        if self.rate_hz is not None and not is_plain and not _is_list_of(x, np.ndarray):
            raise InputError(f"rate_hz is for plain arrays; a {type(x).__name__} has the rate of its samples.")
        if (stream := find_stream(x)) is not None:
            return self._denoise_traces(x, stream)
        denoiser = _ArrayDenoiser(self.options, self.dims, self.force)
        if is_plain and self.rate_hz is not None:
            if self.dims not in ((), ("time",)) or self.force:
                raise InputError("dims and force are for fields with names; a plain array holds recordings.")
            parts = denoiser.denoise_array(plain.label_array(x, self.rate_hz, are_separate=bool(self.dims)))
            signal, noise, sigma = (None if part is None else plain.unlabel_array(part, x) for part in parts)
            return signal, noise, sigma
        work: dict[type, Any] = {
            xr.DataArray: denoiser.denoise_array,
            xr.Dataset: denoiser.denoise_dataset,
            xr.DataTree: denoiser.denoise_tree,
        }
        for kind, do in work.items():
            if isinstance(x, kind):
                return do(x)
        is_streams = isinstance(x, list | tuple) and bool(x) and all(find_stream(one) is not None for one in x)
        if is_streams or any(_is_list_of(x, kind) for kind in (*work, np.ndarray)):
            several = zip(*(self.denoise(one) for one in x), strict=True)
            first, second, third = (list(part) if isinstance(x, list) else part for part in several)
            return first, second, third
        raise plain.refuse_kind("denoise", x)

    def _denoise_traces(self, x: Any, stream: Any) -> tuple[Any, Any, Any]:
        if self.dims or self.force:
            raise InputError("dims and force are for fields; a Stream or Trace holds recordings.")
        is_list = isinstance(x, list | tuple)
        found = denoise_stream(stream if is_list else x, self.options, self.return_noise)
        parts = list(found) if self.return_noise or self.options.sigma else [found]
        if is_list:
            parts = [list(part) if isinstance(x, list) else tuple(part) for part in parts]
        rest = iter(parts[1:])
        return parts[0], next(rest) if self.return_noise else None, next(rest) if self.options.sigma else None


def _is_list_of(x: Any, kind: type) -> bool:
    return isinstance(x, list | tuple) and bool(x) and all(isinstance(one, kind) for one in x)


class _ArrayDenoiser:
    """Denoises records and fields in memory; loads the model of a kind when it is first needed."""

    def __init__(self, options: InferenceOptions, dims: tuple[str, ...], force: bool) -> None:
        self.options, self.dims, self.force = options, dims, force
        self._models: dict[str, Model] = {}

    def denoise_array(self, x: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray | None]:
        """Signal and noise of a record or field, and sigma of a record if it is asked for."""
        o = self.options
        if is_record(x, self.dims):
            if not self.dims:
                _tell_of_separate_rows(x)
            model = self._model("record")
            signal, noise, *sigma = infer.denoise_record(x, model, o.for_model(model).for_records())
            return signal, noise, sigma[0] if sigma else None
        for name, given in (("return_sigma", o.sigma), ("highpass", o.highpass), ("purpose", o.purpose)):
            if given:
                raise InputError(f"{name} is for recordings, and this is a field. Leave it out.")
        if "time" not in x.dims and not self.dims:
            _check_field(x)
        dims = self.dims or None
        signal, noise = infer_fields.denoise_field(
            x, self._model("field"), dims=dims, dry=o.dry, batch=o.batch_size, force=self.force
        )
        return signal, noise, None

    def denoise_dataset(self, data: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset | None]:
        """All records and fields of a Dataset; other variables stay unchanged."""
        names = {str(name): name for name in data.data_vars}  # one of them may be None
        fields = {names[name]: data[names[name]] for name in list_fields(data)}
        dims = self.dims or None
        found = {
            name: x
            for name, x in fields.items()
            if has_channels(x) or is_field(x, dims) or (dims and "time" in x.dims and is_record(x, dims))
        }
        if not found:
            raise InputError(
                f"There is no record and no field on a grid, only {', '.join(map(str, data.variables)) or 'nothing'}. "
                "Name the horizontal dimensions, dims=('y', 'x'), or give dims='time' for recordings."
            )
        found_parts = {name: self.denoise_array(x) for name, x in found.items()}
        signal, noise = (data.assign({k: v[i] for k, v in found_parts.items()}) for i in (0, 1))
        return signal, noise, data.assign({k: v[2] for k, v in found_parts.items()}) if self.options.sigma else None

    def denoise_tree(self, tree: xr.DataTree) -> tuple[xr.DataTree, xr.DataTree, xr.DataTree | None]:
        """All records and fields in each node of a tree."""
        pairs = {node.path: self.denoise_dataset(node.to_dataset()) for node in tree.subtree if node.has_data}
        if not pairs:
            raise InputError("The DataTree holds no arrays, so there is nothing to denoise.")
        n_parts = 3 if self.options.sigma else 2
        signal, noise, *sigma = (xr.DataTree.from_dict({k: p[i] for k, p in pairs.items()}) for i in range(n_parts))
        return signal, noise, sigma[0] if sigma else None

    def _model(self, kind: str) -> Model:
        if kind not in self._models:
            name = self.options.model or (DEFAULT_MODEL if kind == "field" else None)
            self._models[kind] = prepare_model(load_model(name), self.options.device, self.options.threads)
        return self._models[kind]


def _tell_of_separate_rows(x: xr.DataArray) -> None:
    """Warn of rows that are denoised without their neighbours; refuse rows that cannot be components of a sensor."""
    if (n := x.sizes.get("channel", 1)) > plain.COMPONENTS:
        raise InputError(
            f"The dimension 'channel' numbers the components of one sensor, three at most; this one has {n}. If they "
            "are records of their own, rename it: x.rename(channel='trace')."
        )
    if rows := separate_rows(x):
        number = int(np.prod([x.sizes[d] for d in rows]))
        warnings.warn(
            f"The {number} records along {' and '.join(rows)} are denoised one by one, each as a vertical component; "
            f"dims='time' says that this is meant.",
            stacklevel=5,  # the caller of geoae.denoise, for a DataArray
        )


def _check_field(x: xr.DataArray) -> None:
    """Raise InputError for an array that is neither a field nor, without a dimension "time", a record."""
    try:
        grid_layout(x)
    except InputError as error:
        raise InputError(f"{error} A record has samples along 'time'; this has dims {x.dims}.") from error


def _denoise_files(
    paths: list[str | Path], out: str | Path | None, options: InferenceOptions, keywords: dict[str, Any]
) -> list[Path]:
    """Denoise files with keywords of the command line; problems become warnings."""
    keywords = _rename_keywords(keywords)
    progress = keywords.pop("progress", no_progress)
    given = vars(options) | ({} if options.purpose is None else {"dry": None})
    all_options = DenoiseOptions.from_keywords(out=out, **given, **keywords)
    summary = denoise_files(paths, all_options, progress)
    for line in summary.problems:
        warnings.warn(line, stacklevel=3)
    return list(summary.outputs)


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
