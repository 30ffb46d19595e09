"""Denoise one record into a zarr store, block by block; a run that was killed goes on when it is started again."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae import blocks, infer, ledger
from geoae.devices import prepare
from geoae.errors import (
    InputError,
    MissingFileError,
    OutputError,
    UnreadableFileError,
)
from geoae.jobs.clean import Array, Options, Progress, spans
from geoae.jobs.inputs import above
from geoae.jobs.summary import Ledger, Summary
from geoae.model import Model, load
from geoae.readers import cleaned, layout, traces
from geoae.readers.layout import Record, Segment
from geoae.writers.plan import StorePlan, plan_field
from geoae.writers.store import begin, write_region

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

    Raises
    ------
    InputError
        There is no record or more than one, or it is longer than a store can be.
    SamplingRateError
        The model does not take its rate.
    StoreError, OutputExistsError, OutputError
        As `geoae.writers.store.begin`: other settings, a store that is there, a place that cannot be written to.
    """
    began = time.perf_counter()
    segments = [segment for segment in source.segments if not segment.text]
    record, counts = _one_record(source.files, segments), Ledger(segments)
    texts = sorted({s.id for s in source.segments if s.text})
    notes = [*source.notes, *(f"{name}: text channel, left out" for name in texts)]
    if dry_run:
        notes += _would(target, overwrite)
        return Summary(counts.traces, [target], source.problems, notes, "", 0.0)
    model = prepare(load(options.model), options.device, options.threads)
    infer.check_rate(record.rate_hz, model, record.ids[0])
    sound, losses = _decodable(segments)
    if losses:
        record, counts = _one_record(source.files, sound), Ledger(sound)
    plan = plan_record(record, model, options)
    run = begin(
        target, plan, settings(record, model, options), source=", ".join(p.name for p in source.files),
        source_hash=_hash(source.files), command=command, overwrite=overwrite,
    )  # fmt: skip
    pending = set() if run.finished else {int(number) for number in run.pending()}
    _fill(record, plan, model, options, run.folder, pending, counts, progress)
    written = run.finish()
    if before := plan.parts[0].n_blocks - len(pending):
        notes.append(f"{target.name}: {before} of {plan.parts[0].n_blocks} blocks were there already and were kept")
        _count_kept(record, plan, written, pending, counts)
    counts.lap(sound)
    rows = counts.conclude()
    problems = [*source.problems, *losses, *counts.losses]
    problems += [f"{row.id}: {row.problem}; {row.fate}" for row in rows if row.problem]
    notes += [f"{row.id}: {note}" for row in rows for note in row.notes]
    notes += above(sound, model, options)
    return Summary(rows, [target], problems, notes, f"{model.name} {model.digest}", time.perf_counter() - began)


def plan_record(record: Record, model: Model, options: Options) -> StorePlan:
    """A store for one record: all channels in a chunk, and float64 only where the recording is."""
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
    return plan_field(template, "time", chunks={"channel": rows, "time": max(SAMPLES // rows, 1)})


def settings(record: Record, model: Model, options: Options) -> dict[str, Any]:
    """What decides the samples: named in the store, and in the message when a run is resumed with others."""
    c = model.record
    return {
        cleaned.KIND: cleaned.RECORD, "model": model.name, "digest": model.digest, "model_rate_hz": c.rate_hz,
        "window": c.window, "stride": c.stride, "scaler": asdict(model.scaler), "dry": options.dry,
        "above_band": options.above_band, "ids": list(record.ids),
        "start": str(np.datetime64(record.start_ns, "ns")), "samples": record.n, "rate_hz": record.rate_hz,
    }  # fmt: skip


def _decodable(segments: Iterable[Segment]) -> tuple[list[Segment], list[str]]:
    """What can be decoded of segments, and a line for each of which something cannot: gaps have to be known before."""
    sound, losses = [], []
    for segment in segments:
        parts = traces.sound_parts(segment)
        sound += parts
        if lost := segment.n - sum(part.n for part in parts):
            losses.append(f"{segment.id}: {lost} samples are lost: they cannot be decoded")
    return sound, losses


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


def _would(target: Path, overwrite: bool) -> list[str]:
    """Notes on a store that would be written."""
    if not target.absolute().parent.is_dir():
        raise OutputError(f"The folder {target.absolute().parent} for the output is not there; make it first.")
    try:
        found = ledger.status(target)
    except MissingFileError:
        return []
    if not found.finished:
        return [f"{target.name} is unfinished: {found.n_done} of {found.n_tasks} blocks are done"]
    if overwrite:
        return [f"{target.name} would be replaced"]
    return [f"{target.name} is finished: the same command changes nothing, another is refused without --overwrite"]


def _hash(files: Iterable[Path]) -> str:
    """SHA-256 of the files one after the other, as ``cat FILES | sha256sum`` gives it."""
    total = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    total.update(part)
        except OSError as error:
            raise UnreadableFileError(f"{path} cannot be read: {error.strerror}.") from error
    return f"sha256:{total.hexdigest()}"


def _fill(
    record: Record,
    plan: StorePlan,
    model: Model,
    options: Options,
    folder: Path,
    pending: set[int],
    counts: Ledger,
    progress: Progress,
) -> None:
    """Compute and write the blocks that are pending, each from its own region of the record."""
    (part,) = plan.parts
    (variable,) = part.variables
    read, noise = spans(record, model, options, counts)
    for done, number in enumerate(sorted(pending), part.n_blocks - len(pending)):
        progress(done, part.n_blocks)
        span = blocks.task(plan.parts, number).region[1]
        removed = noise(span.start, span.stop)  # reads more than the block, and `read` remembers it
        x = read(span.start, span.stop)
        signal, _ = infer.denoise_block(x, removed, options.dry, np.dtype(variable.dtype))
        write_region(folder, number, {variable.name: signal})
        _count(record, span, x, signal, counts)
    progress(part.n_blocks, part.n_blocks)


def _count_kept(record: Record, plan: StorePlan, store: Path, pending: set[int], counts: Ledger) -> None:
    """Count blocks that an earlier run has written, so that the summary is that of the whole store."""
    signal: xr.DataArray = cleaned.read(store)
    for number in range(plan.parts[0].n_blocks):
        if number not in pending:
            span = blocks.task(plan.parts, number).region[1]
            x = traces.read_block(record, span.start, span.stop, counts.tell)
            _count(record, span, x, signal[:, span].values, counts)


def _count(record: Record, span: slice, x: Array, signal: NDArray[Any], counts: Ledger) -> None:
    for p in record.placed:
        a, b = max(p.first, span.start), min(p.first + p.segment.n, span.stop)
        if a < b:
            part = np.s_[p.row, a - span.start : b - span.start]
            counts[p.segment].add(x[part], signal[part])
