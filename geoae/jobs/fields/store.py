"""Denoise gridded fields into a zarr store, block by block, or into a netCDF file where they fit in memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.codes import coding
from geoae.errors import InputError
from geoae.fields.frame import FieldFrame, denoise_region, iterate_regions, output_dtype
from geoae.fields.infer import build_frame
from geoae.jobs.append import find_append_dim, find_first_new_time, find_layout, note_nothing_new
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.fields.counts import Counts, FieldSummary, count_block, make_field_rows, pool_counts
from geoae.jobs.fields.plan import (  # fmt: skip
    choose_code_prefix,
    find_time_axis,
    list_field_settings,
    plan_field_store,
)
from geoae.jobs.inspect import describe_target
from geoae.jobs.options import DenoiseOptions, InferenceOptions, Progress, no_progress
from geoae.jobs.run import BlockJob, load_for_run, load_same_model, make_model_spec, run_blocks
from geoae.jobs.source import (
    ArraySource,
    RegionReader,
    digest_source,
    list_skipped_variables,
    read_companions,
    source_from_spec,
)
from geoae.model import Model
from geoae.stores import ledger, schema
from geoae.stores.blocks import Region, Task
from geoae.stores.runs import is_store
from geoae.stores.write import Origin, write_region
from geoae.writers.fields import netcdf

DEFAULT_MODEL = "grid"
"""Of the shipped models, the one for fields."""
BlockDenoiser = Callable[[Task], tuple[NDArray[Any], Counts]]
"""Samples of a block of one variable, and what was counted."""


def denoise_fields(
    source: ArraySource, target: Path, options: DenoiseOptions, progress: Progress = no_progress
) -> FieldSummary:
    """Denoise fields into `target`: a zarr store that survives kills, or a netCDF file, by its name.

    Parameters
    ----------
    source
        Files, stores or URLs; several of them are joined along time.
    target
        Ends in .zarr or .nc.
    options
        What of the fields is denoised, and how.
    progress
        Called with blocks done and blocks in all.

    Raises
    ------
    GeoAEError
        The fields cannot be read, are none, or do not share a grid; the model is for something else; the output is
        there, or cannot be written.
    """
    began, in_store, asked, how = time.perf_counter(), is_store(target), options.fields, options.how
    workers = options.run.workers
    source = replace(source, timed=asked.append)
    fields = source.open(asked.var, asked.dims)
    notes = [] if asked.var else list_skipped_variables(source, fields)
    _check_target(source, target, fields, options)
    if options.run.dry_run:
        _ = code_plan.load_coder(
            options.codes, coding.DEFAULT_MODELS[2], InferenceOptions(device="cpu", threads=1), workers
        )
        more = describe_target(target, options.run.overwrite) if in_store else []
        return FieldSummary(make_field_rows(fields, asked, {}), [target], [], notes + more, "", 0.0)
    model = load_for_run(how.model or DEFAULT_MODEL, how.device, how.threads, workers)
    for x in fields:
        build_frame(x, model, asked.dims or None, asked.force)
    coder = code_plan.load_coder(options.codes, coding.DEFAULT_MODELS[2], how, workers)
    job = _Job(source, fields, model, coder, target, options)
    counts, more = _to_store(job, progress) if in_store else _to_netcdf(job, progress)
    infinite = [
        f"{name}: {counted['infinite']} samples are infinite; they count as missing and stay as they are"
        for name, counted in counts.items()
        if counted["infinite"]
    ]
    by = f"{model.name} {model.digest}"
    rows = make_field_rows(fields, asked, counts)
    return FieldSummary(rows, [target], [], [*notes, *more, *infinite], by, time.perf_counter() - began)


def choose_target(source: ArraySource, out: str | Path | None) -> Path:
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
    """What is denoised, by which models, and where it goes."""

    source: ArraySource
    fields: Sequence[xr.DataArray]
    model: Model
    coder: TruncatedCoder | None
    target: Path
    options: DenoiseOptions

    def settings(self) -> dict[str, Any]:
        return list_field_settings(self.model, self.fields, self.options.fields, self.options.how.dry, self.coder)

    def origin(self, attrs: Mapping[str, Any]) -> Origin:
        return Origin(self.source.label(), digest_source(self.source), self.options.run.command, attrs)

    def spec(self, first: int) -> dict[str, Any]:
        """All that a worker needs, in plain data; `first` is the number of the first time that is computed."""
        how = self.options.how
        return {
            "source": self.source.spec(), "var": [str(x.name) for x in self.fields],
            "dims": list(self.options.fields.dims), "shapes": [list(x.shape) for x in self.fields], "first": first,
            "batch": how.batch_size, "dry": how.dry, **make_model_spec(self.model, how.device),
            "codes": self.coder.spec(how.device) if self.coder else None,
        }  # fmt: skip


def _to_store(job: _Job, progress: Progress) -> tuple[dict[str, Counts], list[str]]:
    """Have the blocks written that are not there; what was counted of them, by variable, and notes."""
    asked, how, first = job.options.fields, job.options.how, 0
    time = find_append_dim(job.fields, asked)
    attrs, beside = read_companions(job.source, job.fields, asked.dims)
    if time is not None and not job.options.run.overwrite:
        first = find_first_new_time(job.target, job.fields, time)
    if notes := note_nothing_new(job.target, job.fields[0], time, first, job.settings()):
        return {}, notes
    plan = plan_field_store(job.fields, beside, asked, first, job.model, how.dry, job.coder)
    in_hand = {"fields": job.fields, "model": job.model, "coder": job.coder}
    blocks = BlockJob(job.target, plan, job.settings(), job.origin(attrs), make_field_worker, job.spec(first), in_hand,
                      append=time, threads=how.threads)  # fmt: skip
    counts: dict[str, Counts] = {}

    def add(number: int, result: tuple[str, Counts | None]) -> None:
        name, counted = result
        if counted is not None:  # of codes, nothing is counted
            counts[name] = pool_counts(counts.get(name), counted)

    outcome = run_blocks(blocks, job.options.run, add, progress)
    of_codes = code_plan.describe_codes(job.target, [str(x.name) for x in job.fields]) if job.coder else []
    return counts, [*outcome.notes("; the table is of the others"), *of_codes]


def make_field_worker(
    spec: dict[str, Any],
    *,
    fields: Sequence[xr.DataArray] | None = None,
    model: Model | None = None,
    coder: TruncatedCoder | None = None,
) -> Callable[[int], tuple[str, Counts | None]]:
    """Make the function that writes one block, of denoised samples or of their codes.

    It returns the name of the block's part, and what was counted of a block of samples.

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
    model = model or load_same_model(spec)
    run = ledger.load_run(Path(spec["folder"]))
    # the frame was checked when the run began
    cleaners = {str(x.name): _cleaner(x, model, spec) for x in fields}
    coder = coder or code_plan.load_same_coder(spec["codes"])
    encoders = _encoders(run, fields, cleaners, coder, spec) if coder else {}

    def work(number: int) -> tuple[str, Counts | None]:
        task = run.task(number)
        name = task.part.name
        if name in encoders:
            write_region(run.folder, number, encoders[name](task))
            return name, None
        signal, counts = cleaners[name](task)
        write_region(run.folder, number, {name: signal})
        return name, counts

    return work


def _encoders(
    run: ledger.Ledger,
    fields: Sequence[xr.DataArray],
    cleaners: Mapping[str, BlockDenoiser],
    coder: TruncatedCoder,
    spec: dict[str, Any],
) -> dict[str, Callable[[Task], dict[str, Any]]]:
    """What computes a block of codes, by the name of their part."""
    found = {}
    for x in fields:
        along, clean = find_time_axis(x, spec["dims"]), cleaners[str(x.name)]
        new = x if along is None else x.isel({x.dims[along]: slice(spec["first"], None)})
        where = coder.coding(new, find_layout(x, spec["dims"]).horizontal, choose_code_prefix(x, fields))

        def samples(task: Task, clean: BlockDenoiser = clean) -> NDArray[Any]:
            return clean(task)[0]

        found[where.prefix + schema.CODE] = code_plan.make_block_encoder(run, str(x.name), where, coder, samples)
    return found


def _cleaner(x: xr.DataArray, model: Model, spec: dict[str, Any]) -> BlockDenoiser:
    """Make the function that denoises a block of one variable."""
    where = build_frame(x, model, spec["dims"] or None, force=True)
    along = find_time_axis(x, spec["dims"])
    read = RegionReader(x, along)

    def clean(task: Task) -> tuple[NDArray[Any], Counts]:
        shift = [spec["first"] if axis == along else 0 for axis in range(x.ndim)]
        region = tuple(slice(s.start + n, s.stop + n) for s, n in zip(task.region, shift, strict=True))
        return _clean(read, where, region, model, spec["dry"], spec["batch"])

    return clean


def _clean(
    read: RegionReader, where: FieldFrame, region: Region, model: Model, dry: float, batch: int
) -> tuple[NDArray[Any], Counts]:
    before, signal, removed = denoise_region(read(where.spans(region)), where, region, model, dry, batch)
    return signal, count_block(before, removed)


def _to_netcdf(job: _Job, progress: Progress) -> tuple[dict[str, Counts], list[str]]:
    asked, how = job.options.fields, job.options.how
    attrs, beside = read_companions(job.source, job.fields, asked.dims)
    plan = plan_field_store(job.fields, beside, asked, 0, job.model, how.dry)
    frames = [build_frame(x, job.model, asked.dims or None, force=True) for x in job.fields]
    counts: dict[str, Counts] = {}
    samples, done = {}, 0
    total = sum(1 for where in frames for _ in iterate_regions(where))
    for x, where in zip(job.fields, frames, strict=True):
        read, found = RegionReader(x, where.time), np.empty(x.shape, output_dtype(x.dtype))
        for region in iterate_regions(where):
            progress(done, total)
            found[region], counted = _clean(read, where, region, job.model, how.dry, how.batch_size)
            counts[str(x.name)] = pool_counts(counts.get(str(x.name)), counted)
            done += 1
        samples[str(x.name)] = found
    origin = job.origin(attrs)
    notes = netcdf.write_netcdf(
        job.target, plan, samples, job.settings(), source=origin.source, source_hash=origin.source_hash,
        command=origin.command, attrs=attrs,
    )  # fmt: skip
    progress(total, total)
    return counts, notes


def _check_target(source: ArraySource, target: Path, fields: Sequence[xr.DataArray], options: DenoiseOptions) -> None:
    """Refuse what cannot be written, before anything is computed."""
    if any("://" not in place and Path(place).resolve() == target.resolve() for place in source.places):
        raise InputError(f"{target} is what is to be denoised. Choose another output.")
    if is_store(target):
        return
    if target.suffix.lower() not in (".nc", ".nc4"):
        raise InputError(
            f"Fields are written to a zarr store or a netCDF file: -o NAME.zarr or -o NAME.nc, not {target}."
        )
    asked = options.fields
    named = {"--append": asked.append, "--shard": asked.shard > 1, "--chunks": bool(asked.chunks),
             "--workers": options.run.workers.are_elsewhere, "--codes": options.codes is not None}  # fmt: skip
    if given := [name for name, is_given in named.items() if is_given]:
        raise InputError(f"{', '.join(given)}: only a zarr store is written in blocks. Ask for -o {target.stem}.zarr.")
    netcdf.check_netcdf(target, sum(x.size * output_dtype(x.dtype).itemsize for x in fields), options.run.overwrite)


def _same_fields(spec: dict[str, Any]) -> list[xr.DataArray]:
    source = source_from_spec(spec["source"])
    fields = source.open(spec["var"], spec["dims"])
    if [list(x.shape) for x in fields] != spec["shapes"]:
        raise InputError(
            f"{source.label()}: a worker finds other fields there than the run that it works for. Workers have to see "
            "the same files by the same names, and they must not change."
        )
    return fields
