"""Sinks for denoised traces: files next to the inputs, one file, a folder, or memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.files.whole import remove_leftovers
from geoae.jobs.options import FileOptions
from geoae.jobs.records.formats import choose_formats
from geoae.jobs.records.names import check_outputs, name_outputs, suffix_of
from geoae.jobs.records.precision import RoundingSums
from geoae.jobs.records.sds import name_in_archive
from geoae.labels.segments import Segment
from geoae.model.denoising import split_block
from geoae.readers.records import traces
from geoae.writers.records.collection import INTEGER_FORMATS
from geoae.writers.records.encodings import choose_format
from geoae.writers.records.traces import TraceWriter, remove_unfinished

AddLoss = Callable[[str], None]
_FLOAT32 = np.dtype(np.float32)
_INTEGERS = ("INT16", "INT32", "STEIM1", "STEIM2")


@dataclass(frozen=True)
class Finished:
    """What became of the segments of an output that is complete."""

    refused: dict[Segment, str] = field(default_factory=dict)
    """Segments that it had to leave out, and why."""
    stored: dict[Segment, Array] = field(default_factory=dict)
    """Signals that differ from those that `Sink.put` returned, since another format took the place of the first."""


class Sink(Protocol):
    """Receives the blocks of a run."""

    def put(self, segment: Segment, offset: int, x: Array, exact: Array, sigma: Array | None = None) -> Array:
        """Store samples [offset, offset + len) of a segment, given before and after denoising, and their sigma.

        Returns the signal as it is stored. Raises InputError for samples that cannot be stored.
        """

    def find_loss(self, segments: list[Segment]) -> str:
        """Why the sink cannot hold the complete segments of a trace, as text; empty if it can."""

    def pass_through(self, segment: Segment, add_loss: AddLoss) -> bool:
        """Store a segment unchanged, instead of the samples that `put` stored; False if the output cannot hold it."""

    def replace(self, segment: Segment, parts: list[Segment]) -> None:
        """Drop the stored samples of a segment, and expect its parts. `finish_segment` is still called for it."""

    def finish_segment(self, segment: Segment, keep: Callable[[Path | None], bool]) -> Finished:
        """Called when a segment is complete; `keep` tells of a source whether the output holds any trace."""


@dataclass(frozen=True)
class OutputPlan:
    """Names and format of the outputs: one file for each input, or one for all."""

    signal: dict[Path, Path]
    noise: dict[Path, Path]
    format: str = "MSEED"
    encoding: str | None = None
    overwrite: bool = False
    noise_format: str = "MSEED"
    is_default: bool = False
    """Whether the formats are those of the inputs, so that miniSEED takes their place where they cannot hold it."""
    notes: tuple[str, ...] = ()
    sigma: dict[Path, Path] = field(default_factory=dict)
    sigma_format: str = "MSEED"

    @property
    def targets(self) -> list[Path]:
        """All files that will be written."""
        return [target for names in (self.signal, self.noise, self.sigma) for target in dict.fromkeys(names.values())]


def plan_outputs(inputs: list[Path], out: str | Path | None, files: FileOptions, overwrite: bool = False) -> OutputPlan:
    """Choose the names of the outputs, and check that they can be written, before anything is computed.

    `out` is a file (all inputs go into it), a folder (one file each; one that ends in a slash must be there), or None
    (``input.denoised.mseed`` beside the input). For the formats see `choose_formats`.

    Raises
    ------
    OutputExistsError
        An output exists and `overwrite` is False.
    OutputError
        A folder does not exist or is not writable.
    InputError
        An output would replace an input, two outputs have the same name, or the format or encoding is unknown.
    """
    formats = choose_formats(inputs, out, files)
    if files.sds:
        if {formats.signal, formats.noise, formats.sigma} != {"MSEED"}:
            raise InputError(f"An SDS archive holds miniSEED, not {formats.signal}. Leave --sds or --format out.")
        signal = name_in_archive(inputs, out or "")
        noise = name_in_archive(inputs, files.noise_out) if files.noise_out else {}
        sigma = name_in_archive(inputs, files.sigma_out) if files.sigma_out else {}
    else:
        signal = name_outputs(inputs, out, "denoised", suffix_of(formats.signal))
        noise = name_outputs(inputs, files.noise_out, "noise", suffix_of(formats.noise)) if files.noise_out else {}
        sigma = name_outputs(inputs, files.sigma_out, "sigma", suffix_of(formats.sigma)) if files.sigma_out else {}
    names = OutputPlan(
        signal, noise, formats.signal, files.encoding, overwrite, formats.noise, formats.is_default, formats.notes,
        sigma, formats.sigma,
    )  # fmt: skip
    if files.plot is not None:
        from geoae.plot.canvas import check_figure_path

        check_figure_path(files.plot)
    check_outputs([*names.targets, *([files.plot] if files.plot else [])], inputs, overwrite, make_folders=files.sds)
    return names


class FileSink:
    """Writes each output file as soon as all of its segments are complete."""

    def __init__(self, names: OutputPlan, segments: Iterable[Segment]):
        self.names = names
        formats = (names.format, names.noise_format)
        self._encodings = [names.encoding if name == "MSEED" else None for name in formats]
        self._rounded, self._noise_rounded = (
            encoding in _INTEGERS or name in INTEGER_FORMATS
            for name, encoding in zip(formats, self._encodings, strict=True)
        )
        # miniSEED may take the place of a format of integers, and then holds what was not rounded
        self._rounded_late = names.is_default and names.format in INTEGER_FORMATS
        single = self._encodings[0] in (None, "FLOAT32") and not self._rounded
        self._dtype = np.dtype(np.float32 if single else np.float64)
        self.outputs: list[Path] = []
        self.unwritten: list[Path] = []
        """Outputs that were not written because they would hold nothing."""
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._open: dict[Path, TraceWriter] = {}
        self._waiting: dict[Path, int] = {}
        self._headers: dict[Segment, Any] = {}
        self._rounding: dict[tuple[Path | None, str], RoundingSums] = {}
        self._formats: dict[str, None] = {}
        for segment in segments:
            for path in self._paths(segment).values():
                self._waiting[path] = self._waiting.get(path, 0) + 1

    @property
    def formats(self) -> str:
        """Names of the formats of the written files."""
        return " and ".join(self._formats)

    def __enter__(self) -> "FileSink":
        remove_leftovers(self.names.targets)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for writer in self._open.values():  # complete files were closed; the others must leave nothing behind
            writer.abort()
        if kind is not None:
            remove_unfinished(self.names.targets)

    def put(self, segment: Segment, offset: int, x: Array, exact: Array, sigma: Array | None = None) -> Array:
        """See `Sink`."""
        check_range(x, self._dtype, self._advice)
        with np.errstate(over="ignore", invalid="ignore"):
            signal, removed = stored = split_block(x, exact, self._dtype, self._rounded)
            if self._rounded_late:
                stored = split_block(x, exact, self._dtype)
        paths = self._paths(segment)
        data = dict(zip(("signal", "noise"), stored, strict=True))
        if sigma is not None:
            data["sigma"] = sigma.astype(np.float32)
        for role, path in paths.items():
            self._writer(path).put(segment, offset, data[role], self._header(segment))
        rounded_noise = self._noise_rounded and "noise" in paths
        if self._rounded or rounded_noise or self._dtype.itemsize < x.dtype.itemsize:
            sums = self._rounding.setdefault((segment.source, segment.id), RoundingSums(self._rounded))
            sums.add(x, exact, signal, removed if rounded_noise else None)
        return signal

    def find_loss(self, segments: list[Segment]) -> str:
        """See `Sink`."""
        sums = self._rounding.pop((segments[0].source, segments[0].id), None)
        loss = sums.find_loss() if sums else ""
        if loss and self._rounded_late:
            for path in {path for segment in segments for path in self._paths(segment).values()}:
                self._writer(path).refuse_format(f"{segments[0].id}: {loss}")
            return ""
        kind = self._encodings[0] or ("FLOAT32" if self.names.format == "MSEED" else self.names.format)
        return f"{kind} cannot hold it: {loss}; {self._advice}" if loss else ""

    @property
    def _advice(self) -> str:
        if self.names.format != "MSEED":
            return "choose format MSEED" + ("" if self._rounded else " with encoding FLOAT64")
        return f"choose encoding {'FLOAT32' if self._rounded else 'FLOAT64'}"

    def pass_through(self, segment: Segment, add_loss: AddLoss) -> bool:
        """See `Sink`. miniSEED records are copied byte by byte; their noise is zero, and their sigma NaN."""
        held = False
        for role, path in self._paths(segment).items():
            raw = traces.read_raw_records(segment) if role == "signal" and self.names.format == "MSEED" else None
            if raw is not None:
                self._writer(path).put_raw(segment, raw)
                held = True
            elif segment.n:
                x = traces.fetch_samples(segment, on_warning=add_loss)
                if role == "signal":
                    self._writer(path).put_copy(segment, x, self._header(segment))
                else:
                    data = np.full(x.shape, 0 if role == "noise" else np.nan, np.float32)
                    self._writer(path).put(segment, 0, data, self._header(segment))
                held = True
        return held

    def replace(self, segment: Segment, parts: list[Segment]) -> None:
        """See `Sink`."""
        for path in self._paths(segment).values():
            if path in self._open:
                self._open[path].drop(segment)
            self._waiting[path] += len(parts)

    def finish_segment(self, segment: Segment, keep: Callable[[Path | None], bool]) -> Finished:
        """See `Sink`."""
        finished = Finished()
        self._headers.pop(segment, None)
        for role, path in self._paths(segment).items():
            self._waiting[path] -= 1
            if self._waiting[path]:
                continue
            if path not in self._open:  # it can hold nothing of its sources
                self.unwritten.append(path)
                continue
            writer = self._open.pop(path)
            if not any(keep(source) for source, target in self._targets() if target == path):
                writer.abort()
                self.unwritten.append(path)
                continue
            try:
                writer.close()
            except (InputError, OutputExistsError) as error:  # the other outputs can still be written
                if writer.refused and role == "signal":
                    finished.refused.update(_advise(writer.refused))  # each trace tells why
                else:
                    self.problems.append(f"{path}: {error}" if isinstance(error, InputError) else str(error))
                continue
            self.outputs.extend(writer.written)
            self._formats[writer.format] = None
            self.notes.extend(f"{s.id} holds no samples and is left out of {path.name}" for s in writer.skipped)
            self.notes.extend(note for note in writer.notes if note not in self.notes)
            if role != "signal":
                self.problems += [
                    f"{s.id}: its {role} is left out of {path.name}: {why}" for s, why in writer.refused.items()
                ]
            else:
                finished.refused.update(_advise(writer.refused))
                if self._rounded_late and writer.format == "MSEED":
                    finished.stored.update(writer.replaced)
        return finished

    def _targets(self) -> Iterable[tuple[Path, Path]]:
        return [*self.names.signal.items(), *self.names.noise.items(), *self.names.sigma.items()]

    def _paths(self, segment: Segment) -> dict[str, Path]:
        """Role of each output of a segment and its path, the signal first."""
        assert segment.source is not None
        names = {"signal": self.names.signal, "noise": self.names.noise, "sigma": self.names.sigma}
        return {role: targets[segment.source] for role, targets in names.items() if segment.source in targets}

    def _header(self, segment: Segment) -> Any:
        if segment not in self._headers:
            self._headers[segment] = traces.read_header(segment)
        return self._headers[segment]

    def _writer(self, path: Path) -> TraceWriter:
        if path not in self._open:
            n = self.names
            name, encoding = n.format, self._encodings[0]
            if path in n.noise.values():
                name, encoding = n.noise_format, self._encodings[1]
            elif path in n.sigma.values():
                name, encoding = n.sigma_format, None
            made = path.name.removesuffix(suffix_of(name))  # a name with this ending was made by `name_outputs`
            otherwise = path.name if made == path.name else f"{made}.mseed"
            self._open[path] = TraceWriter(
                path, name, overwrite=n.overwrite, encoding=encoding, sources=n.signal.keys(),
                otherwise=otherwise if n.is_default and name == n.format else None,
            )  # fmt: skip
        return self._open[path]


def _advise(refused: Mapping[Segment, str]) -> dict[Segment, str]:
    return {segment: f"{why}; choose format {choose_format(segment.id)}" for segment, why in refused.items()}


class MemorySink:
    """Collects the segments of an ObsPy Stream.

    `signal`, `removed` and `sigma` map the order of a segment to its samples. The first two are float32, or float64
    where float32 would blur a trace, such as a small signal on a large offset.
    """

    def __init__(self) -> None:
        self.signal: dict[int, NDArray[Any]] = {}
        self.removed: dict[int, NDArray[Any]] = {}
        self.sigma: dict[int, NDArray[Any]] = {}
        self._rounding: dict[int, RoundingSums] = {}

    def put(self, segment: Segment, offset: int, x: Array, exact: Array, sigma: Array | None = None) -> Array:
        """See `Sink`."""
        check_range(x, _FLOAT32, "divide it by a constant first")
        # float32 is given back as float32; of other types, find_loss decides
        both = (exact, split_block(x, exact, x.dtype)[1]) if x.dtype.itemsize > 4 else split_block(x, exact, _FLOAT32)
        parts = [(self.signal, both[0]), (self.removed, both[1])]
        parts += [] if sigma is None else [(self.sigma, sigma.astype(np.float32))]
        for kept, data in parts:
            whole = kept.setdefault(segment.order, np.empty(segment.n, data.dtype))
            whole[offset : offset + len(data)] = data
        signal = split_block(x, exact, _FLOAT32)[0]
        if x.dtype.itemsize > _FLOAT32.itemsize:
            self._rounding.setdefault(segment.order, RoundingSums(rounded=False)).add(x, exact, signal)
        return signal

    def find_loss(self, segments: list[Segment]) -> str:
        """See `Sink`. Segments are rounded to float32 where that does no harm."""
        for order in (segment.order for segment in segments):
            sums = self._rounding.pop(order, None)
            if sums is not None and not sums.find_loss():
                exact, removed = self.signal[order], self.removed[order]
                # a sample that is not finite has a removed part of zero
                x = exact + removed
                self.signal[order], self.removed[order] = split_block(x, exact, _FLOAT32)
        return ""

    def pass_through(self, segment: Segment, add_loss: AddLoss) -> bool:
        """See `Sink`. The caller keeps a trace without an entry in `signal` as it was."""
        self.signal.pop(segment.order, None)
        self.removed[segment.order] = np.zeros(segment.n, np.float32)
        self.sigma[segment.order] = np.full(segment.n, np.nan, np.float32)
        return True

    def replace(self, segment: Segment, parts: list[Segment]) -> None:
        """See `Sink`. Samples in memory need no decoding, so nothing is replaced."""

    def finish_segment(self, segment: Segment, keep: Callable[[Path | None], bool]) -> Finished:
        """See `Sink`."""
        return Finished()


def pass_through_or_leave_out(sink: Sink, segment: Segment, add_loss: AddLoss) -> str:
    """Pass a segment through unchanged; if that fails, leave it out and return the reason."""
    try:
        return "" if sink.pass_through(segment, add_loss) else "the output format cannot hold it"
    except OutputError:
        raise
    except (GeoAEError, OSError) as error:
        sink.replace(segment, [])
        return f"it cannot be passed through: {str(error).removeprefix(f'{segment.id}: ').rstrip('.')}"


def check_range(x: Array, dtype: np.dtype[Any], advice: str) -> None:
    """Raise InputError, which ends with `advice`, if float64 samples lie outside the range of a float32 output."""
    if dtype.itemsize >= x.dtype.itemsize:
        return
    finite = np.isfinite(x)
    peak = float(np.abs(x).max(initial=0, where=finite))
    limits = np.finfo(dtype)
    if peak and not float(limits.tiny) <= peak <= float(limits.max):
        raise InputError(f"values of {peak:.3g}, beyond the range of float32; {advice}")
