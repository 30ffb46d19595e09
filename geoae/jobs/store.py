"""Denoise one record into a zarr store, block by block; a run that was killed goes on when it is started again."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae import blocks, cluster, coding, infer, ledger
from geoae.contracts import Contract
from geoae.devices import prepare
from geoae.errors import (
    InputError,
    ModelFileError,
    UnreadableFileError,
)
from geoae.jobs import code_plan
from geoae.jobs.clean import Array, Options, Progress, spans
from geoae.jobs.code_plan import Coder, CodesAsked
from geoae.jobs.field_source import FieldSource, digest
from geoae.jobs.inputs import Recordings, note_above_band
from geoae.jobs.inspect import describe_target
from geoae.jobs.summary import Ledger, Summary
from geoae.model import Model, contract_of, load
from geoae.readers import cleaned, layout, traces
from geoae.readers.layout import Record, Segment
from geoae.writers.plan import StorePlan, plan_field
from geoae.writers.store import begin, write_region

Counted = dict[str, list[Any]]
SAMPLES = blocks.SAMPLES
"""Of a chunk, all channels together: they are denoised together, so they lie in one chunk."""
MOST = 1 << 25
"""Samples of a record along time: its time coordinate is held in memory while the store is laid out."""


@dataclass(frozen=True)
class Input:
    """What a run found in its files."""

    files: Sequence[Path]
    segments: list[Segment]
    problems: list[str]
    notes: list[str]
    selection: dict[str, Any] = field(default_factory=dict)
    """`ids`, `start_time`, `end_time`, `read_by`: how workers find the same; see `geoae.jobs.inputs.Recordings`."""


@dataclass(frozen=True)
class Workers:
    """Who computes the blocks; see `geoae.cluster.each`."""

    cluster: str | Path | None = None
    n: int = 1
    say: Callable[[str], None] = lambda line: None


def refuse_file_options(
    format_name: str, encoding: str | None, noise_out: str | Path | None, plot: Path | None
) -> None:
    """Raise InputError for options that a zarr store has no use for."""
    given = {
        "--format": format_name != "MSEED", "--encoding": encoding is not None,
        "--noise-out": noise_out is not None, "--plot": plot is not None,
    }  # fmt: skip
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(
            f"{', '.join(named)} cannot go with a zarr store, which holds the signal as numbers. "
            f"Leave {'it' if len(named) == 1 else 'them'} out; what was removed is the input less the signal."
        )


def denoise_store(
    source: Input,
    target: Path,
    options: Options,
    *,
    command: str = "",
    overwrite: bool = False,
    dry_run: bool = False,
    workers: Workers = Workers(),
    codes: CodesAsked | None = None,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Denoise the one record of `source` into a zarr store: variable "trace" (channel, time), NaN in gaps.

    Parameters
    ----------
    source
        Files and what is in them; text channels are left out, and what cannot be decoded becomes a gap.
    target
        A folder to be, ending in .zarr.
    command
        For the history of the store.
    overwrite, dry_run, progress
        As in `geoae.jobs.denoise.denoise_files`.
    workers
        Who computes the blocks; their number changes no byte.
    codes
        What is wanted of latent codes, which are stored beside the trace; None: there are none.

    Raises
    ------
    InputError
        There is no record or more than one, or it is longer than a store can be.
    SamplingRateError
        The model does not take its rate.
    StoreError, OutputExistsError, OutputError
        As `geoae.writers.store.begin`: other settings, a store that is there, a place that cannot be written to.
    ClusterError
        There are no workers, or they are lost.
    """
    began = time.perf_counter()
    segments = [segment for segment in source.segments if not segment.text]
    record, counts = _one_record(source.files, segments), Ledger(segments)
    texts = sorted({s.id for s in source.segments if s.text})
    notes = [*source.notes, *(f"{name}: text channel, left out" for name in texts)]
    remote = cluster.on_workers(workers.cluster, workers.n)
    if dry_run:
        _ = code_plan.coder(codes, coding.MODELS[1], "cpu", 1, remote)  # can make them, or says why not
        notes += describe_target(target, overwrite)
        return Summary(counts.traces, [target], source.problems, notes, "", 0.0)
    model = load(options.model) if remote else prepare(load(options.model), options.device, options.threads)
    if remote:
        _ = model.home  # is there, or is said
    infer.check_rate(record.rate_hz, model, record.ids[0])
    coder = code_plan.coder(codes, coding.MODELS[1], options.device, options.threads, remote)
    sound, losses, damaged = _decodable(segments)
    if losses:
        record, counts = _one_record(source.files, sound), Ledger(sound)
    plan = plan_record(record, model, options, coder)
    run = begin(
        target, plan, settings(record, model, options, coder), source=", ".join(p.name for p in source.files),
        source_hash=_hash(source.files), command=command, overwrite=overwrite,
    )  # fmt: skip
    n_blocks = sum(part.n_blocks for part in plan.parts)
    pending = set() if run.finished else {int(number) for number in run.pending()}
    spec = _spec(source, damaged, record, model, options, coder, run.folder)
    make = f"{__name__}:denoiser" if remote else partial(denoiser, record=record, model=model, coder=coder)
    with closing(cluster.each(sorted(pending), make, spec, cluster=workers.cluster, workers=workers.n,
                              threads=options.threads or 1, say=workers.say)) as results:  # fmt: skip
        # where nothing is pending, no worker is made: the run of a finished store is gone
        found = _collect(results if pending else (), n_blocks, len(pending), progress)
    written = run.finish()
    if before := n_blocks - len(pending):
        notes.append(f"{target.name}: {before} of {n_blocks} blocks were there already and were kept")
        found |= _kept(record, plan, written, pending)
    _add_up(found, record, counts)
    counts.lap(sound)
    rows = counts.conclude()
    problems = [*source.problems, *losses, *counts.losses]
    problems += [f"{row.id}: {row.problem}; {row.fate}" for row in rows if row.problem]
    notes += [f"{row.id}: {note}" for row in rows for note in row.notes]
    notes += note_above_band(sound, model, options) + (code_plan.told(written, [plan.parts[0].name]) if coder else [])
    return Summary(rows, [target], problems, notes, f"{model.name} {model.digest}", time.perf_counter() - began)


def plan_record(record: Record, model: Model, options: Options, coder: Coder | None = None) -> StorePlan:
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
        "long_name": "denoised recording", cleaned.START: start, "processing": infer.processing(model, options.dry)
    }  # fmt: skip
    rows = len(record.ids)
    plan = plan_field(template, "time", chunks={"channel": rows, "time": max(SAMPLES // rows, 1)})
    return plan + coder.plan(template, ["time"]) if coder else plan


def settings(record: Record, model: Model, options: Options, coder: Coder | None = None) -> dict[str, Any]:
    """What decides the samples: named in the store, and in the message when a run is resumed with others."""
    c = contract_of(model, Contract)
    return {
        cleaned.KIND: cleaned.RECORD, "model": model.name, "digest": model.digest, "model_rate_hz": c.rate_hz,
        "window": c.window, "stride": c.stride, "scaler": asdict(model.scaler), "dry": options.dry,
        "above_band": options.above_band, "ids": list(record.ids),
        "start": str(np.datetime64(record.start_ns, "ns")), "samples": record.n, "rate_hz": record.rate_hz,
        **(coder.settings() if coder else {}),
    }  # fmt: skip


def denoiser(
    spec: dict[str, Any], *, record: Record | None = None, model: Model | None = None, coder: Coder | None = None
) -> cluster.Work:
    """What denoises and writes one block of a store, and gives back what it counted: for `geoae.cluster.each`.

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
    options = Options(**spec["options"])
    record = record or _same_record(spec)
    model = model or _same_model(spec, options)
    coder = coder or code_plan.coder_of(spec["codes"], options.device, options.threads)
    run, heard = ledger.load(Path(spec["folder"])), Ledger()
    read, noise = spans(record, model, options, heard)
    trace = run.parts[0].variables[0]

    def clean(one: blocks.Task) -> tuple[Array, Array]:
        span = one.region[1]
        removed = noise(span.start, span.stop)  # reads more than the block, and `read` remembers it
        x = read(span.start, span.stop)
        return x, infer.denoise_block(x, removed, options.dry, np.dtype(trace.dtype))[0]

    encode = None
    if coder:
        where = coder.coding(traces.open_record(record), ["time"])
        encode = code_plan.encoder(run, trace.name, where, coder, lambda one: clean(one)[1])

    def work(number: int) -> Counted:
        one = run.task(number)
        if encode and one.part.name != trace.name:
            write_region(run.folder, number, encode(one))
            heard.losses.clear()  # told where the samples are
            return {}
        x, signal = clean(one)
        write_region(run.folder, number, {trace.name: signal})
        return _count(record, one.region[1], x, signal, heard)

    return work


def _spec(
    source: Input,
    damaged: list[int],
    record: Record,
    model: Model,
    options: Options,
    coder: Coder | None,
    folder: Path,
) -> dict[str, Any]:
    """All that a worker needs, in plain data."""
    return {
        "files": [str(path.absolute()) for path in source.files], **source.selection, "damaged": damaged,
        "record": _traits(record), "model": str(model.folder.absolute()) if model.folder else None,
        "digest": model.digest, "folder": str(folder), "codes": coder.spec() if coder else None,
        "options": {"device": options.device, "batch_size": options.batch_size, "threads": options.threads or 1,
                    "dry": options.dry, "above_band": options.above_band},
    }  # fmt: skip


def _traits(record: Record) -> list[Any]:
    """What tells a record from another one in plain data."""
    return [list(record.ids), record.start_ns, record.rate_hz, record.n, len(record.placed)]


def _same_record(spec: dict[str, Any]) -> Record:
    files = [Path(name) for name in spec["files"]]
    recordings = Recordings(files, spec.get("read_by", {}))
    found, *_ = recordings.scan(spec.get("ids", ()), spec.get("start_time"), spec.get("end_time"))
    segments = [segment for segment in found if not segment.text]
    sound = [
        part
        for i, segment in enumerate(segments)
        for part in (traces.sound_parts(segment) if i in spec["damaged"] else [segment])
    ]
    record = _one_record(files, sound)
    if _traits(record) != spec["record"]:
        raise InputError(
            f"{', '.join(map(str, files[:3]))}: a worker finds another record there than the run that it works for. "
            "Workers have to see the same files by the same names, and they must not change."
        )
    return record


def _same_model(spec: dict[str, Any], options: Options) -> Model:
    model = load(spec["model"])
    if model.digest != spec["digest"]:
        raise ModelFileError(
            f"{spec['model']} has changed: the run was begun with {spec['digest']}, a worker finds {model.digest}."
        )
    return prepare(model, options.device, options.threads)


def _decodable(segments: Iterable[Segment]) -> tuple[list[Segment], list[str], list[int]]:
    """What can be decoded of segments, a line for each that cannot all be, and their numbers: gaps must be known."""
    sound, losses, damaged = [], [], []
    for i, segment in enumerate(segments):
        parts = traces.sound_parts(segment)
        sound += parts
        if lost := segment.n - sum(part.n for part in parts):
            losses.append(f"{segment.id}: {lost} samples are lost: they cannot be decoded")
            damaged.append(i)
    return sound, losses, damaged


def _one_record(files: Sequence[Path], segments: Sequence[Segment]) -> Record:
    records = layout.arrange(segments)
    names = ", ".join(p.name for p in files[:3]) + (", ..." if len(files) > 3 else "")
    if not records:
        raise InputError(f"{names}: there are no samples, and nothing to denoise.")
    if len(records) > 1:
        told = "; ".join(_describe(record) for record in records[:3]) + ("; ..." if len(records) > 3 else "")
        raise InputError(
            f"{names}: there are {len(records)} records ({told}), and a store holds one, of one sensor over one "
            "stretch of time. Choose it with --id, --start-time, --end-time, or write miniSEED."
        )
    (record,) = records
    if record.n > MOST:
        raise InputError(
            f"{names}: the record has {record.n} samples along time, and a store holds at most {MOST} "
            f"({MOST / record.rate_hz / 86400:.3g} days at {record.rate_hz:g} Hz). Split it by days with --start-time "
            "and --end-time, into a store for each."
        )
    return record


def _describe(record: Record) -> str:
    start = str(np.datetime64(record.start_ns, "ns").astype("datetime64[s]"))
    return f"{', '.join(record.ids)} from {start}, {record.n / record.rate_hz:.6g} s"


def _hash(files: Iterable[Path]) -> str:
    """SHA-256 of the files one after the other, as ``cat FILES | sha256sum`` gives it; of folders see `digest`."""
    files = list(files)
    if any(path.is_dir() for path in files):  # readers of other packages may read folders
        return digest(FieldSource(tuple(map(str, files)), tuple(map(str, files))))
    total = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    total.update(part)
        except OSError as error:
            raise UnreadableFileError(f"{path} cannot be read: {error.strerror}.") from error
    return f"sha256:{total.hexdigest()}"


def _collect(
    results: Iterable[tuple[int, Counted]], n_blocks: int, n_pending: int, progress: Progress
) -> dict[int, Counted]:
    """What was counted, by block; tells progress."""
    found: dict[int, Counted] = {}
    progress(n_blocks - n_pending, n_blocks)
    for number, counted in results:
        found[number] = counted
        progress(n_blocks - n_pending + len(found), n_blocks)
    return found


def _kept(record: Record, plan: StorePlan, store: Path, pending: set[int]) -> dict[int, Counted]:
    """Count blocks that an earlier run has written, so that the summary is that of the whole store."""
    signal: xr.DataArray = cleaned.read(store)
    found, heard = {}, Ledger()
    for number in range(plan.parts[0].n_blocks):
        if number not in pending:
            span = blocks.task(plan.parts, number).region[1]
            x = traces.read_block(record, span.start, span.stop, heard.tell)
            found[number] = _count(record, span, x, signal[:, span].values, heard)
    return found


def _count(record: Record, span: slice, x: Array, signal: NDArray[Any], heard: Ledger) -> Counted:
    """What `Trace.take` adds for each trace of a record, by its number, and what was told while the block was read."""
    ledger = Ledger(p.segment for p in record.placed)
    for p in record.placed:
        a, b = max(p.first, span.start), min(p.first + p.segment.n, span.stop)
        if a < b:
            part = np.s_[p.row, a - span.start : b - span.start]
            ledger[p.segment].add(x[part], signal[part])
    losses = list(heard.losses)
    heard.losses.clear()
    return {"traces": [trace.counted() for trace in ledger.traces], "losses": losses}


def _add_up(found: dict[int, Counted], record: Record, counts: Ledger) -> None:
    """Add what was counted to the summary, block by block in their order, so that the sums are those of every run."""
    own = [counts[trace.segments[0]] for trace in Ledger(p.segment for p in record.placed).traces]
    for counted in (numbers for _, numbers in sorted(found.items()) if numbers):  # codes count nothing
        for trace, numbers in zip(own, counted["traces"], strict=True):
            if numbers:
                trace.take(numbers)
        for line in counted["losses"]:
            counts.tell(line)
