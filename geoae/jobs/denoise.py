"""Denoise recordings, any number of files to files or an ObsPy Stream to a Stream; fields are passed on."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae import infer
from geoae.cluster import on_workers
from geoae.devices import prepare
from geoae.errors import InputError, OutputError
from geoae.files.whole import whole_file
from geoae.jobs.clean import Drawing, Options, Progress, clean
from geoae.jobs.code_plan import CodesAsked
from geoae.jobs.field_plan import FieldOptions, chunk_sizes, listed
from geoae.jobs.field_source import FieldSource
from geoae.jobs.field_summary import FieldSummary
from geoae.jobs.fields import denoise_fields, target_for
from geoae.jobs.inputs import drop_repeats, note_above_band, sort_inputs
from geoae.jobs.outputs import Files, Memory, plan
from geoae.jobs.store import Input, Workers, denoise_store, refuse_file_options
from geoae.jobs.summary import Ledger, Summary, Trace
from geoae.model import Model, load
from geoae.readers import traces
from geoae.runs import is_store
from geoae.writers.traces import check_format


def denoise_files(
    inputs: Sequence[str | Path],
    out: str | Path | None = None,
    options: Options | None = None,
    *,
    format_name: str = "MSEED",
    encoding: str | None = None,
    ids: Sequence[str] = (),
    start_time: str | None = None,
    end_time: str | None = None,
    noise_out: str | Path | None = None,
    plot: Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    cluster: str | Path | None = None,
    workers: int = 1,
    var: str | Sequence[str] = (),
    dims: str | Sequence[str] = (),
    chunks: str | Mapping[str, int] = "",
    shard: int = 1,
    append: bool = False,
    force: bool = False,
    codes: bool = False,
    codes_model: str | Path | Model | None = None,
    latent: int | None = None,
    command: str = "",
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Summary | FieldSummary:
    """Denoise files, all of them together: components and neighbouring hours in separate files are seen as one record.

    Parameters
    ----------
    inputs
        Files that ObsPy reads; or fields: files, stores and URLs that xarray reads, joined along time. Patterns with
        wildcards and names in the data catalog stand for files.
    out, noise_out
        File (all inputs), folder (one file each; it must be there) or None (beside the input; no noise is written).
        `out` may be a zarr store to be, a name that ends in .zarr, see `geoae.jobs.store`. Fields are written to a
        store, or to a netCDF file by a name that ends in .nc.
    options
        Model and how to run it; None: the default model, as fast as this machine is.
    format_name, encoding
        Of the outputs: a format that ObsPy writes, and of miniSEED FLOAT32 (None), FLOAT64, INT32, STEIM1 or STEIM2.
    ids
        Wildcards on NET.STA.LOC.CHA; what does not match is not in the output.
    start_time, end_time
        Anything that ObsPy's UTCDateTime takes.
    plot
        Figure of the first record, before and after: PNG, PDF, SVG or what else matplotlib writes.
    overwrite
        Replace outputs that are there.
    dry_run
        Read headers and say what would be done.
    cluster, workers
        Who computes the blocks of a store: processes of this machine ("local"), of a dask scheduler (its address) or of
        a batch system (a jobqueue file), and how many of them; see `geoae.cluster.each`.
    var, dims, chunks, shard, append, force
        Of fields, see `geoae.jobs.field_plan.FieldOptions`.
    codes, codes_model, latent
        Write the latent codes of what was cleaned too, into the same store: by which model (None: the shipped one that
        fits), and how many numbers each (None: all).
    command
        For the history of a store: what was typed.
    progress
        Called with (samples done, samples in all); of a store, with blocks.
    say
        Called with a line for a person while workers are at it.

    Raises
    ------
    GeoAEError
        Nothing could be done: no input can be read, an output exists, the model is unknown. Trouble with single traces
        or files is told in the summary instead, and the others are done.
    """
    began, options = time.perf_counter(), options or Options()
    found, asked = (
        sort_inputs(inputs),
        FieldOptions(listed(var), listed(dims), chunk_sizes(chunks), shard, append, force),
    )
    coded = _codes_asked(codes, codes_model, latent, force)
    if isinstance(found, FieldSource):
        _refuse({
            "--format": format_name != "MSEED", "--encoding": encoding is not None, "--id": bool(ids),
            "--start-time": start_time is not None, "--end-time": end_time is not None,
            "--noise-out": noise_out is not None, "--plot": plot is not None,
            "--above-band": options.above_band != "pass",
        }, "gridded fields")  # fmt: skip
        return denoise_fields(
            found, target_for(found, out), options, asked, command=command, overwrite=overwrite, dry_run=dry_run,
            workers=Workers(cluster, workers, say), codes=coded, progress=progress,
        )  # fmt: skip
    _refuse({
        "--var": bool(var), "--dims": bool(dims), "--chunks": bool(chunks), "--shard": shard != 1, "--append": append,
        "--force": force and not codes,
    }, "recordings")  # fmt: skip
    recordings, notes = drop_repeats(found)
    inputs = recordings.paths
    if is_store(out) or is_store(noise_out):
        refuse_file_options(format_name, encoding, noise_out, plot)
        segments, problems, more = recordings.scan(ids, start_time, end_time)
        selection = {"ids": list(ids), "start_time": start_time, "end_time": end_time, "read_by": recordings.read_by}
        return denoise_store(
            Input(inputs, segments, problems, notes + more, selection), Path(str(out)), options, command=command,
            overwrite=overwrite, dry_run=dry_run, workers=Workers(cluster, workers, say), codes=coded,
            progress=progress,
        )  # fmt: skip
    if coded:
        raise InputError("--codes: signal and codes are written into one zarr store. Ask for -o NAME.zarr.")
    if on_workers(cluster, workers):
        raise InputError(
            "Workers write the blocks of a zarr store; files are written by one process. Ask for -o NAME.zarr, or "
            "leave --cluster and --workers out: --threads makes use of several cores."
        )
    names = plan(inputs, out, noise_out, format_name, encoding, overwrite, plot)
    segments, problems, more = recordings.scan(ids, start_time, end_time)
    notes += more
    check_format(names.format, encoding, (s.id for s in segments if not s.text))
    ledger = Ledger(segments)
    if dry_run:
        return Summary(ledger.traces, names.targets, problems, notes, "", 0.0)
    model = prepare(load(options.model), options.device, options.threads)
    drawings: list[Drawing] = []
    with Files(names, segments) as sink:
        clean(segments, model, options, sink, ledger, progress, drawings.append if plot else None)
        rows = ledger.conclude()
    failed, noted = _told(rows, sink)
    problems += [*ledger.losses, *failed, *sink.problems]
    notes += [*sink.notes, *noted, *note_above_band(segments, model, options)]
    outputs = sink.outputs
    if not outputs:
        told = "; ".join(problems) or "there are only text channels, and nothing to denoise"
        raise InputError(f"No output was written: {told}.")
    if plot is not None and drawings:
        try:
            outputs = [*outputs, draw(drawings[0], plot, model)]
        except OutputError as error:
            problems.append(str(error))
    return Summary(rows, outputs, problems, notes, f"{model.name} {model.digest}", time.perf_counter() - began)


def denoise_stream(stream: Any, options: Options, noise: bool = False) -> Any:
    """Denoise an ObsPy Stream or Trace; returns the same kind, new, and the removed noise too if `noise`.

    Traces that cannot be denoised come back unchanged, with a warning that says why.
    """
    from obspy import Stream, Trace

    source = Stream([stream]) if isinstance(stream, Trace) else stream
    if not source:
        raise InputError("The Stream is empty, so there is nothing to denoise. Check how it was read or selected.")
    segments = list(traces.segments_of(source).segments)
    model, sink, ledger = prepare(load(options.model), options.device, options.threads), Memory(), Ledger(segments)
    clean(segments, model, options, sink, ledger)
    for trace in ledger.conclude():
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


def _codes_asked(codes: bool, model: str | Path | Model | None, latent: int | None, force: bool) -> CodesAsked | None:
    if codes:
        return CodesAsked(model, latent, force)
    if named := [name for name, value in {"--codes-model": model, "--latent": latent}.items() if value is not None]:
        raise InputError(f"{', '.join(named)}: of codes, which are written with --codes only. Add it.")
    return None


def _refuse(given: Mapping[str, bool], what: str) -> None:
    """Raise InputError for options that make no sense for an input of this kind."""
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(f"{', '.join(named)}: not for {what}. Leave {'it' if len(named) == 1 else 'them'} out.")


def _told(rows: list[Trace], sink: Files) -> tuple[list[str], list[str]]:
    """Problems, of each trace that was not denoised and each input without an output, and notes."""
    silent = {source: None for source, target in sink.names.signal.items() if target in sink.unwritten}
    problems = [
        f"{row.id}: {row.problem}" + (f"; {row.fate}" if row.source not in silent else "")
        for row in rows
        if row.problem
    ]
    if sink.outputs:
        problems += [f"{source}: nothing in it to denoise; no output was written for it" for source in silent]
    notes = [f"{row.id}: {note}" for row in rows for note in row.notes if row.source not in silent]
    return problems, notes


def _rebuild(trace: Any, data: NDArray[Any] | None) -> Any:
    copy = trace.copy()
    if data is not None:
        mask = getattr(trace.data, "mask", None)
        copy.data = data if mask is None else np.ma.array(data, mask=mask)
    return copy
