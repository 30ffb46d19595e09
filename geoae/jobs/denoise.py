"""Denoise recordings: any number of files to files, or an ObsPy Stream to a Stream."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae import infer
from geoae.devices import prepare
from geoae.errors import GeoAEError, InputError, OutputError, SamplingRateError
from geoae.jobs.outputs import Files, Memory, Sink, pass_on_or_leave, plan
from geoae.jobs.summary import Ledger, Summary
from geoae.model import Model, load
from geoae.readers import layout, traces
from geoae.readers.layout import Placed, Record, Segment
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


def denoise_files(
    inputs: Sequence[Path],
    out: Path | None = None,
    options: Options = Options(),
    *,
    format_name: str = "MSEED",
    encoding: str | None = None,
    ids: Sequence[str] = (),
    start_time: str | None = None,
    end_time: str | None = None,
    noise_out: Path | None = None,
    plot: Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Denoise files, all of them together: components and neighbouring hours in separate files are seen as one record.

    Parameters
    ----------
    inputs
        Files that ObsPy reads.
    out, noise_out
        File (all inputs), folder (one file each) or None (beside the input; no noise is written).
    options
        Model and how to run it.
    format_name, encoding
        Of the outputs: a format that ObsPy writes, and of miniSEED FLOAT32 (None), FLOAT64, INT32, STEIM1 or STEIM2.
    ids
        Wildcards on NET.STA.LOC.CHA; what does not match is not in the output.
    start_time, end_time
        Anything that ObsPy's UTCDateTime takes.
    plot
        PNG of the first record, before and after.
    overwrite
        Replace outputs that are there.
    dry_run
        Read headers and say what would be done.
    progress
        Called with (samples done, samples in all).

    Raises
    ------
    GeoAEError
        Nothing could be done: no input can be read, an output exists, the model is unknown. Trouble with single traces
        or files is told in the summary instead, and the others are done.
    """
    began = time.perf_counter()
    names = plan(list(inputs), out, noise_out, format_name, encoding, overwrite)
    if plot is not None and plot.exists() and not overwrite:
        raise OutputError(f"{plot} is there already; choose another name, or ask for --overwrite.")
    segments, problems, notes = _scan(inputs, ids, start_time, end_time)
    ledger = Ledger()
    for segment in segments:
        ledger.expect(segment)
    if dry_run:
        return Summary(ledger.conclude(), [*names.signal.values(), *names.noise.values()], problems, notes, "", 0.0)
    model = prepare(load(options.model), options.device, options.threads)
    drawings: list[Drawing] = []
    with Files(names, segments) as sink:
        _clean(segments, model, options, sink, ledger, progress, drawings.append if plot else None)
        rows = ledger.conclude()
        notes += sink.notes
        outputs = sink.outputs
    problems += [
        f"{t.id} {t.problem}; {'passed through unchanged' if t.samples else 'left out'}" for t in rows if t.problem
    ]
    notes += [f"{t.id}: {note}" for t in rows for note in t.notes]
    if not outputs:
        told = "; ".join(p.rpartition("; ")[0] or p for p in problems) or "there are only text channels"
        raise InputError(f"Nothing to denoise: {told}. No output was written.")
    if plot is not None and drawings:
        outputs = [*outputs, draw(drawings[0], plot, model)]
    return Summary(rows, outputs, problems, notes, f"{model.name} {model.digest}", time.perf_counter() - began)


def denoise_stream(stream: Any, options: Options, noise: bool = False) -> Any:
    """Denoise an ObsPy Stream or Trace; returns the same kind, new, and the removed noise too if `noise`.

    Traces that cannot be denoised come back unchanged, with a warning that says why.
    """
    import warnings

    from obspy import Stream, Trace

    source = Stream([stream]) if isinstance(stream, Trace) else stream
    segments = list(traces.segments_of(source).segments)
    model, sink, ledger = prepare(load(options.model), options.device, options.threads), Memory(segments), Ledger()
    for segment in segments:
        ledger.expect(segment)
    _clean(segments, model, options, sink, ledger)
    for trace in ledger.conclude():
        if trace.problem:
            warnings.warn(f"{trace.id} {trace.problem}; it comes back unchanged", stacklevel=3)
    results = []
    for kept in (sink.signal, sink.removed):
        copies = Stream([_rebuild(trace, kept.get(i)) for i, trace in enumerate(source)])
        for copy in copies:
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
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"The figure {path} cannot be written: {error}. The denoised recording is complete."
        ) from error
    return path


def _scan(
    inputs: Sequence[Path], ids: Sequence[str], start_time: str | None, end_time: str | None
) -> tuple[list[Segment], list[str], list[str]]:
    segments: list[Segment] = []
    problems: list[str] = []
    notes: list[str] = []
    for path in inputs:
        try:
            scan = traces.scan(path, ids, start_time, end_time)
        except GeoAEError as error:
            if len(inputs) == 1:
                raise
            problems.append(str(error))
            continue
        segments += scan.segments
        problems += getattr(scan, "losses", ())
        notes += scan.notes
    if not segments:
        chosen = f" that match {', '.join(ids)}" if ids else ""
        during = " in the chosen time" if start_time or end_time else ""
        raise InputError(
            "; ".join(problems) or f"The input holds no samples{chosen}{during}. `geoae info` lists what it holds."
        )
    return segments, problems, notes


def _clean(
    segments: list[Segment],
    model: Model,
    options: Options,
    sink: Sink,
    ledger: Ledger,
    progress: Progress = lambda done, total: None,
    draw: Draw | None = None,
) -> None:
    def keep(source: Path | None) -> bool:
        return any(not t.problem and not t.text for t in ledger.conclude_source(source))

    total, done = sum(s.n for s in segments), 0
    for segment in segments:
        if segment.n == 0 or segment.text:
            pass_on_or_leave(sink, segment)
            if segment.text:
                ledger[segment].notes.append("is a text channel and is passed through")
            sink.done(segment, keep)
    for record in layout.arrange(segments):
        placed = sorted(record.placed, key=lambda p: p.first)
        try:
            for n in _clean_record(record, placed, model, options, sink, ledger, draw):
                done += n
                progress(done, total)
        except OutputError:
            raise
        except (GeoAEError, SamplingRateError) as error:
            for p in placed:
                ledger[p.segment].problem = _reason(error) + pass_on_or_leave(sink, p.segment)
        ledger.lap([p.segment for p in placed])
        for p in placed:
            sink.done(p.segment, keep)


def _clean_record(
    record: Record, placed: list[Placed], model: Model, options: Options, sink: Sink, ledger: Ledger, draw: Draw | None
) -> Iterator[int]:
    """Work through one record block by block; yields samples done."""
    infer.check_rate(record.rate_hz, model, "it")
    slots = infer.component_slots([i.rpartition(".")[2] for i in record.ids])
    read = _remember(partial(traces.read_block, record))
    noise = infer.noise_reader(
        read, record.n, slots, record.rate_hz, model, batch=options.batch_size, above_band=options.above_band
    )
    firsts = [p.first for p in placed]
    longest = max(p.segment.n for p in placed)
    shown: list[tuple[Array, Array]] = []
    for start in range(0, record.n, infer.BLOCK):
        stop = min(start + infer.BLOCK, record.n)
        removed = noise(start, stop)
        x = read(start, stop)
        signal, removed = infer.denoise_block(x, removed, options.dry, sink.dtype, rounded=sink.rounded)
        for p in placed[bisect_left(firsts, start - longest) : bisect_left(firsts, stop)]:
            a, b = max(p.first, start), min(p.first + p.segment.n, stop)
            if a < b:
                part = np.s_[p.row, a - start : b - start]
                sink.put(p.segment, a - p.first, signal[part], removed[part])
                ledger[p.segment].add(x[part], signal[part])
                yield b - a
        if draw is not None and start < 86400 * record.rate_hz:  # a figure shows one day at most
            shown.append((x.astype(np.float32), signal.astype(np.float32)))
    if draw is not None:
        before, after = (np.concatenate(parts, axis=-1) for parts in zip(*shown, strict=True))
        draw(Drawing(record, before, after))


def _remember(read: ReadSpan) -> ReadSpan:
    """Keep the last block: the net reads more than the region it answers for, and the region is read right after."""
    last: list[Any] = [0, 0, None]

    def remembered(start: int, stop: int) -> Array:
        if last[2] is None or start < last[0] or stop > last[1]:
            last[:] = start, stop, read(start, stop)
        block: Array = last[2][..., start - last[0] : stop - last[0]]
        return block

    return remembered


def _reason(error: GeoAEError) -> str:
    return str(error).removeprefix("it ").rstrip(".")


def _rebuild(trace: Any, data: NDArray[Any] | None) -> Any:
    copy = trace.copy()
    if data is not None:
        mask = getattr(trace.data, "mask", None)
        copy.data = data if mask is None else np.ma.array(data, mask=mask)
    return copy
