"""Work through the records of a run block by block, whatever single traces do."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae import infer
from geoae.errors import DamagedFileError, GeoAEError, InputError, OutputError
from geoae.jobs.outputs import Sink, pass_on_or_leave
from geoae.jobs.summary import Ledger
from geoae.model import Model
from geoae.readers import layout, traces
from geoae.readers.layout import Record, Segment
from geoae.resample import ReadSpan

Array = NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]
Draw = Callable[["Drawing"], None]


@dataclass(frozen=True)
class Options:
    """How to denoise; the same words as on the command line."""

    model: str | Path | Model | None = None
    """Name of a shipped model, folder of a trained one, or a loaded Model; None: the default."""
    device: str = "auto"
    batch_size: int = infer.BATCH
    """Windows a call of the net; changes nothing but speed."""
    threads: int | None = None
    """Of the CPU; None: as many as this process may use, at most 8."""
    dry: float = 0.0
    """Fraction of the noise that is kept."""
    above_band: str = "pass"
    """What lies above the model's band: "pass" or "remove"."""

    def __post_init__(self) -> None:
        if not 0 <= self.dry <= 1:
            raise InputError(f"dry is {self.dry:g}; it is a fraction of the original, from 0 to 1.")
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}; it must be at least 1.")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads is {self.threads}; it must be at least 1.")
        if self.above_band not in infer.ABOVE_BAND:
            raise InputError(f"above_band is {self.above_band!r}; choose one of {', '.join(infer.ABOVE_BAND)}.")


@dataclass
class Drawing:
    """The part of a record that a figure shows."""

    record: Record
    before: Array
    after: Array


def clean(
    segments: list[Segment],
    model: Model,
    options: Options,
    sink: Sink,
    ledger: Ledger,
    progress: Progress = lambda done, total: None,
    draw: Draw | None = None,
) -> None:
    """Denoise segments into a sink, and tell the ledger.

    Of what cannot be decoded the rest is denoised; what cannot be denoised is passed on unchanged.

    Raises
    ------
    OutputError
        The sink cannot be written to.
    """

    def finish(segment: Segment) -> None:
        sink.done(segment, lambda source: any(t.denoised for t in ledger.conclude_source(source)))

    total, done = sum(s.n for s in segments), 0
    for segment in (s for s in segments if s.n == 0 or s.text):
        left_out = pass_on_or_leave(sink, segment, ledger.tell)
        if segment.text:
            fate = f"left out, since {left_out}" if left_out else "passed through"
            ledger[segment].notes.append(f"text channel, {fate}")
        finish(segment)
    waiting = deque(layout.arrange(segments))
    while waiting:
        record = waiting.popleft()
        own = [p.segment for p in record.placed]
        remembered = ledger.remember(own)
        try:
            for n in _clean_record(record, model, options, sink, ledger, draw):
                done += n
                progress(min(done, total), total)
        except OutputError:
            raise
        except GeoAEError as error:
            ledger.restore(remembered)
            sound = _sound(own, sink, ledger, error) if isinstance(error, DamagedFileError) else own
            if sound == own:
                for segment in own:
                    _give_up(segment, error, sink, ledger)
            else:
                waiting.extendleft(reversed(layout.arrange(sound)))
                kept = set(map(id, sound))
                own = [s for s in own if id(s) not in kept]
        ledger.lap(own)
        for segment in own:
            finish(segment)


def _sound(segments: list[Segment], sink: Sink, ledger: Ledger, error: GeoAEError) -> list[Segment]:
    """Replace the segments that cannot be decoded by the parts that can."""
    found: list[Segment] = []
    for segment in segments:
        parts = traces.sound_parts(segment)
        found += parts
        if parts == [segment]:
            continue
        lost = segment.n - sum(part.n for part in parts)
        ledger.tell(f"{segment.id}: {lost} samples are lost: {_reason(error, segment)}")
        sink.replace(segment, parts)
        if parts:
            ledger.replace(segment, parts)
        else:
            ledger.fail(segment, "cannot be decoded", left_out=True)
    return found


def _give_up(segment: Segment, error: GeoAEError, sink: Sink, ledger: Ledger) -> None:
    left_out = pass_on_or_leave(sink, segment, ledger.tell)
    reason = _reason(error, segment)
    ledger.fail(segment, f"{reason}, and {left_out}" if left_out else reason, left_out=bool(left_out))


def spans(record: Record, model: Model, options: Options, ledger: Ledger) -> tuple[ReadSpan, ReadSpan]:
    """What a record holds, and what the model takes away from it, as functions of (start, stop)."""
    slots = infer.component_slots([i.rpartition(".")[2] for i in record.ids])
    read = _remember(partial(traces.read_block, record, tell=ledger.tell))
    noise = infer.noise_reader(
        read, record.n, slots, record.rate_hz, model, batch=options.batch_size, above_band=options.above_band
    )
    return read, noise


def _clean_record(
    record: Record, model: Model, options: Options, sink: Sink, ledger: Ledger, draw: Draw | None
) -> Iterator[int]:
    """Work through one record block by block; yields samples done. A segment that the sink cannot hold is passed on."""
    infer.check_rate(record.rate_hz, model, "it")
    read, noise = spans(record, model, options, ledger)
    placed = sorted(record.placed, key=lambda p: p.first)
    firsts = [p.first for p in placed]
    longest = max(p.segment.n for p in placed)
    refused: dict[int, GeoAEError] = {}
    shown: list[tuple[Array, Array]] = []
    for start, stop, x, removed in _ahead(read, noise, record.n):
        with np.errstate(over="ignore", invalid="ignore"):  # what a dtype cannot hold is refused below
            signal, removed = infer.denoise_block(x, removed, options.dry, sink.dtype, rounded=sink.rounded)
        for p in placed[bisect_left(firsts, start - longest) : bisect_left(firsts, stop)]:
            a, b = max(p.first, start), min(p.first + p.segment.n, stop)
            if a >= b:
                continue
            yield b - a
            if id(p) in refused:
                continue
            part = np.s_[p.row, a - start : b - start]
            try:
                _check_range(x[part], sink.dtype)
                sink.put(p.segment, a - p.first, signal[part], removed[part])
            except OutputError:
                raise
            except GeoAEError as error:
                refused[id(p)] = error
            else:
                ledger[p.segment].add(x[part], signal[part])
        if draw is not None and start < 86400 * record.rate_hz:  # a figure shows one day at most
            limit = np.finfo(np.float32).max
            shown.append((x.clip(-limit, limit).astype(np.float32), signal.clip(-limit, limit).astype(np.float32)))
    for p in placed:
        if id(p) in refused:
            _give_up(p.segment, refused[id(p)], sink, ledger)
    if draw is not None:
        before, after = (np.concatenate(parts, axis=-1) for parts in zip(*shown, strict=True))
        draw(Drawing(record, before, after))


def _ahead(read: ReadSpan, noise: ReadSpan, n: int) -> Iterator[tuple[int, int, Array, Array]]:
    """Blocks of samples and noise, (start, stop, x, removed); the next is computed while the last is written."""

    def work(start: int) -> tuple[int, int, Array, Array]:
        stop = min(start + infer.BLOCK, n)
        removed = noise(start, stop)  # reads more than the block, and `read` remembers it
        return start, stop, read(start, stop), removed

    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(work, 0)
        for start in range(infer.BLOCK, n, infer.BLOCK):
            done = coming.result()
            coming = worker.submit(work, start)
            yield done
        yield coming.result()


def _check_range(x: Array, dtype: np.dtype[Any]) -> None:
    """Raise InputError where float64 samples do not fit into a float32 output."""
    if dtype.itemsize >= x.dtype.itemsize:
        return
    finite = np.isfinite(x)
    peak = float(np.abs(x).max(initial=0, where=finite))
    limits = np.finfo(dtype)
    if peak and not float(limits.tiny) <= peak <= float(limits.max):
        raise InputError(f"values of {peak:.3g}, beyond the range of float32; ask for --encoding FLOAT64")


def _remember(read: ReadSpan) -> ReadSpan:
    """Keep the last block: the net reads more than the region it answers for, and the region is read right after."""
    last: list[Any] = [0, 0, None]

    def remembered(start: int, stop: int) -> Array:
        if last[2] is None or start < last[0] or stop > last[1]:
            last[:] = start, stop, read(start, stop)
        block: Array = last[2][..., start - last[0] : stop - last[0]]
        return block

    return remembered


def _reason(error: GeoAEError, segment: Segment) -> str:
    """What an error says, to follow the id of a trace."""
    return str(error).removeprefix(f"{segment.id}: ").removeprefix("it is ").rstrip(".")
