"""Encode fields or a record into a zarr store of latent codes, and decode such a store, block by block."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.codes.coding import (
    Coding,
    check_codes_model,
    check_units,
    choose_default_model,
    make_decoded_template,
    plan_coding,
    read_coding,
)
from geoae.codes.contract import CodeContract
from geoae.codes.infer import decode_region, encode_region
from geoae.errors import InputError, LossWarning, UnknownNameError
from geoae.files.paths import can_reach
from geoae.jobs.append import find_append_dim, find_first_new_time, note_append, note_nothing_new
from geoae.jobs.codes.files import is_netcdf_output, require_store_name, write_decoded_netcdf
from geoae.jobs.codes.plan import plan_code_store
from geoae.jobs.inputs import sort_inputs
from geoae.jobs.options import CodeOptions, FieldOptions, Progress, RunOptions, no_progress
from geoae.jobs.run import BlockJob, load_for_run, load_same_model, make_model_spec, run_blocks
from geoae.jobs.source import (
    ArraySource,
    RegionReader,
    digest_places,
    digest_source,
    read_companions,
    source_from_spec,
)
from geoae.model import Model, load_model, require_contract
from geoae.readers.records import seisbench
from geoae.stores import ledger, schema
from geoae.stores import records as stored_records
from geoae.stores.codes import list_coded_variables, open_codes
from geoae.stores.plan import StorePlan, plan_field
from geoae.stores.write import Origin, write_region


@dataclass(frozen=True)
class CodeSummary:
    """Result of a run."""

    target: Path
    model: str
    rows: Mapping[str, dict[str, float]]
    """Variable -> windows, latent (length of a code), samples, ratio (samples to numbers), rms_error of this run."""
    notes: list[str]
    seconds: float
    problems: tuple[str, ...] = ()
    """Parts of the recordings that could not be read."""
    is_unchanged: bool = False
    """Whether the store was complete before the run."""


def encode_store(
    inputs: Sequence[str | Path],
    target: Path,
    options: CodeOptions,
    run: RunOptions | None = None,
    progress: Progress = no_progress,
) -> CodeSummary:
    """Encode the fields, or the one record, of `inputs` into a store of codes. Parameters: see `geoae encode`.

    Raises
    ------
    GeoAEError
        The inputs cannot be encoded, the model has no codes, or the store exists or cannot be written.
    """
    began, run = time.perf_counter(), run or RunOptions()
    require_store_name(target)
    source = _find_source(inputs, options.group)
    if options.append:
        source = _make_appendable(source, options.dims)
    with _collect_losses() as losses:
        arrays = _open_arrays(source, options.var, options.dims)
    grows, first = None, 0
    if options.append:
        grows = find_append_dim(arrays, FieldOptions(options.var, options.dims, append=True))
        assert grows is not None
        first = 0 if run.overwrite else find_first_new_time(target, arrays, grows)
    name = options.model or choose_default_model(arrays[0], options.dims)
    model = load_for_run(name, options.device, options.threads, run.workers)
    for x in arrays:
        check_units(x, model, options.force)
    by = f"{model.name} {model.digest}"
    codings = _plan_codings(arrays, model, options.dims, options.latent)
    window = require_contract(model, CodeContract).window
    settings = {
        schema.KIND: schema.CODES, "model": model.name, "digest": model.digest, "window": list(window),
        "overlap": [0] * len(window), "latent": codings[0].latent, "scaler": asdict(model.scaler),
        "dims": list(codings[0].core), "units": {str(x.name): str(x.attrs.get("units", "")) for x in arrays},
    }  # fmt: skip
    if notes := note_nothing_new(target, arrays[0], grows, first, settings, source):
        return CodeSummary(target, by, {}, notes, time.perf_counter() - began, tuple(losses), is_unchanged=True)
    appended = [] if run.overwrite else note_append(target, arrays[0], grows, first, reach=0)
    if first:
        arrays = _skip_times(arrays, grows, first)
        codings = _plan_codings(arrays, model, options.dims, options.latent)
    plan = reduce(add, (plan_code_store(x, coding, model, grows) for x, coding in zip(arrays, codings, strict=True)))
    attrs = dict(read_companions(source, arrays)[0]) if source.has_fields else {}
    attrs.pop(schema.FILE_HASHES, None)
    attrs |= {schema.FILE_HASHES: "\n".join(digest_places(source))} if options.append else {}
    spec = {
        "source": source.spec(), "var": list(options.var), "dims": list(options.dims), "latent": options.latent,
        "grows": grows, "first": first, **make_model_spec(model, options.device, options.threads),
    }  # fmt: skip
    origin = Origin(source.label(), digest_source(source), run.command, attrs)
    job = BlockJob(target, plan, settings, origin, make_encode_worker, spec,
                   {"arrays": arrays, "model": model}, append=grows, threads=options.threads)  # fmt: skip
    errors: dict[str, tuple[float, int]] = {}

    def add_error(number: int, result: tuple[str, float, int]) -> None:
        part, squares, n = result
        before = errors.get(part, (0.0, 0))
        errors[part] = before[0] + squares, before[1] + n

    outcome = run_blocks(job, run, add_error, progress)
    rows = {str(x.name): _make_row(coding, x.size, errors.get(coding.prefix + schema.CODE))
            for x, coding in zip(arrays, codings, strict=True)}  # fmt: skip
    notes = [*([] if outcome.was_finished else appended), *outcome.notes()]
    return CodeSummary(target, by, rows, notes, time.perf_counter() - began, tuple(losses), outcome.was_finished)


def decode_store(
    store: Path,
    target: Path,
    options: CodeOptions,
    run: RunOptions | None = None,
    progress: Progress = no_progress,
) -> CodeSummary:
    """Decode a store of codes into a store or netCDF file of samples in their units. Parameters: see `geoae decode`.

    Raises
    ------
    GeoAEError
        There are no codes, another model made them, or the store exists or cannot be written.
    """
    began, run = time.perf_counter(), run or RunOptions()
    names = list(options.var) or list_coded_variables(store)
    opened = [open_codes(store, name) for name in names]
    model = load_for_run(load_model_of_codes(opened[0], options.model), options.device, options.threads, run.workers)
    for codes in opened:
        check_codes_model(codes, model)
    record = schema.CODED_START in opened[0][schema.CODE].attrs
    in_file = is_netcdf_output(target, record, run)
    plan = reduce(add, map(_plan_decoded, opened))
    settings = {
        schema.KIND: schema.RECORD if record else schema.DECODED, "model": model.name, "digest": model.digest,
        "window": list(require_contract(model, CodeContract).window), "latent": int(opened[0].sizes[schema.LATENT]),
    }  # fmt: skip
    source = ArraySource((str(store),), (str(store.absolute()),))
    origin = Origin(source.label(), digest_source(source), run.command, opened[0].attrs)
    codings = [read_coding(codes) for codes in opened]
    if in_file:
        by_name = {_get_variable_name(codes): codes for codes in opened}
        notes = write_decoded_netcdf(target, plan, by_name, model, (settings, origin), run.overwrite, progress)
        was_finished = False
    else:
        spec = {"store": str(store.absolute()), "var": names, **make_model_spec(model, options.device, options.threads)}
        job = BlockJob(
            target, plan, settings, origin, make_decode_worker, spec, {"model": model}, threads=options.threads
        )
        outcome = run_blocks(job, run, progress=progress)
        notes, was_finished = outcome.notes(), outcome.was_finished
    rows = {name: _make_row(coding, math.prod(coding.shape)) for name, coding in zip(names, codings, strict=True)}
    by = f"{model.name} {model.digest}"
    return CodeSummary(target, by, rows, notes, time.perf_counter() - began, is_unchanged=was_finished)


def make_encode_worker(
    spec: dict[str, Any], *, arrays: Sequence[xr.DataArray] | None = None, model: Model | None = None
) -> Callable[[int], tuple[str, float, int]]:
    """Make the function that encodes and writes one block. It returns part name, sum of squared errors, and samples."""
    if arrays is None:
        arrays = _skip_times(
            _open_arrays(source_from_spec(spec["source"]), spec["var"], spec["dims"]), spec["grows"], spec["first"]
        )
    model = model or load_same_model(spec)
    run = ledger.load_run(Path(spec["folder"]))
    codings = _plan_codings(arrays, model, spec["dims"], spec["latent"])
    parts = {
        coding.prefix + schema.CODE: (coding, RegionReader(x, None)) for x, coding in zip(arrays, codings, strict=True)
    }

    def work(number: int) -> tuple[str, float, int]:
        task = run.task(number)
        coding, read = parts[task.part.name]
        values = encode_region(read, coding, model, task.region)
        write_region(run.folder, number, values)
        error, n = (values[coding.prefix + name].astype(np.float64) for name in (schema.RECON_ERROR, schema.N_VALID))
        return task.part.name, float(np.nansum(error**2 * n)), int(n.sum())

    return work


def make_decode_worker(spec: dict[str, Any], *, model: Model | None = None) -> Callable[[int], None]:
    """Make the function that decodes and writes one block."""
    model = model or load_same_model(spec)
    run = ledger.load_run(Path(spec["folder"]))
    opened = {name: open_codes(spec["store"], name) for name in spec["var"]}
    by_variable = {_get_variable_name(codes): (codes, read_coding(codes)) for codes in opened.values()}

    def work(number: int) -> None:
        task = run.task(number)
        codes, coding = by_variable[task.part.name]
        write_region(run.folder, number, {task.part.name: decode_region(codes, coding, model, task.region)})

    return work


def load_model_of_codes(codes: xr.Dataset, model: str | Path | Model | None) -> Model:
    """Load the model that made codes: `model`, or the shipped model of the name in their attributes.

    Raises
    ------
    UnknownNameError
        The codes were made by a model that is not shipped, and `model` is None.
    """
    if model is not None:
        return load_model(model)
    attrs = codes[schema.CODE].attrs if schema.CODE in codes else {}
    name = attrs.get(schema.MODEL_NAME)
    if name is None:
        raise InputError("The codes have no attribute that names their model, so geoae did not write them.")
    try:
        return load_model(str(name))
    except UnknownNameError as error:
        raise UnknownNameError(
            f"The codes were made by model {name} {attrs.get(schema.MODEL_DIGEST)}, which is not shipped with geoae. "
            "Give its folder with --model."
        ) from error


def _find_source(inputs: Sequence[str | Path], group: str) -> ArraySource:
    if not group and len(inputs) == 1 and can_reach(inputs[0]) and (path := Path(inputs[0])).is_dir():
        for name, reader in (("cleaned", stored_records), ("seisbench", seisbench)):
            if reader.sniff(path):
                return ArraySource((str(path),), (str(path.absolute()),), name)
    found = sort_inputs(inputs, group)
    return found if isinstance(found, ArraySource) else found.as_source()


def _open_arrays(source: ArraySource, var: Sequence[str], dims: Sequence[str]) -> list[xr.DataArray]:
    if source.has_fields:
        return source.open(var, dims or None)
    if var:
        raise InputError(f"{source.label()} holds records, which have no variables: leave --var out.")
    arrays = [x if x.name is not None else x.rename("trace") for x in source.open()]
    if len(arrays) != 1:
        raise InputError(
            f"{source.label()}: there are {len(arrays)} records, but a store holds the codes of one: one sensor "
            "over one stretch of time. Give the files of one record."
        )
    return arrays


@contextmanager
def _collect_losses() -> Iterator[list[str]]:
    """Collect warnings of losses while the ``with`` block runs; other warnings are issued after it."""
    losses: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield losses
    for warning in caught:
        if issubclass(warning.category, LossWarning):
            losses.append(str(warning.message))
        else:
            warnings.warn(warning.message, warning.category, stacklevel=4)


def _make_appendable(source: ArraySource, dims: Sequence[str]) -> ArraySource:
    """The same source with a time dimension for fields of a single time; InputError for what cannot be appended."""
    if len(dims) == 1:
        raise InputError(f"Windows along {dims[0]} are encoded as a whole; --append is for fields. Leave it out.")
    if source.has_fields:
        return replace(source, add_time=True)
    raise InputError(f"{source.label()} is a record, whose codes are stored as a whole. Leave out --append.")


def _skip_times(arrays: Sequence[xr.DataArray], along: str | None, first: int) -> list[xr.DataArray]:
    return [x if along is None else x.isel({along: slice(first, None)}) for x in arrays]


def _plan_codings(
    arrays: Sequence[xr.DataArray], model: Model, dims: Sequence[str], latent: int | None
) -> list[Coding]:
    prefixes = [f"{x.name}_" if len(arrays) > 1 else "" for x in arrays]
    return [plan_coding(x, model, dims or None, latent, p) for x, p in zip(arrays, prefixes, strict=True)]


def _plan_decoded(codes: xr.Dataset) -> StorePlan:
    coding = read_coding(codes)
    x = make_decoded_template(codes, coding).rename(_get_variable_name(codes))
    if schema.CODED_START in codes[schema.CODE].attrs:
        x.attrs[schema.START_TIME] = codes[schema.CODE].attrs[schema.CODED_START]
    x.attrs["processing"] = f"decoded from codes of {codes[schema.CODE].attrs[schema.MODEL_NAME]}"
    return plan_field(x, coding.core)


def _get_variable_name(codes: xr.Dataset) -> str:
    return str(codes[schema.CODE].attrs[schema.CODED_VARIABLE])


def _make_row(coding: Coding, samples: int, error: tuple[float, int] | None = None) -> dict[str, float]:
    """Row of the summary for a variable. `error`: sum of squared errors and number of samples."""
    squares, n = error or (math.nan, 1)
    return {"windows": math.prod(coding.code_sizes.values()), "latent": coding.latent, "samples": samples,
            "ratio": math.prod(coding.window) / coding.latent, "rms_error": math.sqrt(squares / max(n, 1))}  # fmt: skip
