"""Denoise the records of a run block by block. A trace that fails does not stop the others."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np

from geoae.arrays.types import Array
from geoae.errors import DamagedFileError, GeoAEError, OutputError
from geoae.jobs.options import InferenceOptions, Progress, no_progress
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.sinks import Sink, pass_through_or_leave_out
from geoae.labels.segments import Record, Segment
from geoae.model import Model
from geoae.readers.records import traces
from geoae.readers.records.arrange import describe_overlaps
from geoae.records import infer
from geoae.records.faults import FaultFinder, Faults
from geoae.records.flags import count_flags
from geoae.records.highpass import check_highpass
from geoae.records.periods import check_rate
from geoae.records.removal import ReadRemoval, Removal, describe_guess, find_removal
from geoae.records.resample import ReadSpan, keep_last_block

PlotRecord = Callable[["PlottedRecord"], None]


@dataclass
class PlottedRecord:
    """The part of a record that a figure shows, before and after denoising: (channel, time) in float32."""

    record: Record
    before: Array
    after: Array


def denoise_segments(
    segments: list[Segment],
    model: Model,
    options: InferenceOptions,
    sink: Sink,
    counts: TraceCounts,
    progress: Progress = no_progress,
    plot: PlotRecord | None = None,
) -> None:
    """Denoise segments into a sink, and count each of them.

    If parts of a segment cannot be decoded, the rest is denoised. Segments that cannot be denoised pass through
    unchanged, and so do all segments of a trace that is dead, or whose samples the sink would change by rounding.
    `plot` is called with the first record.

    Raises
    ------
    OutputError
        The sink cannot be written to.
    """
    pending = Counter((s.source, s.id) for s in segments)
    passed: set[int] = set()

    def finish(segment: Segment) -> None:
        pending[segment.source, segment.id] -= 1
        if not pending[segment.source, segment.id]:
            _finish_trace(counts[segment].segments, sink, counts, passed)
        finished = sink.finish_segment(segment, lambda source: any(t.written for t in counts.conclude_source(source)))
        for left_out, reason in finished.refused.items():
            counts.leave_out(left_out, reason, denoised=id(left_out) not in passed)
        if finished.stored:
            samples = ((s, traces.fetch_samples(s), signal) for s, signal in finished.stored.items())
            counts.count_again(samples)

    total, done = sum(s.n for s in segments), 0
    for segment in (s for s in segments if s.n == 0 or s.text):
        left_out = pass_through_or_leave_out(sink, segment, counts.add_loss)
        passed.add(id(segment))
        if segment.text:
            outcome = f"left out, since {left_out}" if left_out else "passed through"
            counts[segment].notes.append(f"text channel, {outcome}")
        finish(segment)
    records = traces.group_segments(segments, with_context=True)
    for line in describe_overlaps(records):
        counts.add_note(line)
    waiting = deque(records)
    while waiting:
        record = waiting.popleft()
        worked_on = [p.segment for p in record.placed]
        saved = counts.copy_sums(worked_on)
        try:
            for n in _denoise_record(record, model, options, sink, counts, plot, passed):
                done += n
                progress(min(done, total), total)
            if plot is not None and len(records) > 1:
                counts.add_note(
                    f"the figure shows the first of {len(records)} records, {', '.join(record.ids)}; "
                    "for another, choose it with --id and --start-time"
                )
            plot = None
        except OutputError:
            raise
        except GeoAEError as error:
            counts.restore_sums(saved)
            is_damaged = isinstance(error, DamagedFileError)
            decodable = _split_decodable(worked_on, sink, counts, error) if is_damaged else worked_on
            if is_damaged and record.has_context and decodable == worked_on:  # what is damaged lies around it
                waiting.extendleft(reversed(traces.group_segments(worked_on)))
                continue
            if decodable == worked_on:
                for segment in worked_on:
                    _pass_unchanged(segment, str(error), sink, counts)
                    passed.add(id(segment))
            else:
                waiting.extendleft(reversed(traces.group_segments(decodable, with_context=True)))
                kept = set(map(id, decodable))
                whole = set(map(id, worked_on))
                pending.update((s.source, s.id) for s in decodable if id(s) not in whole)
                worked_on = [s for s in worked_on if id(s) not in kept]
                passed.update(map(id, worked_on))
        counts.add_elapsed(worked_on)
        for segment in worked_on:
            finish(segment)


def _split_decodable(segments: list[Segment], sink: Sink, counts: TraceCounts, error: GeoAEError) -> list[Segment]:
    """Replace segments by their decodable parts, and count what is lost."""
    found: list[Segment] = []
    for segment in segments:
        parts = traces.decodable_parts(segment)
        found += parts
        if parts == [segment]:
            continue
        lost = segment.n - sum(part.n for part in parts)
        counts.add_loss(f"{segment.id}: {lost} samples are lost: {_reason(error, segment)}")
        sink.replace(segment, parts)
        if parts:
            counts.replace(segment, parts)
        else:
            counts.fail(segment, "cannot be decoded", left_out=True)
    return found


def _finish_trace(all_segments: Sequence[Segment], sink: Sink, counts: TraceCounts, passed: set[int]) -> None:
    """Replace the stored samples of a trace by the original ones if it is dead, or if the sink cannot hold them.

    Of its segments those in `passed` are original already; the others are added to it if they are replaced.
    """
    segments = [s for s in all_segments if id(s) not in passed]
    if not segments:
        return
    (trace,) = counts.conclude_trace(segments[0])
    if trace.denoised:
        if reason := sink.find_loss(segments):
            for segment in segments:
                _pass_unchanged(segment, reason, sink, counts)
            passed.update(map(id, segments))
        return
    passed.update(map(id, segments))
    for segment in segments:
        if segment.n and (left_out := pass_through_or_leave_out(sink, segment, counts.add_loss)):
            trace.problem += f", and {left_out}"
            trace.left_out += 1


def _pass_unchanged(segment: Segment, error: str, sink: Sink, counts: TraceCounts) -> None:
    left_out = pass_through_or_leave_out(sink, segment, counts.add_loss)
    reason = _reason(error, segment)
    if left_out and reason not in left_out:
        reason += f", and {left_out}"
    counts.fail(segment, reason, left_out=bool(left_out))


class SpanReaders(NamedTuple):
    """Functions of (start, stop) in samples of a record."""

    read: ReadSpan
    """Samples."""
    removal: ReadRemoval
    """The noise that the model removes from them, its error, and doubts."""
    find_faults: Callable[[int, int], Faults]
    """Filled gaps and steps."""


def make_span_readers(
    record: Record, model: Model, options: InferenceOptions, counts: TraceCounts, stop: Event | None = None
) -> SpanReaders:
    """Functions that read and denoise any part of a record. When `stop` is set, the noise raises CancelledError."""
    slots = infer.assign_components([i.rpartition(".")[2] for i in record.ids])
    read = keep_last_block(partial(traces.read_block, record, on_warning=counts.add_loss))
    faults = FaultFinder(read, record.n, record.rate_hz, options.highpass)
    asked = options.for_records()
    return SpanReaders(read, find_removal(faults, slots, model, asked, (stop or Event()).is_set), faults.find)


def _denoise_record(
    record: Record,
    model: Model,
    options: InferenceOptions,
    sink: Sink,
    counts: TraceCounts,
    plot: PlotRecord | None,
    passed: set[int],
) -> Iterator[int]:
    """Denoise one record block by block; yields the number of finished samples.

    A segment that the sink cannot hold passes through unchanged, and its identity is added to `passed`.
    """
    check_rate(record.rate_hz, model, "it")
    if options.highpass is not None:
        check_highpass(options.highpass, record.rate_hz, "it")
    counts.note_short_record(record)
    if options.sigma and (guess := describe_guess(record.n, record.rate_hz, model)):
        counts.doubts[guess] = None
    halt = Event()
    readers = make_span_readers(record, model, options, counts, halt)
    placed = sorted(record.placed, key=lambda p: p.first)
    firsts = [p.first for p in placed]
    longest = max(p.segment.n for p in placed)
    refused: dict[int, GeoAEError] = {}
    shown: list[tuple[Array, Array]] = []
    blocks = _list_blocks(record, own_only=plot is None)
    for start, stop, x, removal, faults in _blocks_ahead(readers, blocks, halt):
        with np.errstate(over="ignore", invalid="ignore"):  # values that an output cannot hold are refused below
            exact = removal.subtract_from(x, options.dry)
        for p in placed[bisect_left(firsts, start - longest) : bisect_left(firsts, stop)]:
            a, b = max(p.first, start), min(p.first + p.segment.n, stop)
            if a >= b:
                continue
            yield b - a
            if id(p) in refused:
                continue
            part = np.s_[p.row, a - start : b - start]
            try:
                sigma = None if removal.sigma is None else removal.sigma[part]
                signal = sink.put(p.segment, a - p.first, x[part], exact[part], sigma)
            except OutputError:
                raise
            except GeoAEError as error:
                refused[id(p)] = error
            else:
                counts[p.segment].add(x[part], signal, p, a, faults, record.start_ns)
                counts[p.segment].flags += count_flags(removal.flags, p, record.start_ns)
        if plot is not None and start < 86400 * record.rate_hz:  # a figure shows one day at most
            limit = np.finfo(np.float32).max
            pair = (y if faults.filled is None else np.where(faults.filled, np.nan, y) for y in (x, exact))
            before, after = (y.clip(-limit, limit).astype(np.float32) for y in pair)
            shown.append((before, after))
    for p in placed:
        if id(p) in refused:
            _pass_unchanged(p.segment, str(refused[id(p)]), sink, counts)
            passed.add(id(p.segment))
    if plot is not None:
        before, after = (np.concatenate(parts, axis=-1) for parts in zip(*shown, strict=True))
        plot(PlottedRecord(record, before, after))


def _list_blocks(record: Record, own_only: bool) -> list[tuple[int, int]]:
    """Blocks (start, stop) of a record; `own_only`: without those of context that belongs to other records."""
    blocks = [(start, min(start + infer.BLOCK_N, record.n)) for start in range(0, record.n, infer.BLOCK_N)]
    if not (record.has_context and own_only):
        return blocks
    own = _merge_spans((p.first, p.first + p.segment.n) for p in record.placed)
    spans = ((max(a, start), min(b, stop)) for start, stop in blocks for a, b in own)
    return [(a, b) for a, b in spans if a < b]


def _merge_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans (start, stop) that touch or overlap."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


def _blocks_ahead(
    readers: SpanReaders, blocks: list[tuple[int, int]], halt: Event
) -> Iterator[tuple[int, int, Array, Removal, Faults]]:
    """Blocks (start, stop, samples, removal, faults). The next block is computed while the last one is written.

    At the end, also after an error or a signal, `halt` is set, which ends the computation of a block that nobody needs.
    """

    def work(start: int, stop: int) -> tuple[int, int, Array, Removal, Faults]:
        removal = readers.removal(start, stop)  # reads more than the block, and `read` keeps it
        return start, stop, readers.read(start, stop), removal, readers.find_faults(start, stop)

    worker = ThreadPoolExecutor(1)
    try:
        next_block = worker.submit(work, *blocks[0])
        for block in blocks[1:]:
            done = next_block.result()
            next_block = worker.submit(work, *block)
            yield done
        yield next_block.result()
    finally:
        halt.set()
        worker.shutdown(wait=False, cancel_futures=True)  # unfinished outputs are removed without waiting for it


def _reason(error: GeoAEError | str, segment: Segment) -> str:
    """The text of an error, to follow the id of a trace."""
    return str(error).removeprefix(f"{segment.id}: ").removeprefix("it is ").rstrip(".")
