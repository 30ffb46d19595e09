"""Denoise one record into a zarr store, block by block. The same command resumes a run that was killed."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xarray as xr

from geoae.codes import coding
from geoae.errors import InputError
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.inputs import Recordings, note_above_band
from geoae.jobs.inspect import describe_target
from geoae.jobs.options import DenoiseOptions, FileOptions, InferenceOptions, Progress, no_progress
from geoae.jobs.records.counts import RecordSummary, TraceCounts, TraceSums
from geoae.jobs.records.plan import cut_short_overlaps, find_one_record, list_record_settings, plan_record_store
from geoae.jobs.records.precision import find_blur
from geoae.jobs.records.worker import BlockCounts, count_record_block, make_record_spec, make_record_worker
from geoae.jobs.run import BlockJob, Outcome, load_for_run, run_blocks
from geoae.jobs.source import ArraySource, digest_source, hash_content
from geoae.labels.segments import Record, Segment
from geoae.readers.records import traces
from geoae.readers.records.arrange import describe_rates
from geoae.records import periods
from geoae.records.faults import FaultFinder
from geoae.records.highpass import check_highpass
from geoae.records.judge import find_marked
from geoae.records.removal import describe_guess
from geoae.stores import blocks
from geoae.stores import records as stored_records
from geoae.stores.plan import StorePlan
from geoae.stores.write import Origin


@dataclass(frozen=True)
class ScannedRecordings:
    """Recordings and the result of scanning them."""

    recordings: Recordings
    segments: list[Segment]
    problems: list[str]
    notes: list[str]


def refuse_file_options(files: FileOptions) -> None:
    """Raise InputError for options that apply to files only, not to a zarr store."""
    given = {
        "--format": files.format is not None, "--encoding": files.encoding is not None,
        "--noise-out": files.noise_out is not None, "--sigma-out": files.sigma_out is not None,
        "--plot": files.plot is not None, "--sds": files.sds,
    }  # fmt: skip
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(
            f"{', '.join(named)} cannot go with a zarr store, which holds the signal as numbers. "
            f"Leave {'it' if len(named) == 1 else 'them'} out; the removed noise is the input minus the signal, and "
            "--sigma writes the standard error into the store."
        )


def denoise_store(
    source: ScannedRecordings, target: Path, options: DenoiseOptions, progress: Progress = no_progress
) -> RecordSummary:
    """Denoise the one record of `source` into a zarr store: variable "trace" (channel, time), NaN in gaps.

    Parameters
    ----------
    source
        Scanned files. Text channels are left out; samples that cannot be decoded become a gap.
    target
        Folder of the store; ends in .zarr.
    options
        Options of the run. Codes, if any, are stored next to the trace.
    progress
        Called with the number of finished blocks and the total.

    Raises
    ------
    InputError
        There is no record or more than one, or it is longer than a store can be.
    SamplingRateError
        The sampling rate lies outside the model's range.
    StoreError, OutputExistsError, OutputError, ClusterError
        See `geoae.jobs.run.run_blocks`.
    """
    began, inference, workers = time.perf_counter(), options.inference, options.run.workers
    segments, cut = cut_short_overlaps([segment for segment in source.segments if not segment.text])
    paths = source.recordings.paths
    record, counts = find_one_record(paths, segments), TraceCounts(segments)
    texts = sorted({s.id for s in source.segments if s.text})
    notes = [*source.notes, *(f"{name}: text channel, left out" for name in texts), *describe_rates([record])]
    if options.run.dry_run:
        cpu = InferenceOptions(device="cpu", threads=1)
        _ = code_plan.load_coder(
            options.codes, coding.DEFAULT_MODELS[1], cpu, workers
        )  # raises if the model has no codes
        notes += describe_target(target, options.run.overwrite)
        return RecordSummary(counts.traces, [target], [*source.problems, *cut], notes, "", 0.0)
    model = load_for_run(inference.model, inference.device, inference.threads, workers)
    periods.check_rate(record.rate_hz, model, record.ids[0])
    inference = inference.for_model(model)
    if inference.highpass is not None:
        check_highpass(inference.highpass, record.rate_hz, record.ids[0])
    coder = code_plan.load_coder(options.codes, coding.DEFAULT_MODELS[1], inference, workers)
    decodable, losses, damaged = _find_decodable(segments)
    if losses:
        record, counts = find_one_record(paths, decodable), TraceCounts(decodable)
    job = BlockJob(
        target, plan_record_store(record, model, inference, coder),
        list_record_settings(record, model, inference, coder),
        Origin(", ".join(p.name for p in paths), _hash_inputs(paths), options.run.command), make_record_worker,
        make_record_spec(source.recordings, options.selection, damaged, record, model, inference, coder),
        {"record": record, "model": model, "coder": coder}, threads=inference.threads,
    )  # fmt: skip
    results: dict[int, BlockCounts] = {}
    outcome = run_blocks(job, options.run, results.__setitem__, progress)
    notes += outcome.notes()
    if outcome.n_kept:
        results |= _count_kept_blocks(record, job.plan, outcome, inference)
    _add_up(results, record, counts)
    counts.note_short_record(record)
    counts.add_elapsed(decodable)
    rows = counts.conclude()
    problems = [*source.problems, *cut, *losses, *counts.losses]
    problems += [f"{row.id}: {row.problem}; {row.outcome}" for row in rows if row.problem]
    problems += _list_blurred(record, rows)
    notes += [f"{row.id}: {note}" for row in rows for note in row.notes]
    notes += note_above_band(decodable, model, inference)
    notes += [guess] if inference.sigma and (guess := describe_guess(record.n, record.rate_hz, model)) else []
    notes += code_plan.describe_codes(outcome.store, [job.plan.parts[0].name]) if coder else []
    by, seconds = model.label, time.perf_counter() - began
    return RecordSummary(
        rows, [target], problems, notes, by, seconds,
        is_unchanged=outcome.was_finished, keep_doubtful=inference.keep_doubtful,
    )  # fmt: skip


def _list_blurred(record: Record, rows: Iterable[TraceSums]) -> list[str]:
    """A line on each trace of integers that are too large for the float32 of the store."""
    if traces.open_record(record).dtype == traces.float_dtype(record):
        return []
    found = {row.id: find_blur(row.offset, row.rms_out) for row in rows if row.denoised}
    return [f"{name}: {blur}; write miniSEED with encoding FLOAT64" for name, blur in found.items() if blur]


def _find_decodable(segments: Iterable[Segment]) -> tuple[list[Segment], list[str], list[int]]:
    """Decodable parts of segments, a line on each segment with a loss, and the numbers of these segments.

    The store is laid out before it is written, so gaps must be known first.
    """
    decodable, losses, damaged = [], [], []
    for i, segment in enumerate(segments):
        parts = traces.decodable_parts(segment)
        decodable += parts
        if lost := segment.n - sum(part.n for part in parts):
            losses.append(f"{segment.id}: {lost} samples are lost: they cannot be decoded")
            damaged.append(i)
    return decodable, losses, damaged


def _hash_inputs(paths: Sequence[Path]) -> str:
    if any(path.is_dir() for path in paths):  # readers of other packages may read folders
        return digest_source(ArraySource(tuple(map(str, paths)), tuple(map(str, paths))))
    return hash_content(paths)


def _count_kept_blocks(
    record: Record, plan: StorePlan, outcome: Outcome, options: InferenceOptions
) -> dict[int, BlockCounts]:
    """Count blocks that an earlier run wrote, so that the summary covers the whole store."""
    signal: xr.DataArray = stored_records.read(outcome.store)
    doubts = stored_records.read_doubts(outcome.store)
    results, lost = {}, TraceCounts()
    read = partial(traces.read_block, record, on_warning=lost.add_loss)
    faults = FaultFinder(read, record.n, record.rate_hz, options.highpass)
    for number in range(plan.parts[0].n_blocks):
        if number not in outcome.computed:
            span = blocks.find_task(plan.parts, number).region[1]
            x = traces.read_block(record, span.start, span.stop, lost.add_loss)
            found = faults.find(span.start, span.stop)
            flags = find_marked(doubts[:, span].values, span.start)
            results[number] = count_record_block(record, span, x, signal[:, span].values, found, lost, flags)
    return results


def _add_up(results: dict[int, BlockCounts], record: Record, counts: TraceCounts) -> None:
    """Add the counts of blocks to the summary, in the order of blocks: the sums are the same in every run."""
    traces_of_record = TraceCounts(p.segment for p in record.placed).traces
    targets = [counts[trace.segments[0]] for trace in traces_of_record]
    for counted in (result for _, result in sorted(results.items()) if result):  # blocks of codes have no counts
        for trace, sums in zip(targets, counted["traces"], strict=True):
            if sums:
                trace.add_sums(sums)
        for line in counted["losses"]:
            counts.add_loss(line)
