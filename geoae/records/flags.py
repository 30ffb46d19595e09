"""Flags of the windows of a trace, and the lines that tell of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.labels.segments import PlacedSegment
from geoae.records.judge import FLAGS, NEAR, TRANSIENT, UNLIKE, Flag

_NAMED = 3  # spans of time that a line names
_TEXTS = {
    TRANSIENT: "what was taken for noise holds a transient that the noise of the record does not explain",
    UNLIKE: "the record is unlike the training data, with a transient of other periods",
    NEAR: "the signal is near the noise",
}


FormatTime = Callable[[int], str]
"""Time in ns -> text."""


def format_clock(ns: int) -> str:
    """A time in ns since 1970 as text."""
    return str(np.datetime_as_string(np.datetime64(ns, "ns"), unit="s"))


def format_seconds(ns: int) -> str:
    """A time in ns since the first sample as text."""
    return f"{ns / 1e9:.4g} s"


@dataclass(frozen=True)
class FlagCounts:
    """Flagged windows of one trace. Those of parts are joined with ``+``; a window of two parts counts once."""

    windows: frozenset[tuple[str, int, int]] = frozenset()
    """(kind, start, end) of windows or parts of them; times in ns since 1970."""

    def __add__(self, other: "FlagCounts") -> "FlagCounts":
        return FlagCounts(self.windows | other.windows)

    def find_spans(self, kind: str) -> list[tuple[int, int]]:
        """Spans of time (start, end) of the windows with a flag; those that touch are one."""
        spans: list[tuple[int, int]] = []
        for start, stop in sorted((start, stop) for flag, start, stop in self.windows if flag == kind):
            if spans and start <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], stop)
            else:
                spans.append((start, stop))
        return spans

    def export(self) -> list[Any]:
        """The flags as plain data, for `FlagCounts.load`."""
        return sorted(map(list, self.windows))

    @classmethod
    def load(cls, exported: Iterable[Sequence[Any]]) -> "FlagCounts":
        """Flags from what `export` returned."""
        return cls(frozenset((kind, start, stop) for kind, start, stop in exported))

    def describe(self, format_time: FormatTime = format_clock) -> list[str]:
        """A line for each flag that there is, with its spans of time: "transient: START to END, START to END"."""
        found = {kind: self.find_spans(kind) for kind in FLAGS}
        return [
            f"{kind}: {', '.join(_format_span(a, b, format_time) for a, b in spans)}"
            for kind, spans in found.items()
            if spans
        ]


def count_flags(flags: Iterable[Flag], placed: PlacedSegment, start_ns: int) -> FlagCounts:
    """Flags of one segment.

    Parameters
    ----------
    flags
        Flags of windows of a record.
    placed
        The segment in the record.
    start_ns
        Time of the record's first sample, ns since 1970-01-01.
    """
    first, last, rate_hz = placed.first, placed.first + placed.segment.n, placed.segment.rate_hz
    return FlagCounts(
        frozenset(
            (flag.kind, start_ns + round(flag.start / rate_hz * 1e9), start_ns + round(flag.stop / rate_hz * 1e9))
            for flag in flags
            if flag.row == placed.row and flag.start < last and flag.stop > first
        )
    )


def describe_flags(
    counts: Iterable[tuple[str, FlagCounts]],
    keep_doubtful: bool,
    kinds: Sequence[str] = FLAGS,
    format_time: FormatTime = format_clock,
) -> list[str]:
    """A line for each flag of a run that names its windows, from pairs of id and flags."""
    counts = list(counts)
    lines = []
    for kind in kinds:
        spans: dict[tuple[int, int], list[str]] = {}
        for id_, flags in counts:
            for span in flags.find_spans(kind):
                spans.setdefault(span, []).append(id_)
        if not spans:
            continue
        named = [f"{_join_ids(ids)} {_format_span(*span, format_time)}" for span, ids in sorted(spans.items())[:_NAMED]]
        more = f" and {len(spans) - _NAMED} more spans" if len(spans) > _NAMED else ""
        lines.append(f"{_TEXTS[kind]}: {', '.join(named)}{more}{_ENDS[kind, keep_doubtful]}")
    return lines


_ENDS = {
    (TRANSIENT, True): ". The transient stays in the signal there; --no-keep-doubtful removes it",
    (TRANSIENT, False): ". It was removed; --keep-doubtful leaves it in the signal",
    **{(kind, keep): "" for kind in (UNLIKE, NEAR) for keep in (True, False)},
}


def _join_ids(ids: Sequence[str]) -> str:
    """Ids of one sensor in short: NET.STA.LOC.HHE, HHN, HHZ."""
    sensor = ids[0].rpartition(".")[0]
    rest = [id_.rpartition(".")[2] if id_.rpartition(".")[0] == sensor else id_ for id_ in ids[1:3]]
    return ", ".join([ids[0], *rest]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _format_span(start_ns: int, stop_ns: int, format_time: FormatTime) -> str:
    start, stop = format_time(start_ns), format_time(stop_ns)
    is_same_day = "T" in start and start[:10] == stop[:10]
    return f"{start} to {stop[11:] if is_same_day else stop}"
