"""Denoise one block of a record's store, in this process or in a worker, and count what happened to its traces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.cluster.work import Work
from geoae.errors import InputError
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.inputs import Recordings
from geoae.jobs.options import InferenceOptions, Selection
from geoae.jobs.records.clean import make_span_readers
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.plan import cut_short_overlaps, find_one_record
from geoae.jobs.run import load_same_model, make_model_spec
from geoae.labels.segments import Record
from geoae.model import Model
from geoae.model.denoising import split_block
from geoae.readers.records import traces
from geoae.records.faults import Faults
from geoae.records.flags import count_flags
from geoae.records.judge import Flag, mark_flags
from geoae.records.removal import Removal
from geoae.stores import blocks, ledger
from geoae.stores.schema import DOUBTS, SIGMA
from geoae.stores.write import write_region

_OPTIONS = ("batch_size", "dry", "above_band", "keep_doubtful", "sigma", "highpass", "purpose")
BlockCounts = dict[str, list[Any]]
"""Counts of one block: "traces", sums of each trace, and "losses", lines on samples that were lost."""


def make_record_spec(
    recordings: Recordings,
    select: Selection,
    damaged: list[int],
    record: Record,
    model: Model,
    options: InferenceOptions,
    coder: TruncatedCoder | None,
) -> dict[str, Any]:
    """Everything that a worker needs, as plain data. `damaged`: numbers of segments that decode only in parts."""
    threads = options.threads or 1
    return {
        "files": [str(path.absolute()) for path in recordings.paths], "plugin_readers": recordings.plugin_readers,
        "select": select.spec(), "damaged": damaged,
        "record": _identify(record), **make_model_spec(model, options.device, threads),
        "codes": coder.spec(options.device, threads) if coder else None,
        "options": {name: getattr(options, name) for name in _OPTIONS},
    }  # fmt: skip


def make_record_worker(
    spec: dict[str, Any],
    *,
    record: Record | None = None,
    model: Model | None = None,
    coder: TruncatedCoder | None = None,
) -> Work:
    """Make the function that denoises and writes one block of a store, and returns its `BlockCounts`.

    A block of codes has no counts.

    Parameters
    ----------
    spec
        Result of `make_record_spec`, with the run's folder.
    record, model, coder
        Objects that this process has in memory; else they are loaded as `spec` describes.

    Raises
    ------
    InputError, ModelFileError
        Files or model have changed since the run was begun.
    """
    options = InferenceOptions(**spec["options"])
    record = record or _load_same_record(spec)
    model = model or load_same_model(spec)
    coder = coder or code_plan.load_same_coder(spec["codes"])
    run, lost = ledger.load_run(Path(spec["folder"])), TraceCounts()
    readers = make_span_readers(record, model, options, lost)
    trace = run.parts[0].variables[0]

    def denoise(task: blocks.Task) -> tuple[Array, Array, Removal]:
        span = task.region[1]
        removal = readers.removal(span.start, span.stop)  # reads more than the block, and `read` keeps it
        x = readers.read(span.start, span.stop)
        return x, split_block(x, removal.subtract_from(x, options.dry), np.dtype(trace.dtype))[0], removal

    encode = None
    if coder:
        coding = coder.coding(traces.open_record(record), ["time"])
        encode = code_plan.make_block_encoder(run, trace.name, coding, coder, lambda task: denoise(task)[1])

    def work(number: int) -> BlockCounts:
        task = run.task(number)
        if encode and task.part.name != trace.name:
            write_region(run.folder, number, encode(task))
            lost.losses.clear()  # the block of samples reports them
            return {}
        x, signal, removal = denoise(task)
        span = task.region[1]
        stored = {trace.name: signal, DOUBTS: mark_flags(removal.flags, span, x.shape)}
        if removal.sigma is not None:
            stored[SIGMA] = removal.sigma.astype(trace.dtype)
        write_region(run.folder, number, stored)
        found = readers.find_faults(span.start, span.stop)
        return count_record_block(record, span, x, signal, found, lost, removal.flags)

    return work


def count_record_block(
    record: Record,
    span: slice,
    x: Array,
    signal: NDArray[Any],
    found: Faults,
    lost: TraceCounts,
    flags: Sequence[Flag] = (),
) -> BlockCounts:
    """Count one block of a record.

    Parameters
    ----------
    record, span
        The record, and the samples of the block along time.
    x, signal
        (channel, time), before and after denoising.
    found
        Filled gaps and steps in the block.
    lost
        Its losses are moved to the result.
    flags
        Doubts about the windows that the block shares samples with.

    Returns
    -------
    BlockCounts
        "traces": for each trace the argument of `TraceSums.add_sums`; "losses": lines of text.
    """
    counts = TraceCounts(p.segment for p in record.placed)
    for p in record.placed:
        a, b = max(p.first, span.start), min(p.first + p.segment.n, span.stop)
        if a < b:
            part = np.s_[p.row, a - span.start : b - span.start]
            counts[p.segment].add(x[part], signal[part], p, a, found, record.start_ns)
            counts[p.segment].flags += count_flags(flags, p, record.start_ns)
    losses = list(lost.losses)
    lost.losses.clear()
    return {"traces": [trace.export_sums() for trace in counts.traces], "losses": losses}


def _identify(record: Record) -> list[Any]:
    """Values that distinguish a record from another one, as plain data."""
    return [list(record.ids), record.start_ns, record.rate_hz, record.n, len(record.placed)]


def _load_same_record(spec: dict[str, Any]) -> Record:
    files = [Path(name) for name in spec["files"]]
    select = Selection(**spec["select"])
    found, *_ = Recordings(files, spec["plugin_readers"]).scan(select.ids, select.start_time, select.end_time)
    segments, _ = cut_short_overlaps([segment for segment in found if not segment.text])
    decodable = [
        part
        for i, segment in enumerate(segments)
        for part in (traces.decodable_parts(segment) if i in spec["damaged"] else [segment])
    ]
    record = find_one_record(files, decodable)
    if _identify(record) != spec["record"]:
        raise InputError(
            f"{', '.join(map(str, files[:3]))}: a worker finds another record there than the run that it works for. "
            "Workers have to see the same files by the same names, and they must not change."
        )
    return record
