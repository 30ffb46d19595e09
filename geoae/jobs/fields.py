"""Denoise gridded fields into a zarr store, block by block, or into a netCDF file where they fit in memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae import cluster, coding, ledger
from geoae.blocks import Region, Task
from geoae.devices import prepare
from geoae.errors import InputError, ModelFileError
from geoae.field_windows import Frame, out_dtype, region_signal, regions
from geoae.infer_fields import frame
from geoae.jobs import code_plan
from geoae.jobs.clean import Options, Progress
from geoae.jobs.code_plan import Coder, CodesAsked
from geoae.jobs.field_plan import (
    FieldOptions,
    append_along,
    code_prefix,
    layout,
    new_from,
    nothing_new,
    settings,
    store_plan,
    time_axis,
)  # fmt: skip
from geoae.jobs.field_source import FieldSource, Samples, digest, from_spec, list_skipped_variables, read_companions
from geoae.jobs.field_summary import Counts, FieldSummary, count, pooled, rows_of
from geoae.jobs.inspect import describe_target
from geoae.jobs.store import Workers
from geoae.model import Model, load
from geoae.runs import is_store
from geoae.writers import netcdf
from geoae.writers.store import begin, write_region

MODEL = "grid"
"""Of the shipped models, the one for fields."""
Cleaner = Callable[[Task], tuple[NDArray[Any], Counts]]
"""Samples of a block of one variable, and what was counted."""


def denoise_fields(
    source: FieldSource,
    target: Path,
    options: Options,
    asked: FieldOptions,
    *,
    command: str = "",
    overwrite: bool = False,
    dry_run: bool = False,
    workers: Workers | None = None,
    codes: CodesAsked | None = None,
    progress: Progress = lambda done, total: None,
) -> FieldSummary:
    """Denoise fields into `target`: a zarr store that survives kills, or a netCDF file, by its name.

    Parameters
    ----------
    source
        Files, stores or URLs; several of them are joined along time.
    target
        Ends in .zarr or .nc.
    options
        Model and how to run it.
    asked
        What of the fields, and how the store is to be.
    command, overwrite, dry_run, workers, codes, progress
        As in `geoae.jobs.denoise.denoise_files`.

    Raises
    ------
    GeoAEError
        The fields cannot be read, are none, or do not share a grid; the model is for something else; the output is
        there, or cannot be written.
    """
    began, in_store, workers = time.perf_counter(), is_store(target), workers or Workers()
    remote = cluster.on_workers(workers.cluster, workers.n)
    source = replace(source, timed=asked.append)
    fields = source.open(asked.var, asked.dims)
    notes = [] if asked.var else list_skipped_variables(source, fields)
    _check_target(source, target, fields, asked, remote, codes is not None, overwrite)
    if dry_run:
        _ = code_plan.coder(codes, coding.MODELS[2], "cpu", 1, remote)  # can make them, or says why not
        more = describe_target(target, overwrite) if in_store else []
        return FieldSummary(rows_of(fields, asked, {}), [target], [], notes + more, "", 0.0)
    model = load(options.model or MODEL)
    if remote:
        _ = model.home  # is there, or is said
    for x in fields:
        frame(x, model, asked.dims or None, asked.force)
    model = model if remote else prepare(model, options.device, options.threads)
    coder = code_plan.coder(codes, coding.MODELS[2], options.device, options.threads, remote)
    job = _Job(source, fields, model, options, asked, target, command, overwrite, coder)
    counts, more = _to_store(job, workers, progress) if in_store else _to_netcdf(job, progress)
    infinite = [
        f"{name}: {one['infinite']} samples are infinite; they count as missing and stay as they are"
        for name, one in counts.items()
        if one["infinite"]
    ]
    by = f"{model.name} {model.digest}"
    rows = rows_of(fields, asked, counts)
    return FieldSummary(rows, [target], [], [*notes, *more, *infinite], by, time.perf_counter() - began)


def target_for(source: FieldSource, out: str | Path | None) -> Path:
    """Where the cleaned fields go: `out`, or a store beside the one input."""
    if "://" in str(out):
        raise InputError(f"{out} is a URL; fields are written to this machine. Copy them there when they are finished.")
    if out is not None:
        return Path(out)
    if len(source.places) > 1 or "://" in source.places[0] or Path(source.names[0]).name != Path(source.places[0]).name:
        raise InputError("Say where the fields are to be written: -o NAME.zarr, or -o NAME.nc.")
    return Path(source.names[0]).with_name(f"{Path(source.names[0]).stem}.denoised.zarr")


@dataclass(frozen=True)
class _Job:
    """All that a run on fields knows."""

    source: FieldSource
    fields: Sequence[xr.DataArray]
    model: Model
    options: Options
    asked: FieldOptions
    target: Path
    command: str
    overwrite: bool
    coder: Coder | None

    def settings(self) -> dict[str, Any]:
        return settings(self.model, self.fields, self.asked, self.options.dry, self.coder)

    def spec(self, folder: Path, first: int) -> dict[str, Any]:
        """All that a worker needs, in plain data."""
        model, options = self.model, self.options
        return {
            "source": self.source.spec(), "var": [str(x.name) for x in self.fields], "dims": list(self.asked.dims),
            "shapes": [list(x.shape) for x in self.fields], "first": first, "folder": str(folder),
            "model": str(model.folder.absolute()) if model.folder else None, "digest": model.digest,
            "device": options.device, "batch": options.batch_size, "dry": options.dry,
            "codes": self.coder.spec() if self.coder else None,
        }  # fmt: skip


def _to_store(job: _Job, workers: Workers, progress: Progress) -> tuple[dict[str, Counts], list[str]]:
    time, first = append_along(job.fields, job.asked), 0
    attrs, beside = read_companions(job.source, job.fields, job.asked.dims)
    if time is not None and not job.overwrite:
        first = new_from(job.target, job.fields, time)
    if notes := nothing_new(job.target, job.fields[0], time, first, job.settings()):
        return {}, notes
    plan = store_plan(job.fields, beside, job.asked, first, job.model, job.options.dry, job.coder)
    run = begin(
        job.target, plan, job.settings(), source=job.source.label(), source_hash=digest(job.source),
        command=job.command, attrs=attrs, overwrite=job.overwrite, append=time or (),
    )  # fmt: skip
    pending = [] if run.finished else [int(number) for number in run.pending()]
    n_new = sum(part.n_blocks for part in plan.parts)
    counts = _work_through(job, run, pending, first, workers, progress)
    run.finish()
    notes = code_plan.told(job.target, [str(x.name) for x in job.fields]) if job.coder else []
    if run.finished:
        return counts, [f"{job.target.name} is finished already: there was nothing left to do", *notes]
    kept = max(n_new - len(pending), 0)
    more = f"{job.target.name}: {kept} of {n_new} blocks were there already; the table is of the others"
    return counts, [more, *notes] if kept else notes


def _work_through(
    job: _Job, run: ledger.Ledger, pending: list[int], first: int, workers: Workers, progress: Progress
) -> dict[str, Counts]:
    """Have the blocks written that are pending; returns what was counted, by variable."""
    counts: dict[str, Counts] = {}
    total = run.n_tasks
    done = total - len(pending)
    progress(done, total)
    make: Any = f"{__name__}:denoiser"
    if not cluster.on_workers(workers.cluster, workers.n):
        make = partial(denoiser, fields=job.fields, model=job.model, coder=job.coder)
    results = cluster.each(
        pending, make, job.spec(run.folder, first), cluster=workers.cluster, workers=workers.n,
        threads=job.options.threads or 1, say=workers.say,
    )  # fmt: skip
    with closing(results) as finished:
        # where nothing is pending, no worker is made: the run of a finished store is gone
        for _, (name, one) in finished if pending else ():
            if one is not None:
                counts[name] = pooled(counts.get(name), one)
            done += 1
            progress(done, total)
    return counts


def denoiser(
    spec: dict[str, Any],
    *,
    fields: Sequence[xr.DataArray] | None = None,
    model: Model | None = None,
    coder: Coder | None = None,
) -> Callable[[int], tuple[str, Counts | None]]:
    """What denoises and writes one block of a store of fields, or writes one of their codes; see `cluster.each`.

    It gives back what was counted of a block of samples, and its variable's name.

    Parameters
    ----------
    spec
        Source, model, options and the run's folder, in plain data.
    fields, model, coder
        Where this process has them; else they are opened as `spec` says.

    Raises
    ------
    InputError, ModelFileError
        Fields or model are not those that the run was begun with.
    """
    fields = _same_fields(spec) if fields is None else fields
    model = model or _same_model(spec)
    run = ledger.load(Path(spec["folder"]))
    # the frame was checked when the run began
    cleaners = {str(x.name): _cleaner(x, model, spec) for x in fields}
    coder = coder or code_plan.coder_of(spec["codes"], spec["device"])
    encoders = _encoders(run, fields, cleaners, coder, spec) if coder else {}

    def work(number: int) -> tuple[str, Counts | None]:
        one = run.task(number)
        if one.part.name in encoders:
            write_region(run.folder, number, encoders[one.part.name](one))
            return one.part.name, None
        signal, counts = cleaners[one.part.name](one)
        write_region(run.folder, number, {one.part.name: signal})
        return one.part.name, counts

    return work


def _encoders(
    run: ledger.Ledger,
    fields: Sequence[xr.DataArray],
    cleaners: Mapping[str, Cleaner],
    coder: Coder,
    spec: dict[str, Any],
) -> dict[str, Callable[[Task], dict[str, Any]]]:
    """Values of a block of codes, by the name of their part."""
    found = {}
    for x in fields:
        along, clean = time_axis(x, spec["dims"]), cleaners[str(x.name)]
        own = x if along is None else x.isel({x.dims[along]: slice(spec["first"], None)})
        where = coder.coding(own, layout(x, spec["dims"]).horizontal, code_prefix(x, fields))

        def samples(one: Task, clean: Cleaner = clean) -> NDArray[Any]:
            return clean(one)[0]

        found[where.prefix + "code"] = code_plan.encoder(run, str(x.name), where, coder, samples)
    return found


def _cleaner(x: xr.DataArray, model: Model, spec: dict[str, Any]) -> Cleaner:
    """Samples of a block of one variable, and what was counted."""
    where = frame(x, model, spec["dims"] or None, force=True)
    along = time_axis(x, spec["dims"])
    read = Samples(x, along)

    def clean(one: Task) -> tuple[NDArray[Any], Counts]:
        shift = [spec["first"] if axis == along else 0 for axis in range(x.ndim)]
        region = tuple(slice(s.start + n, s.stop + n) for s, n in zip(one.region, shift, strict=True))
        return _clean(read, where, region, model, spec["dry"], spec["batch"])

    return clean


def _clean(
    read: Samples, where: Frame, region: Region, model: Model, dry: float, batch: int
) -> tuple[NDArray[Any], Counts]:
    before, signal, removed = region_signal(read(where.spans(region)), where, region, model, dry, batch)
    return signal, count(before, removed)


def _to_netcdf(job: _Job, progress: Progress) -> tuple[dict[str, Counts], list[str]]:
    attrs, beside = read_companions(job.source, job.fields, job.asked.dims)
    plan = store_plan(job.fields, beside, job.asked, 0, job.model, job.options.dry)
    frames = [frame(x, job.model, job.asked.dims or None, force=True) for x in job.fields]
    counts: dict[str, Counts] = {}
    samples, done = {}, 0
    total = sum(1 for where in frames for _ in regions(where))
    for x, where in zip(job.fields, frames, strict=True):
        read, found = Samples(x, where.time), np.empty(x.shape, out_dtype(x.dtype))
        for region in regions(where):
            progress(done, total)
            found[region], one = _clean(read, where, region, job.model, job.options.dry, job.options.batch_size)
            counts[str(x.name)] = pooled(counts.get(str(x.name)), one)
            done += 1
        samples[str(x.name)] = found
    notes = netcdf.write(
        job.target, plan, samples, job.settings(), source=job.source.label(), source_hash=digest(job.source),
        command=job.command, attrs=attrs,
    )  # fmt: skip
    progress(total, total)
    return counts, notes


def _check_target(
    source: FieldSource,
    target: Path,
    fields: Sequence[xr.DataArray],
    asked: FieldOptions,
    remote: bool,
    codes: bool,
    overwrite: bool,
) -> None:
    """Refuse what cannot be written, before anything is computed."""
    if any("://" not in place and Path(place).resolve() == target.resolve() for place in source.places):
        raise InputError(f"{target} is what is to be denoised. Choose another output.")
    if is_store(target):
        return
    if target.suffix.lower() not in (".nc", ".nc4"):
        raise InputError(
            f"Fields are written to a zarr store or a netCDF file: -o NAME.zarr or -o NAME.nc, not {target}."
        )
    named = {"--append": asked.append, "--shard": asked.shard > 1, "--chunks": bool(asked.chunks), "--workers": remote,
             "--codes": codes}  # fmt: skip
    if given := [name for name, is_given in named.items() if is_given]:
        raise InputError(f"{', '.join(given)}: only a zarr store is written in blocks. Ask for -o {target.stem}.zarr.")
    netcdf.check(target, sum(x.size * out_dtype(x.dtype).itemsize for x in fields), overwrite)


def _same_fields(spec: dict[str, Any]) -> list[xr.DataArray]:
    source = from_spec(spec["source"])
    fields = source.open(spec["var"], spec["dims"])
    if [list(x.shape) for x in fields] != spec["shapes"]:
        raise InputError(
            f"{source.label()}: a worker finds other fields there than the run that it works for. Workers have to see "
            "the same files by the same names, and they must not change."
        )
    return fields


def _same_model(spec: dict[str, Any]) -> Model:
    model = load(spec["model"])
    if model.digest != spec["digest"]:
        raise ModelFileError(
            f"{spec['model']} has changed: the run was begun with {spec['digest']}, a worker finds {model.digest}."
        )
    return prepare(model, spec["device"], 1)
