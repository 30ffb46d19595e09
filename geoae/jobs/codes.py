"""Encode fields or a record into a zarr store of latent codes, and decode such a store; a killed run goes on."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae import cluster, coding, ledger
from geoae.coding import Coding
from geoae.contracts import CodeContract
from geoae.devices import prepare
from geoae.errors import InputError, ModelFileError, UnknownNameError
from geoae.infer_codes import decode_region, encode_region
from geoae.jobs.clean import Progress
from geoae.jobs.code_plan import plan_block
from geoae.jobs.field_plan import FieldOptions, append_along, new_from, nothing_new
from geoae.jobs.field_source import FieldSource, Samples, digest, from_spec, read_companions
from geoae.jobs.inputs import sort_inputs
from geoae.jobs.store import Workers
from geoae.model import Model, contract_of, load
from geoae.readers import cleaned, seisbench
from geoae.readers.codes import list_coded_variables, open_codes
from geoae.writers.plan import StorePlan, plan_field
from geoae.writers.store import begin, write_region

CODES = "codes"
"""Kind of a store that holds codes alone."""


@dataclass(frozen=True)
class CodeOptions:
    """What is asked of codes; the same words as on the command line."""

    model: str | Path | Model | None = None
    """None: the shipped one that fits."""
    var: Sequence[str] = ()
    dims: Sequence[str] = ()
    latent: int | None = None
    device: str = "auto"
    threads: int | None = None
    append: bool = False
    """Add the codes of what comes later in time to a store that is there."""
    force: bool = False
    """Take a model that was trained on other units."""


@dataclass(frozen=True)
class CodeSummary:
    """What a run made."""

    target: Path
    model: str
    rows: Mapping[str, dict[str, float]]
    """Variable -> windows, numbers of a code, ratio of samples to these, rms error; of the blocks of this run."""
    notes: list[str]
    seconds: float


def encode_store(
    inputs: Sequence[str | Path],
    target: Path,
    options: CodeOptions,
    *,
    command: str = "",
    overwrite: bool = False,
    workers: Workers | None = None,
    progress: Progress = lambda done, total: None,
) -> CodeSummary:
    """Encode the fields, or the one record, of `inputs` into a store of codes; parameters as of the command line.

    Raises
    ------
    GeoAEError
        Nothing there can be encoded, the model has no codes, or the store is there or cannot be written.
    """
    began, workers = time.perf_counter(), workers or Workers()
    source = _source(inputs)
    if options.append:
        source = _growing(source, options.dims)
    arrays, grows, first = _arrays(source, options.var, options.dims), None, 0
    if options.append:
        grows = append_along(arrays, FieldOptions(options.var, options.dims, append=True))
        assert grows is not None
        first = 0 if overwrite else new_from(target, arrays, grows)
    model = _model(options.model or coding.default_model(arrays[0], options.dims), options, workers)
    for x in arrays:
        coding.check_units(x, model, options.force)
    by = f"{model.name} {model.digest}"
    codings = _codings(arrays, model, options.dims, options.latent)
    window = contract_of(model, CodeContract).window
    settings = {
        cleaned.KIND: CODES, "model": model.name, "digest": model.digest, "window": list(window),
        "overlap": [0] * len(window), "latent": codings[0].latent, "scaler": asdict(model.scaler),
        "dims": list(codings[0].core), "units": {str(x.name): str(x.attrs.get("units", "")) for x in arrays},
    }  # fmt: skip
    if notes := nothing_new(target, arrays[0], grows, first, settings):
        return CodeSummary(target, by, {}, notes, time.perf_counter() - began)
    if first:
        arrays = _from(arrays, grows, first)
        codings = _codings(arrays, model, options.dims, options.latent)
    plan = reduce(add, (plan_block(x, where, model, grows) for x, where in zip(arrays, codings, strict=True)))
    attrs = read_companions(source, arrays)[0] if source.has_fields else {}
    run = begin(target, plan, settings, source=source.label(), source_hash=digest(source), command=command,
                attrs=attrs, overwrite=overwrite, append=grows or ())  # fmt: skip
    spec = {
        "source": source.spec(), "var": list(options.var), "dims": list(options.dims), "latent": options.latent,
        "grows": grows, "first": first,
        **_about(model, run, options),
    }  # fmt: skip
    make = partial(encoder, arrays=arrays, model=model)
    found, notes = _work_through(run, encoder, make, spec, workers, options, progress)
    rows = {str(x.name): _row(x, where, found.get(where.prefix + "code"))
            for x, where in zip(arrays, codings, strict=True)}  # fmt: skip
    return CodeSummary(run.finish(), by, rows, notes, time.perf_counter() - began)


def decode_store(
    store: Path,
    target: Path,
    options: CodeOptions,
    *,
    command: str = "",
    overwrite: bool = False,
    workers: Workers | None = None,
    progress: Progress = lambda done, total: None,
) -> CodeSummary:
    """Decode codes in a store into a store of samples, in their units; parameters as of the command line.

    Raises
    ------
    GeoAEError
        There are no codes, or they were made by another model; or the store is there or cannot be written.
    """
    began, workers = time.perf_counter(), workers or Workers()
    names = list(options.var) or list_coded_variables(store)
    codes = [open_codes(store, name) for name in names]
    model = _model(model_of(codes[0], options.model), options, workers)
    for one in codes:
        coding.check_model(one, model)
    plan = reduce(add, (_plan_decoded(one) for one in codes))
    record = "geoae_start" in codes[0]["code"].attrs
    settings = {
        cleaned.KIND: cleaned.RECORD if record else "decoded", "model": model.name, "digest": model.digest,
        "window": list(contract_of(model, CodeContract).window), "latent": int(codes[0].sizes["latent"]),
    }  # fmt: skip
    source = FieldSource((str(store),), (str(store.absolute()),))
    run = begin(target, plan, settings, source=source.label(), source_hash=digest(source), command=command,
                attrs=codes[0].attrs, overwrite=overwrite)  # fmt: skip
    spec = {"store": str(store.absolute()), "var": names, **_about(model, run, options)}
    make = partial(decoder, model=model)
    notes = _work_through(run, decoder, make, spec, workers, options, progress)[1]
    rows = {name: _row_of(one) for name, one in zip(names, codes, strict=True)}
    return CodeSummary(run.finish(), f"{model.name} {model.digest}", rows, notes, time.perf_counter() - began)


def encoder(
    spec: dict[str, Any], *, arrays: Sequence[xr.DataArray] | None = None, model: Model | None = None
) -> Callable[[int], tuple[str, float, int]]:
    """What encodes and writes one block: gives back name, squared error and number of its samples; `cluster.each`."""
    if arrays is None:
        arrays = _from(_arrays(from_spec(spec["source"]), spec["var"], spec["dims"]), spec["grows"], spec["first"])
    model = model or _same_model(spec)
    run = ledger.load(Path(spec["folder"]))
    codings = _codings(arrays, model, spec["dims"], spec["latent"])
    parts = {where.prefix + "code": (where, Samples(x, None)) for x, where in zip(arrays, codings, strict=True)}

    def work(number: int) -> tuple[str, float, int]:
        one = run.task(number)
        where, read = parts[one.part.name]
        values = encode_region(read, where, model, one.region)
        write_region(run.folder, number, values)
        error, n = (values[where.prefix + name].astype(np.float64) for name in ("recon_error", "n_valid"))
        return one.part.name, float(np.nansum(error**2 * n)), int(n.sum())

    return work


def decoder(spec: dict[str, Any], *, model: Model | None = None) -> Callable[[int], tuple[str, float, int]]:
    """What decodes and writes one block; see `cluster.each`."""
    model = model or _same_model(spec)
    run = ledger.load(Path(spec["folder"]))
    opened = {name: open_codes(spec["store"], name) for name in spec["var"]}
    codes = {_name_of(one): (one, coding.coding_of(one)) for one in opened.values()}

    def work(number: int) -> tuple[str, float, int]:
        one = run.task(number)
        data, where = codes[one.part.name]
        write_region(run.folder, number, {one.part.name: decode_region(data, where, model, one.region)})
        return one.part.name, 0.0, 0

    return work


def model_of(codes: xr.Dataset, given: str | Path | Model | None) -> Model:
    """The model that made codes: the one given, or the shipped one of that name.

    Raises
    ------
    UnknownNameError
        Codes were made by a model that is not shipped, and none was given.
    """
    if given is not None:
        return load(given)
    about = codes["code"].attrs if "code" in codes else {}
    name = about.get("geoae_model")
    if name is None:
        raise InputError("These codes do not say which model made them; they are not as geoae writes them.")
    try:
        return load(str(name))
    except UnknownNameError as error:
        raise UnknownNameError(
            f"The codes were made by model {name} {about.get('geoae_digest')}, which is not shipped with geoae. Give "
            "its folder with --model."
        ) from error


def _source(inputs: Sequence[str | Path]) -> FieldSource:
    if len(inputs) == 1 and (path := Path(inputs[0])).is_dir():
        for name, reader in (("cleaned", cleaned), ("seisbench", seisbench)):
            if reader.sniff(path):
                return FieldSource((str(path),), (str(path.absolute()),), name)
    found = sort_inputs(inputs)
    return found if isinstance(found, FieldSource) else found.as_source()


def _arrays(source: FieldSource, var: Sequence[str], dims: Sequence[str]) -> list[xr.DataArray]:
    if source.has_fields:
        return source.open(var, dims or None)
    if var:
        raise InputError(f"{source.label()} holds records, which have no variables to choose: leave --var out.")
    arrays = [x if x.name is not None else x.rename("trace") for x in source.open()]
    if len(arrays) != 1:
        raise InputError(
            f"{source.label()}: there are {len(arrays)} records, and a store holds the codes of one, of one sensor "
            "over one stretch of time. Give the files of one record."
        )
    return arrays


def _growing(source: FieldSource, dims: Sequence[str]) -> FieldSource:
    """The same, whose fields of one moment have a time; InputError for a record, or windows along one dimension."""
    if len(dims) == 1:
        raise InputError(f"Windows along {dims[0]} are encoded as a whole; --append is for fields. Leave it out.")
    if source.has_fields:
        return replace(source, timed=True)
    raise InputError(f"{source.label()} is a record, of which a store holds the codes as a whole. Leave out --append.")


def _from(arrays: Sequence[xr.DataArray], along: str | None, first: int) -> list[xr.DataArray]:
    return [x if along is None else x.isel({along: slice(first, None)}) for x in arrays]


def _codings(arrays: Sequence[xr.DataArray], model: Model, dims: Sequence[str], latent: int | None) -> list[Coding]:
    prefixes = [f"{x.name}_" if len(arrays) > 1 else "" for x in arrays]
    return [coding.coding(x, model, dims or None, latent, p) for x, p in zip(arrays, prefixes, strict=True)]


def _plan_decoded(codes: xr.Dataset) -> StorePlan:
    where = coding.coding_of(codes)
    x = coding.template(codes, where).rename(_name_of(codes))
    if "geoae_start" in codes["code"].attrs:
        x.attrs[cleaned.START] = codes["code"].attrs["geoae_start"]
    x.attrs["processing"] = f"decoded from codes of {codes['code'].attrs['geoae_model']}"
    return plan_field(x, where.core)


def _name_of(codes: xr.Dataset) -> str:
    return str(codes["code"].attrs["geoae_of"])


def _model(given: str | Path | Model, options: CodeOptions, workers: Workers) -> Model:
    model = load(given)
    if not cluster.on_workers(workers.cluster, workers.n):
        return prepare(model, options.device, options.threads)
    if model.folder is None:
        raise InputError(f"Model {model.name!r} comes from no folder, and workers load it from one. Save it first.")
    return model


def _same_model(spec: dict[str, Any]) -> Model:
    model = load(spec["model"])
    if model.digest != spec["digest"]:
        raise ModelFileError(f"{spec['model']} has changed: the run began with {spec['digest']}, not {model.digest}.")
    return prepare(model, spec["device"], 1)


def _about(model: Model, run: ledger.Ledger, options: CodeOptions) -> dict[str, Any]:
    return {"model": str(model.folder.absolute()) if model.folder else None, "digest": model.digest,
            "device": options.device, "folder": str(run.folder)}  # fmt: skip


def _work_through(
    run: ledger.Ledger,
    far: Callable[..., Any],
    near: Callable[..., Any],
    spec: dict[str, Any],
    workers: Workers,
    options: CodeOptions,
    progress: Progress,
) -> tuple[dict[str, tuple[float, int]], list[str]]:
    """Write the blocks that are pending; squared errors and samples of each part, and notes."""
    if run.finished:
        return {}, [f"{run.target.name} is finished already: there was nothing left to do"]
    pending, found = [int(number) for number in run.pending()], dict[str, tuple[float, int]]()
    done = run.n_tasks - len(pending)
    notes = [f"{run.target.name}: {done} of {run.n_tasks} blocks were there already and were kept"] if done else []
    progress(done, run.n_tasks)
    make: Any = far if cluster.on_workers(workers.cluster, workers.n) else near
    with closing(cluster.each(pending, make, spec, cluster=workers.cluster, workers=workers.n,
                              threads=options.threads or 1, say=workers.say)) as results:  # fmt: skip
        for _, (name, squares, n) in results:
            before = found.get(name, (0.0, 0))
            found[name] = before[0] + squares, before[1] + n
            done += 1
            progress(done, run.n_tasks)
    return found, notes


def _row(x: xr.DataArray, where: Coding, error: tuple[float, int] | None) -> dict[str, float]:
    windows = math.prod(where.windows.values())
    squares, n = error or (math.nan, 1)
    return {"windows": windows, "latent": where.latent, "ratio": math.prod(where.window) / where.latent,
            "samples": x.size, "rms_error": math.sqrt(squares / max(n, 1))}  # fmt: skip


def _row_of(codes: xr.Dataset) -> dict[str, float]:
    where = coding.coding_of(codes)
    return {"windows": math.prod(where.windows.values()), "latent": where.latent, "samples": math.prod(where.shape),
            "ratio": math.prod(where.window) / where.latent, "rms_error": math.nan}  # fmt: skip
