"""Denoise gridded fields into a zarr store, block by block, or into a netCDF file if they fit in memory."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.codes import coding
from geoae.errors import InputError
from geoae.fields.contract import FieldContract
from geoae.fields.frame import iterate_regions, output_dtype
from geoae.fields.infer import build_frame
from geoae.files.paths import resolve_links
from geoae.jobs.append import find_append_dim, find_first_new_time, note_append, note_nothing_new
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.fields.counts import Counts, FieldSummary, make_field_rows, note_unused_samples, pool_counts
from geoae.jobs.fields.plan import (  # fmt: skip
    list_field_settings,
    note_left_out,
    plan_field_store,
)
from geoae.jobs.fields.worker import denoise_and_count, make_field_worker
from geoae.jobs.inspect import describe_target
from geoae.jobs.options import DenoiseOptions, InferenceOptions, Progress, no_progress
from geoae.jobs.run import BlockJob, load_for_run, make_model_spec, run_blocks
from geoae.jobs.source import (
    ArraySource,
    RegionReader,
    digest_places,
    digest_source,
    list_skipped_variables,
    read_companions,
)
from geoae.model import Model, require_contract
from geoae.stores.runs import is_store
from geoae.stores.schema import FILE_HASHES
from geoae.stores.write import Origin
from geoae.writers.fields import netcdf

DEFAULT_MODEL = "grid"
"""Name of the shipped model for fields."""


def denoise_fields(
    source: ArraySource, target: Path, options: DenoiseOptions, progress: Progress = no_progress
) -> FieldSummary:
    """Denoise fields into `target`: a zarr store, which can be resumed, or a netCDF file.

    Parameters
    ----------
    source
        Files, stores or URLs. Several are joined along time.
    target
        Ends in .zarr or .nc.
    options
        Options of the run.
    progress
        Called with the number of finished blocks and the total.

    Raises
    ------
    GeoAEError
        There are no fields, or they cannot be read or do not share a grid; the model does not fit them; the output
        exists or cannot be written.
    """
    began, in_store, selected, inference = time.perf_counter(), is_store(target), options.fields, options.inference
    workers = options.run.workers
    source = replace(source, add_time=selected.append)
    fields = source.open(selected.var, selected.dims)
    notes = [] if selected.var else list_skipped_variables(source, fields)
    _check_target(source, target, fields, options)
    if options.run.dry_run:
        _ = code_plan.load_coder(
            options.codes, coding.DEFAULT_MODELS[2], InferenceOptions(device="cpu", threads=1), workers
        )
        more = describe_target(target, options.run.overwrite) if in_store else []
        return FieldSummary(make_field_rows(fields, selected, {}), [target], [], notes + more, "", 0.0)
    model = load_for_run(inference.model or DEFAULT_MODEL, inference.device, inference.threads, workers)
    for x in fields:
        build_frame(x, model, selected.dims or None, selected.force)
    coder = code_plan.load_coder(options.codes, coding.DEFAULT_MODELS[2], inference, workers)
    run = _FieldRun(source, fields, model, coder, target, options)
    counts, more, is_unchanged = _write_store(run, progress) if in_store else _write_netcdf(run, progress)
    notes += [*more, *note_unused_samples(fields, counts)]
    by = f"{model.name} {model.digest}"
    rows = make_field_rows(fields, selected, counts)
    return FieldSummary(rows, [target], [], notes, by, time.perf_counter() - began, is_unchanged)


def choose_target(source: ArraySource, out: str | Path | None) -> Path:
    """Path of the output: `out`, or a store in the folder of the one input."""
    if "://" in str(out):
        raise InputError(f"{out} is a URL; fields are written to local disk. Copy the finished store there.")
    if out is not None:
        return Path(out)
    if len(source.places) > 1 or "://" in source.places[0] or Path(source.names[0]).name != Path(source.places[0]).name:
        raise InputError("Choose an output for the fields: -o NAME.zarr or -o NAME.nc.")
    return Path(source.names[0]).with_name(f"{Path(source.names[0]).stem}.denoised.zarr")


@dataclass(frozen=True)
class _FieldRun:
    """One run: fields, models, output and options."""

    source: ArraySource
    fields: Sequence[xr.DataArray]
    model: Model
    coder: TruncatedCoder | None
    target: Path
    options: DenoiseOptions

    def settings(self) -> dict[str, Any]:
        return list_field_settings(self.model, self.fields, self.options.fields, self.options.inference.dry, self.coder)

    def origin(self, attrs: Mapping[str, Any]) -> Origin:
        hashes = {FILE_HASHES: "\n".join(digest_places(self.source))} if self.options.fields.append else {}
        own = {k: v for k, v in attrs.items() if k != FILE_HASHES} | hashes
        return Origin(self.source.label(), digest_source(self.source), self.options.run.command, own)

    def spec(self, first: int) -> dict[str, Any]:
        """Everything that a worker needs, as plain data; `first` is the index of the first time that is computed."""
        inference = self.options.inference
        device, threads = inference.device, inference.threads
        return {
            "source": self.source.spec(), "var": [str(x.name) for x in self.fields],
            "dims": list(self.options.fields.dims), "shapes": [list(x.shape) for x in self.fields], "first": first,
            "batch": inference.batch_size, "dry": inference.dry, **make_model_spec(self.model, device, threads),
            "codes": self.coder.spec(device, threads) if self.coder else None,
        }  # fmt: skip


def _write_store(run: _FieldRun, progress: Progress) -> tuple[dict[str, Counts], list[str], bool]:
    """Compute the missing blocks of a store. Returns counts by variable, notes, and whether nothing has changed."""
    selected, inference, first = run.options.fields, run.options.inference, 0
    time = find_append_dim(run.fields, selected)
    attrs, companions = read_companions(run.source, run.fields, selected.dims)
    if time is not None and not run.options.run.overwrite:
        first = find_first_new_time(run.target, run.fields, time)
    if notes := note_nothing_new(run.target, run.fields[0], time, first, run.settings(), run.source):
        return {}, notes, True
    plan = plan_field_store(run.fields, companions, selected, first, run.model, inference.dry, run.coder)
    loaded = {"fields": run.fields, "model": run.model, "coder": run.coder}
    job = BlockJob(run.target, plan, run.settings(), run.origin(attrs), make_field_worker, run.spec(first), loaded,
                   append=time, threads=inference.threads)  # fmt: skip
    appended = []
    if not run.options.run.overwrite:
        appended = note_append(run.target, run.fields[0], time, first, require_contract(run.model, FieldContract).far)
    left_out = note_left_out(run.fields, companions, attrs)
    counts: dict[str, Counts] = {}

    def add(number: int, result: tuple[str, Counts | None]) -> None:
        name, counted = result
        if counted is not None:  # blocks of codes have no counts
            counts[name] = pool_counts(counts.get(name), counted)

    outcome = run_blocks(job, run.options.run, add, progress)
    of_codes = code_plan.describe_codes(run.target, [str(x.name) for x in run.fields]) if run.coder else []
    notes = [*left_out, *outcome.notes("; the table covers the others"), *of_codes]
    return counts, [*([] if outcome.was_finished else appended), *notes], outcome.was_finished


def _write_netcdf(run: _FieldRun, progress: Progress) -> tuple[dict[str, Counts], list[str], bool]:
    selected, inference = run.options.fields, run.options.inference
    attrs, companions = read_companions(run.source, run.fields, selected.dims)
    plan = plan_field_store(run.fields, companions, selected, 0, run.model, inference.dry)
    frames = [build_frame(x, run.model, selected.dims or None, force=True) for x in run.fields]
    counts: dict[str, Counts] = {}
    samples, done = {}, 0
    total = sum(1 for frame in frames for _ in iterate_regions(frame))
    for x, frame in zip(run.fields, frames, strict=True):
        read, found = RegionReader(x, frame.time, frame), np.empty(x.shape, output_dtype(x.dtype))
        for region in iterate_regions(frame):
            progress(done, total)
            found[region], counted = denoise_and_count(
                read, frame, region, run.model, inference.dry, inference.batch_size
            )
            counts[str(x.name)] = pool_counts(counts.get(str(x.name)), counted)
            done += 1
        samples[str(x.name)] = found
    notes = netcdf.write_netcdf(run.target, plan, samples, run.settings(), run.origin(attrs))
    progress(total, total)
    return counts, [*note_left_out(run.fields, companions, attrs), *notes], False


def _check_target(source: ArraySource, target: Path, fields: Sequence[xr.DataArray], options: DenoiseOptions) -> None:
    """Raise if the output cannot be written, before anything is computed."""
    if any("://" not in place and resolve_links(place) == resolve_links(target) for place in source.places):
        raise InputError(f"{target} is the input. Choose another output.")
    if is_store(target):
        return
    if target.suffix.lower() not in (".nc", ".nc4"):
        raise InputError(
            f"Fields are written to a zarr store or a netCDF file: -o NAME.zarr or -o NAME.nc, not {target}."
        )
    selected = options.fields
    named = {"--append": selected.append, "--shard": selected.shard > 1, "--chunks": bool(selected.chunks),
             "--workers": options.run.workers.are_other_processes, "--codes": options.codes is not None}  # fmt: skip
    if given := [name for name, is_given in named.items() if is_given]:
        raise InputError(f"{', '.join(given)}: only a zarr store is written in blocks. Choose -o {target.stem}.zarr.")
    netcdf.check_netcdf(target, sum(x.size * output_dtype(x.dtype).itemsize for x in fields), options.run.overwrite)
