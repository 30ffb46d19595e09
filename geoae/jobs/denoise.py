"""Denoise files: recordings into files or a store, gridded fields into a store or netCDF."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geoae.errors import InputError
from geoae.jobs.fields.counts import FieldSummary
from geoae.jobs.fields.folder import denoise_into_folder, is_folder
from geoae.jobs.fields.store import choose_target, denoise_fields
from geoae.jobs.inputs import drop_repeats, sort_inputs
from geoae.jobs.options import DenoiseOptions, Progress, no_progress, refuse_options
from geoae.jobs.records.counts import RecordSummary, TraceCounts
from geoae.jobs.records.files import write_files
from geoae.jobs.records.sds import make_folders
from geoae.jobs.records.sinks import plan_outputs
from geoae.jobs.records.store import ScannedRecordings, denoise_store, refuse_file_options
from geoae.jobs.source import ArraySource
from geoae.readers.records.clocks import describe_drift
from geoae.stores.runs import is_store
from geoae.writers.records.traces import check_format


def denoise_files(
    inputs: Sequence[str | Path], options: DenoiseOptions | None = None, progress: Progress = no_progress
) -> RecordSummary | FieldSummary:
    """Denoise files together. Components and neighbouring hours in separate files form one record.

    Parameters
    ----------
    inputs
        Recordings that ObsPy reads; or fields (files, stores and URLs that xarray reads), joined along time. Patterns
        with wildcards and names in the data catalog are allowed.
    options
        Options; `DenoiseOptions.from_keywords` makes them from the keywords of the command line. None: all defaults.
    progress
        Called with the number of samples (for a store: blocks) that are done, and their total.

    Raises
    ------
    GeoAEError
        Nothing could be done: no input can be read, an output exists, the model is unknown. Problems with single traces
        or files are listed in the summary; the other traces are denoised.
    """
    began, options = time.perf_counter(), options or DenoiseOptions()
    out = options.out
    found = sort_inputs(inputs, options.fields.group, each_by_itself=is_folder(out))
    if isinstance(found, ArraySource):
        _refuse_options_of_recordings(options)
        if is_folder(out):
            return denoise_into_folder(found, Path(str(out)), options, progress)
        return denoise_fields(found, choose_target(found, out), options, progress)
    _refuse_options_of_fields(options)
    recordings, notes = drop_repeats(found)
    select, files = options.selection, options.files
    if is_store(out) or is_store(files.noise_out) or is_store(files.sigma_out):
        refuse_file_options(files)
        segments, problems, scan_notes = recordings.scan(select.ids, select.start_time, select.end_time)
        scan_notes += describe_drift(segments, is_kept=False)
        source = ScannedRecordings(recordings, segments, problems, notes + scan_notes)
        return denoise_store(source, Path(str(out)), options, progress)
    if options.codes:
        raise InputError("--codes writes signal and codes into one zarr store. Choose -o NAME.zarr.")
    if options.run.workers.are_other_processes:
        raise InputError(
            "Workers write the blocks of a zarr store; files are written by one process. Choose -o NAME.zarr, or "
            "leave --cluster and --workers out: --threads uses several cores."
        )
    if options.inference.sigma and files.sigma_out is None:
        raise InputError("--sigma writes standard errors into a zarr store. For files, give --sigma-out FILE.")
    if files.sigma_out is not None:
        options = replace(options, inference=replace(options.inference, sigma=True))
    names = plan_outputs(recordings.paths, out, files, options.run.overwrite)
    segments, problems, scan_notes = recordings.scan(select.ids, select.start_time, select.end_time)
    scan_notes += describe_drift(segments, is_kept=names.format == "MSEED")
    check_format(names.format, ids=(s.id for s in segments if not s.text))
    notes += names.notes
    if options.run.dry_run:
        rows = TraceCounts(segments).traces
        return RecordSummary(rows, names.targets, problems, notes + scan_notes, "", 0.0, names.format)
    if files.sds:
        make_folders(names.targets)
    done = write_files(segments, names, problems, options, progress)
    return replace(done, notes=[*notes, *scan_notes, *done.notes], seconds=time.perf_counter() - began)


def _refuse_options_of_recordings(options: DenoiseOptions) -> None:
    """Raise InputError for options that apply to recordings only."""
    select, files = options.selection, options.files
    given = {
        "--format": files.format is not None, "--encoding": files.encoding is not None, "--id": bool(select.ids),
        "--start-time": select.start_time is not None, "--end-time": select.end_time is not None,
        "--noise-out": files.noise_out is not None, "--sigma-out": files.sigma_out is not None,
        "--sigma": options.inference.sigma, "--no-keep-doubtful": not options.inference.keep_doubtful,
        "--sds": files.sds, "--plot": files.plot is not None,
        "--above-band": options.inference.above_band != "pass",
        "--highpass": options.inference.highpass is not None, "--for": options.inference.purpose is not None,
    }  # fmt: skip
    refuse_options(given, "not for gridded fields")


def _refuse_options_of_fields(options: DenoiseOptions) -> None:
    """Raise InputError for options that apply to gridded fields only."""
    fields = options.fields
    given = {
        "--var": bool(fields.var), "--dims": bool(fields.dims), "--chunks": bool(fields.chunks),
        "--shard": fields.shard != 1, "--append": fields.append, "--force": fields.force and not options.codes,
    }  # fmt: skip
    refuse_options(given, "not for recordings")
