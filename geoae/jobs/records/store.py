"""Denoise one record into a zarr store, block by block; a run that was killed goes on when it is started again."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.cluster import work as cluster
from geoae.codes import coding
from geoae.errors import InputError
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.inputs import Recordings, note_above_band
from geoae.jobs.inspect import describe_target
from geoae.jobs.options import DenoiseOptions, FileOptions, InferenceOptions, Progress, Selection, no_progress
from geoae.jobs.records.clean import make_span_readers
from geoae.jobs.records.counts import RecordSummary, TraceCounts
from geoae.jobs.run import BlockJob, load_for_run, load_same_model, make_model_spec, run_blocks
from geoae.jobs.source import ArraySource, digest_source, hash_content
from geoae.labels.segments import Record, Segment
from geoae.model import Model, require_contract
from geoae.model.denoising import denoise_block, describe_processing
from geoae.readers.records import arrange as layout
from geoae.readers.records import traces
from geoae.records import infer
from geoae.records.contract import RecordContract
from geoae.stores import blocks, ledger
from geoae.stores import records as cleaned
from geoae.stores.plan import Chunking, StorePlan, plan_field
from geoae.stores.schema import KIND, RECORD, START_TIME
from geoae.stores.write import Origin, write_region

BlockCounts = dict[str, list[Any]]
"""What the work on one block counts: numbers of each trace, and lines on what was lost."""
CHUNK_SAMPLES = blocks.TARGET_SAMPLES
"""Of a chunk, all channels together: they are denoised together, so they lie in one chunk."""
MAX_SAMPLES = 1 << 25
"""Samples of a record along time: its time coordinate is held in memory while the store is laid out."""


@dataclass(frozen=True)
class ScannedRecordings:
    """What a run found in its files."""

    recordings: Recordings
    segments: list[Segment]
    problems: list[str]
    notes: list[str]


def refuse_file_options(files: FileOptions) -> None:
    """Raise InputError for options that a zarr store has no use for."""
    given = {
        "--format": files.format != "MSEED", "--encoding": files.encoding is not None,
        "--noise-out": files.noise_out is not None, "--plot": files.plot is not None,
    }  # fmt: skip
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(
            f"{', '.join(named)} cannot go with a zarr store, which holds the signal as numbers. "
            f"Leave {'it' if len(named) == 1 else 'them'} out; what was removed is the input less the signal."
        )


def denoise_store(
    source: ScannedRecordings, target: Path, options: DenoiseOptions, progress: Progress = no_progress
) -> RecordSummary:
    """Denoise the one record of `source` into a zarr store: variable "trace" (channel, time), NaN in gaps.

    Parameters
    ----------
    source
        Files and what is in them; text channels are left out, and what cannot be decoded becomes a gap.
    target
        A folder to be, ending in .zarr.
    options
        Codes, if any are asked for, are stored beside the trace.
    progress
        Called with blocks done and blocks in all.

    Raises
    ------
    InputError
        There is no record or more than one, or it is longer than a store can be.
    SamplingRateError
        The model does not take its rate.
    StoreError, OutputExistsError, OutputError, ClusterError
        As `geoae.jobs.run.run_blocks`.
    """
    began, how, workers = time.perf_counter(), options.how, options.run.workers
    segments = [segment for segment in source.segments if not segment.text]
    record, counts = _one_record(source.recordings.paths, segments), TraceCounts(segments)
    texts = sorted({s.id for s in source.segments if s.text})
    notes = [*source.notes, *(f"{name}: text channel, left out" for name in texts)]
    if options.run.dry_run:
        _ = code_plan.load_coder(
            options.codes, coding.DEFAULT_MODELS[1], InferenceOptions(device="cpu", threads=1), workers
        )
        notes += describe_target(target, options.run.overwrite)
        return RecordSummary(counts.traces, [target], source.problems, notes, "", 0.0)
    model = load_for_run(how.model, how.device, how.threads, workers)
    infer.check_rate(record.rate_hz, model, record.ids[0])
    coder = code_plan.load_coder(options.codes, coding.DEFAULT_MODELS[1], how, workers)
    sound, losses, damaged = _decodable(segments)
    if losses:
        record, counts = _one_record(source.recordings.paths, sound), TraceCounts(sound)
    names = ", ".join(p.name for p in source.recordings.paths)
    job = BlockJob(
        target, plan_record_store(record, model, how, coder), list_record_settings(record, model, how, coder),
        Origin(names, _hash(source.recordings.paths), options.run.command), make_record_worker,
        _spec(source.recordings, options.select, damaged, record, model, how, coder),
        {"record": record, "model": model, "coder": coder}, threads=how.threads,
    )  # fmt: skip
    found: dict[int, BlockCounts] = {}
    outcome = run_blocks(job, options.run, found.__setitem__, progress)
    notes += outcome.notes()
    if outcome.n_kept:
        found |= _count_kept(record, job.plan, outcome.store, outcome.computed)
    _add_up(found, record, counts)
    counts.add_elapsed(sound)
    rows = counts.conclude()
    problems = [*source.problems, *losses, *counts.losses]
    problems += [f"{row.id}: {row.problem}; {row.fate}" for row in rows if row.problem]
    notes += [f"{row.id}: {note}" for row in rows for note in row.notes]
    notes += note_above_band(sound, model, how)
    notes += code_plan.describe_codes(outcome.store, [job.plan.parts[0].name]) if coder else []
    return RecordSummary(rows, [target], problems, notes, f"{model.name} {model.digest}", time.perf_counter() - began)


def plan_record_store(
    record: Record, model: Model, options: InferenceOptions, coder: TruncatedCoder | None = None
) -> StorePlan:
    """A store for one record: all channels in a chunk, and float64 only where the recording is; codes by a `coder`."""
    x = traces.open_record(record)
    dtype = traces.float_dtype(record)
    nothing = np.broadcast_to(dtype.type(np.nan), x.shape)  # takes no memory
    template = x.copy(deep=False, data=nothing)
    template["time"].attrs = {"standard_name": "time", "long_name": "time of the sample, UTC", "axis": "T"}
    template["channel"].attrs = {"long_name": "channel code"}
    template["id"].attrs = {"long_name": "network.station.location.channel"}
    start = str(np.datetime64(record.start_ns, "ns"))
    template.attrs |= {
        "long_name": "denoised recording", START_TIME: start, "processing": describe_processing(model, options.dry)
    }  # fmt: skip
    rows = len(record.ids)
    chunks = {"channel": rows, "time": max(CHUNK_SAMPLES // rows, 1)}
    plan = plan_field(template, "time", chunking=Chunking(chunks))
    return plan + coder.plan(template, ["time"]) if coder else plan


def list_record_settings(
    record: Record, model: Model, options: InferenceOptions, coder: TruncatedCoder | None = None
) -> dict[str, Any]:
    """What decides the samples: named in the store, and in the message when a run is resumed with others."""
    c = require_contract(model, RecordContract)
    return {
        KIND: RECORD, "model": model.name, "digest": model.digest, "model_rate_hz": c.rate_hz,
        "window": c.window, "stride": c.stride, "scaler": asdict(model.scaler), "dry": options.dry,
        "above_band": options.above_band, "ids": list(record.ids),
        "start": str(np.datetime64(record.start_ns, "ns")), "samples": record.n, "rate_hz": record.rate_hz,
        **(coder.settings() if coder else {}),
    }  # fmt: skip


def make_record_worker(
    spec: dict[str, Any],
    *,
    record: Record | None = None,
    model: Model | None = None,
    coder: TruncatedCoder | None = None,
) -> cluster.Work:
    """Make the function that denoises and writes one block of a store, and returns what it counted.

    Of a block of codes nothing is counted.

    Parameters
    ----------
    spec
        Files, selection, model, options and the run's folder, see `_spec`.
    record, model, coder
        Where this process has them; else they are found as `spec` says.

    Raises
    ------
    InputError, ModelFileError
        Files or model are not those that the run was begun with.
    """
    options = InferenceOptions(**spec["options"])
    record = record or _same_record(spec)
    model = model or load_same_model(spec)
    coder = coder or code_plan.load_same_coder(spec["codes"])
    run, lost = ledger.load_run(Path(spec["folder"])), TraceCounts()
    read, noise = make_span_readers(record, model, options, lost)
    trace = run.parts[0].variables[0]

    def clean(task: blocks.Task) -> tuple[Array, Array]:
        span = task.region[1]
        removed = noise(span.start, span.stop)  # reads more than the block, and `read` remembers it
        x = read(span.start, span.stop)
        return x, denoise_block(x, removed, options.dry, np.dtype(trace.dtype))[0]

    encode = None
    if coder:
        places = coder.coding(traces.open_record(record), ["time"])
        encode = code_plan.make_block_encoder(run, trace.name, places, coder, lambda task: clean(task)[1])

    def work(number: int) -> BlockCounts:
        task = run.task(number)
        if encode and task.part.name != trace.name:
            write_region(run.folder, number, encode(task))
            lost.losses.clear()  # the block of samples reports them
            return {}
        x, signal = clean(task)
        write_region(run.folder, number, {trace.name: signal})
        return _count(record, task.region[1], x, signal, lost)

    return work


def _spec(
    recordings: Recordings,
    select: Selection,
    damaged: list[int],
    record: Record,
    model: Model,
    options: InferenceOptions,
    coder: TruncatedCoder | None,
) -> dict[str, Any]:
    """All that a worker needs, in plain data."""
    threads = options.threads or 1
    return {
        "files": [str(path.absolute()) for path in recordings.paths], "read_by": recordings.read_by,
        "select": select.spec(), "damaged": damaged,
        "record": _facts(record), **make_model_spec(model, options.device, threads),
        "codes": coder.spec(options.device, threads) if coder else None,
        "options": {"batch_size": options.batch_size, "dry": options.dry, "above_band": options.above_band},
    }  # fmt: skip


def _facts(record: Record) -> list[Any]:
    """What distinguishes a record from another one, in plain data."""
    return [list(record.ids), record.start_ns, record.rate_hz, record.n, len(record.placed)]


def _same_record(spec: dict[str, Any]) -> Record:
    files = [Path(name) for name in spec["files"]]
    select = Selection(**spec["select"])
    found, *_ = Recordings(files, spec["read_by"]).scan(select.ids, select.start_time, select.end_time)
    segments = [segment for segment in found if not segment.text]
    sound = [
        part
        for i, segment in enumerate(segments)
        for part in (traces.decodable_parts(segment) if i in spec["damaged"] else [segment])
    ]
    record = _one_record(files, sound)
    if _facts(record) != spec["record"]:
        raise InputError(
            f"{', '.join(map(str, files[:3]))}: a worker finds another record there than the run that it works for. "
            "Workers have to see the same files by the same names, and they must not change."
        )
    return record


def _decodable(segments: Iterable[Segment]) -> tuple[list[Segment], list[str], list[int]]:
    """What can be decoded of segments, a line for each that cannot all be, and their numbers: gaps must be known."""
    sound, losses, damaged = [], [], []
    for i, segment in enumerate(segments):
        parts = traces.decodable_parts(segment)
        sound += parts
        if lost := segment.n - sum(part.n for part in parts):
            losses.append(f"{segment.id}: {lost} samples are lost: they cannot be decoded")
            damaged.append(i)
    return sound, losses, damaged


def _one_record(files: Sequence[Path], segments: Sequence[Segment]) -> Record:
    records = layout.arrange_records(segments)
    names = ", ".join(p.name for p in files[:3]) + (", ..." if len(files) > 3 else "")
    if not records:
        raise InputError(f"{names}: there are no samples, and nothing to denoise.")
    if len(records) > 1:
        listed = "; ".join(_describe(record) for record in records[:3]) + ("; ..." if len(records) > 3 else "")
        raise InputError(
            f"{names}: there are {len(records)} records ({listed}), and a store holds one, of one sensor over one "
            "stretch of time. Choose it with --id, --start-time, --end-time, or write miniSEED."
        )
    (record,) = records
    if record.n > MAX_SAMPLES:
        raise InputError(
            f"{names}: the record has {record.n} samples along time, and a store holds at most {MAX_SAMPLES} "
            f"({MAX_SAMPLES / record.rate_hz / 86400:.3g} days at {record.rate_hz:g} Hz). Split it by days with "
            "--start-time and --end-time, into a store for each."
        )
    return record


def _hash(paths: Sequence[Path]) -> str:
    if any(path.is_dir() for path in paths):  # readers of other packages may read folders
        return digest_source(ArraySource(tuple(map(str, paths)), tuple(map(str, paths))))
    return hash_content(paths)


def _describe(record: Record) -> str:
    start = str(np.datetime64(record.start_ns, "ns").astype("datetime64[s]"))
    return f"{', '.join(record.ids)} from {start}, {record.n / record.rate_hz:.6g} s"


def _count_kept(record: Record, plan: StorePlan, store: Path, computed: frozenset[int]) -> dict[int, BlockCounts]:
    """Count blocks that an earlier run has written, so that the summary is that of the whole store."""
    signal: xr.DataArray = cleaned.read(store)
    found, lost = {}, TraceCounts()
    for number in range(plan.parts[0].n_blocks):
        if number not in computed:
            span = blocks.find_task(plan.parts, number).region[1]
            x = traces.read_block(record, span.start, span.stop, lost.tell)
            found[number] = _count(record, span, x, signal[:, span].values, lost)
    return found


def _count(record: Record, span: slice, x: Array, signal: NDArray[Any], lost: TraceCounts) -> BlockCounts:
    """What is counted of a block: for each trace what `Trace.take` adds, and what was lost while it was read."""
    counts = TraceCounts(p.segment for p in record.placed)
    for p in record.placed:
        a, b = max(p.first, span.start), min(p.first + p.segment.n, span.stop)
        if a < b:
            part = np.s_[p.row, a - span.start : b - span.start]
            counts[p.segment].add(x[part], signal[part])
    losses = list(lost.losses)
    lost.losses.clear()
    return {"traces": [trace.counted() for trace in counts.traces], "losses": losses}


def _add_up(found: dict[int, BlockCounts], record: Record, counts: TraceCounts) -> None:
    """Add what was counted to the summary, block by block in their order, so that the sums are those of every run."""
    traces_of_record = TraceCounts(p.segment for p in record.placed).traces
    targets = [counts[trace.segments[0]] for trace in traces_of_record]
    for counted in (numbers for _, numbers in sorted(found.items()) if numbers):  # codes count nothing
        for trace, numbers in zip(targets, counted["traces"], strict=True):
            if numbers:
                trace.take(numbers)
        for line in counted["losses"]:
            counts.tell(line)
