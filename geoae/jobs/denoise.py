"""Denoise recordings, any number of files to files or an ObsPy Stream to a Stream; fields are passed on."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae import infer
from geoae.devices import prepare
from geoae.errors import InputError, OutputError
from geoae.files.whole import whole_file
from geoae.jobs.clean import Drawing, clean
from geoae.jobs.fields.counts import FieldSummary
from geoae.jobs.fields.store import denoise_fields, target_for
from geoae.jobs.inputs import drop_repeats, note_above_band, sort_inputs
from geoae.jobs.options import DenoiseOptions, Options, Progress, no_progress, refuse
from geoae.jobs.outputs import Files, Memory, Plan, plan
from geoae.jobs.source import FieldSource
from geoae.jobs.store import RecordSource, denoise_store, refuse_file_options
from geoae.jobs.summary import Summary, Trace, TraceCounts
from geoae.model import Model, load
from geoae.readers import traces
from geoae.readers.layout import Segment
from geoae.runs import is_store
from geoae.writers.traces import check_format


def denoise_files(
    inputs: Sequence[str | Path], options: DenoiseOptions | None = None, progress: Progress = no_progress
) -> Summary | FieldSummary:
    """Denoise files, all of them together: components and neighbouring hours in separate files are seen as one record.

    Parameters
    ----------
    inputs
        Files that ObsPy reads; or fields: files, stores and URLs that xarray reads, joined along time. Patterns with
        wildcards and names in the data catalog stand for files.
    options
        What is asked for; `DenoiseOptions.of` makes it from the words of the command line. None: all defaults.
    progress
        Called with (samples done, samples in all); of a store, with blocks.

    Raises
    ------
    GeoAEError
        Nothing could be done: no input can be read, an output exists, the model is unknown. Trouble with single traces
        or files is told in the summary instead, and the others are done.
    """
    began, options = time.perf_counter(), options or DenoiseOptions()
    out = options.out
    found = sort_inputs(inputs)
    if isinstance(found, FieldSource):
        _refuse_options_of_recordings(options)
        return denoise_fields(found, target_for(found, out), options, progress)
    _refuse_options_of_fields(options)
    recordings, notes = drop_repeats(found)
    select, files = options.select, options.files
    if is_store(out) or is_store(files.noise_out):
        refuse_file_options(files)
        segments, problems, more = recordings.scan(select.ids, select.start_time, select.end_time)
        source = RecordSource(recordings, segments, problems, notes + more)
        return denoise_store(source, Path(str(out)), options, progress)
    if options.codes:
        raise InputError("--codes: signal and codes are written into one zarr store. Ask for -o NAME.zarr.")
    if options.run.workers.are_elsewhere:
        raise InputError(
            "Workers write the blocks of a zarr store; files are written by one process. Ask for -o NAME.zarr, or "
            "leave --cluster and --workers out: --threads makes use of several cores."
        )
    names = plan(recordings.paths, out, files, options.run.overwrite)
    segments, problems, more = recordings.scan(select.ids, select.start_time, select.end_time)
    check_format(names.format, files.encoding, (s.id for s in segments if not s.text))
    if options.run.dry_run:
        return Summary(TraceCounts(segments).traces, names.targets, problems, notes + more, "", 0.0)
    done = _write_files(segments, names, problems, options, progress)
    return replace(done, notes=[*notes, *more, *done.notes], seconds=time.perf_counter() - began)


def _write_files(
    segments: list[Segment], names: Plan, problems: list[str], options: DenoiseOptions, progress: Progress
) -> Summary:
    """Denoise segments into the files of a plan; `problems` are those that are known already."""
    how, figure, counts = options.how, options.files.plot, TraceCounts(segments)
    model = prepare(load(how.model), how.device, how.threads)
    drawings: list[Drawing] = []
    with Files(names, segments) as sink:
        clean(segments, model, how, sink, counts, progress, drawings.append if figure else None)
        rows = counts.conclude()
    failed, noted = _problems_and_notes(rows, sink)
    problems = [*problems, *counts.losses, *failed, *sink.problems]
    notes = [*sink.notes, *noted, *note_above_band(segments, model, how)]
    outputs = sink.outputs
    if not outputs:
        reason = "; ".join(problems) or "there are only text channels, and nothing to denoise"
        raise InputError(f"No output was written: {reason}.")
    if figure is not None and drawings:
        try:
            outputs = [*outputs, draw(drawings[0], figure, model)]
        except OutputError as error:
            problems.append(str(error))
    return Summary(rows, outputs, problems, notes, f"{model.name} {model.digest}", 0.0)


def denoise_stream(stream: Any, options: Options, noise: bool = False) -> Any:
    """Denoise an ObsPy Stream or Trace; returns the same kind, new, and the removed noise too if `noise`.

    Traces that cannot be denoised come back unchanged, with a warning that says why.
    """
    from obspy import Stream, Trace

    source = Stream([stream]) if isinstance(stream, Trace) else stream
    if not source:
        raise InputError("The Stream is empty, so there is nothing to denoise. Check how it was read or selected.")
    segments = list(traces.segments_of(source).segments)
    model, sink, counts = prepare(load(options.model), options.device, options.threads), Memory(), TraceCounts(segments)
    clean(segments, model, options, sink, counts)
    for trace in counts.conclude():
        if trace.problem:
            warnings.warn(f"{trace.id}: {trace.problem}; it comes back unchanged", stacklevel=3)
    results = []
    for kept in (sink.signal, sink.removed):
        copies = Stream([_rebuild(trace, kept.get(i)) for i, trace in enumerate(source)])
        for i, copy in enumerate(copies):
            if i in sink.signal:
                copy.stats.processing = [*copy.stats.get("processing", []), infer.processing(model, options.dry)]
        results.append(copies[0] if isinstance(stream, Trace) else copies)
    return tuple(results) if noise else results[0]


def draw(drawing: Drawing, path: Path, model: Model) -> Path:
    """Write the figure of a record, before, after and removed."""
    from geoae.plot import plot_denoised

    record = drawing.record
    figure = plot_denoised(
        drawing.before, drawing.after, drawing.before - drawing.after, record.rate_hz, record.start_ns, record.ids,
        title=f"geoae denoise, model {model.name} {model.digest}",
    )  # fmt: skip
    try:
        with whole_file(path, advice=" The recordings are complete.") as part:
            figure.savefig(part)
    except (ValueError, RuntimeError) as error:  # matplotlib's formats have kinds of their own
        raise OutputError(f"The figure {path} cannot be written: {error}. The recordings are complete.") from error
    return path


def _refuse_options_of_recordings(options: DenoiseOptions) -> None:
    """Raise InputError for options that make no sense for gridded fields."""
    select, files = options.select, options.files
    given = {
        "--format": files.format != "MSEED", "--encoding": files.encoding is not None, "--id": bool(select.ids),
        "--start-time": select.start_time is not None, "--end-time": select.end_time is not None,
        "--noise-out": files.noise_out is not None, "--plot": files.plot is not None,
        "--above-band": options.how.above_band != "pass",
    }  # fmt: skip
    refuse(given, "not for gridded fields")


def _refuse_options_of_fields(options: DenoiseOptions) -> None:
    """Raise InputError for options that make no sense for recordings."""
    asked = options.fields
    given = {
        "--var": bool(asked.var), "--dims": bool(asked.dims), "--chunks": bool(asked.chunks),
        "--shard": asked.shard != 1, "--append": asked.append, "--force": asked.force and not options.codes,
    }  # fmt: skip
    refuse(given, "not for recordings")


def _problems_and_notes(rows: list[Trace], sink: Files) -> tuple[list[str], list[str]]:
    """Problems, of each trace that was not denoised and each input without an output, and notes."""
    without_output = {source: None for source, target in sink.names.signal.items() if target in sink.unwritten}
    problems = [
        f"{row.id}: {row.problem}" + (f"; {row.fate}" if row.source not in without_output else "")
        for row in rows
        if row.problem
    ]
    if sink.outputs:
        problems += [f"{source}: nothing in it to denoise; no output was written for it" for source in without_output]
    notes = [f"{row.id}: {note}" for row in rows for note in row.notes if row.source not in without_output]
    return problems, notes


def _rebuild(trace: Any, data: NDArray[Any] | None) -> Any:
    copy = trace.copy()
    if data is not None:
        mask = getattr(trace.data, "mask", None)
        copy.data = data if mask is None else np.ma.array(data, mask=mask)
    return copy
