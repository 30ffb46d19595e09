"""Where cleaned traces go: files beside the inputs, one file, a folder, or a Stream in memory."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.readers import traces
from geoae.readers.layout import Segment
from geoae.writers.traces import TraceWriter

Array = NDArray[np.floating[Any]]
_INTEGERS = ("INT16", "INT32", "STEIM1", "STEIM2")


class Sink(Protocol):
    """What takes the blocks of a run."""

    dtype: np.dtype[Any]
    rounded: bool

    def put(self, segment: Segment, offset: int, signal: Array, removed: Array) -> None:
        """Take samples [offset, offset + len) of a segment and what was removed from them."""

    def pass_on(self, segment: Segment) -> None:
        """Take a segment unchanged, in place of what was put of it."""

    def done(self, segment: Segment, keep: Callable[[Path | None], bool]) -> None:
        """All of a segment was put; `keep` says whether its file has anything worth writing."""


@dataclass(frozen=True)
class Plan:
    """Names of the outputs: one for each input, or one for all."""

    signal: dict[Path, Path]
    noise: dict[Path, Path]
    format: str = "MSEED"
    encoding: str | None = None
    overwrite: bool = False


def plan(
    inputs: list[Path],
    out: Path | None,
    noise_out: Path | None,
    format_name: str,
    encoding: str | None,
    overwrite: bool,
) -> Plan:
    """Decide the outputs' names and refuse what is there already.

    `out` is a file (all inputs go into it), a folder (one file each), or None (``input.denoised.mseed`` beside the input).

    Raises
    ------
    OutputExistsError
        An output is there, and overwriting was not asked for.
    InputError
        An output would replace an input, or two inputs would write one file.
    """
    suffix = "." + format_name.lower()
    signal = _names(inputs, out, "denoised", suffix)
    noise = _names(inputs, noise_out, "noise", suffix) if noise_out is not None else {}
    named = [*dict.fromkeys(signal.values()), *dict.fromkeys(noise.values())]
    sources = {p.resolve() for p in inputs}
    for path in named:
        if path.resolve() in sources:
            raise InputError(f"{path} is an input; writing there would destroy the recording. Choose another output.")
        if named.count(path) > 1:
            raise InputError(f"{path} would be written twice. Choose other outputs, or a folder for each.")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} is there already; choose another output, or ask for --overwrite.")
        if not path.parent.is_dir():
            raise OutputError(f"The folder {path.parent} for the output is not there; make it first.")
    return Plan(signal, noise, format_name, encoding, overwrite)


class Files:
    """Writes each output as soon as all of its segments are there."""

    def __init__(self, names: Plan, segments: Iterable[Segment]):
        self.names = names
        self.rounded = names.encoding in _INTEGERS
        self.dtype = np.dtype(np.float32 if names.encoding in (None, "FLOAT32") else np.float64)
        self.outputs: list[Path] = []
        self.notes: list[str] = []
        self._stack = ExitStack()
        self._open: dict[Path, TraceWriter] = {}
        self._waiting: dict[Path, int] = {}
        self._headers: dict[int, Any] = {}
        for segment in segments:
            for path in self._paths(segment):
                self._waiting[path] = self._waiting.get(path, 0) + 1

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for writer in self._open.values():  # what is complete was closed; the rest must leave nothing behind
            writer.abort()

    def put(self, segment: Segment, offset: int, signal: Array, removed: Array) -> None:
        """See `Sink`."""
        for path, data in zip(self._paths(segment), (signal, removed), strict=False):
            self._writer(path).put(segment, offset, data, self._header(segment))

    def pass_on(self, segment: Segment) -> None:
        """See `Sink`; miniSEED records go through byte by byte, and nothing was removed from them."""
        for path, role in zip(self._paths(segment), ("signal", "noise"), strict=False):
            raw = traces.raw_bytes(segment) if self.names.format == "MSEED" else None
            if segment.text and (raw is None or role == "noise"):
                continue
            if raw is not None and role == "signal":
                self._writer(path).put_raw(segment, raw)
            elif segment.n:
                x = traces.fetch(segment)
                data = x if role == "signal" else np.zeros(x.shape, np.float32)
                self._writer(path).put(segment, 0, data, self._header(segment))

    def done(self, segment: Segment, keep: Callable[[Path | None], bool]) -> None:
        """See `Sink`."""
        self._headers.pop(id(segment), None)
        for path in self._paths(segment):
            self._waiting[path] -= 1
            if self._waiting[path] or path not in self._open:
                continue
            writer = self._open.pop(path)
            if not any(keep(source) for source, target in self._targets() if target == path):
                writer.abort()
                continue
            writer.close()
            self.outputs.extend(writer.written)
            self.notes.extend(f"{s.id} holds no samples and is left out of {path.name}" for s in writer.skipped)

    def _targets(self) -> Iterable[tuple[Path, Path]]:
        return [*self.names.signal.items(), *self.names.noise.items()]

    def _paths(self, segment: Segment) -> list[Path]:
        assert segment.source is not None
        noise = self.names.noise.get(segment.source)
        return [self.names.signal[segment.source], *([noise] if noise else [])]

    def _header(self, segment: Segment) -> Any:
        if id(segment) not in self._headers:
            self._headers[id(segment)] = traces.headers_of(segment)
        return self._headers[id(segment)]

    def _writer(self, path: Path) -> TraceWriter:
        if path not in self._open:
            n = self.names
            self._open[path] = TraceWriter(path, n.format, overwrite=n.overwrite, encoding=n.encoding)
        return self._open[path]


class Memory:
    """Collects the segments of an ObsPy Stream; `signal` and `removed` hold one array a segment, in its order."""

    def __init__(self, segments: list[Segment]):
        self.dtype, self.rounded = np.dtype(np.float32), False
        self.signal: dict[int, NDArray[Any]] = {}
        self.removed: dict[int, NDArray[Any]] = {}
        self._n = {s.order: s.n for s in segments}

    def put(self, segment: Segment, offset: int, signal: Array, removed: Array) -> None:
        """See `Sink`."""
        for kept, data in ((self.signal, signal), (self.removed, removed)):
            whole = kept.setdefault(segment.order, np.empty(segment.n, data.dtype))
            whole[offset : offset + len(data)] = data

    def pass_on(self, segment: Segment) -> None:
        """See `Sink`."""
        x = traces.fetch(segment)
        self.signal[segment.order], self.removed[segment.order] = x, np.zeros(x.shape, np.float32)

    def done(self, segment: Segment, keep: Callable[[Path | None], bool]) -> None:
        """See `Sink`."""


def pass_on_or_leave(sink: Sink, segment: Segment) -> str:
    """Pass a segment on unchanged; where even that fails, say why."""
    try:
        sink.pass_on(segment)
    except OutputError:
        raise
    except GeoAEError as error:
        return f" and cannot be passed through ({error})"
    return ""


def _names(inputs: list[Path], out: Path | None, word: str, suffix: str) -> dict[Path, Path]:
    if out is None:
        return {p: p.with_name(f"{_stem(p)}.{word}{suffix}") for p in inputs}
    if out.is_dir() or str(out).endswith("/"):
        names = {p: out / f"{_stem(p)}.{word}{suffix}" for p in inputs}
        if len(set(names.values())) < len(names):  # day files of several stations often share a name: keep them apart
            names = {p: out / f"{p.parent.name}.{p.name}.{word}{suffix}" for p in inputs}
        return names
    return dict.fromkeys(inputs, out)


def _stem(path: Path) -> str:
    known = {
        ".mseed",
        ".miniseed",
        ".msd",
        ".sac",
        ".gse2",
        ".gse",
        ".segy",
        ".sgy",
        ".seed",
        ".ms",
        ".slist",
        ".tspair",
    }
    return path.stem if path.suffix.lower() in known else path.name
