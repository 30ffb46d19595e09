"""Counts of filled gaps and steps in one trace, and the lines that tell of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.records.faults import Faults


@dataclass(frozen=True)
class FaultCounts:
    """Faults in one trace. Counts of parts are added with ``+``."""

    filled: Mapping[float, int] = field(default_factory=dict)
    """Number of samples that fill gaps, for each value."""
    steps: tuple[tuple[int, float], ...] = ()
    """Time (ns since 1970) and height of each step."""
    are_steps_kept: bool = True
    """Whether the steps stay in the signal."""

    def __add__(self, other: "FaultCounts") -> "FaultCounts":
        filled = Counter(dict(self.filled))
        filled.update(dict(other.filled))
        return FaultCounts(filled, self.steps + other.steps, self.are_steps_kept and other.are_steps_kept)

    @property
    def n_filled(self) -> int:
        """Number of samples that fill gaps."""
        return sum(self.filled.values())

    def export(self) -> list[Any]:
        """The counts as plain data, for `FaultCounts.load`."""
        if not (self.filled or self.steps):
            return []
        return [list(map(list, self.filled.items())), list(map(list, self.steps)), self.are_steps_kept]

    @classmethod
    def load(cls, exported: list[Any]) -> "FaultCounts":
        """Counts from what `export` returned."""
        if not exported:
            return cls()
        filled, steps, are_steps_kept = exported
        return cls({value: n for value, n in filled}, tuple((time, height) for time, height in steps), are_steps_kept)

    def notes(self) -> list[str]:
        """A line on the filled gaps, and one on the steps."""
        lines = []
        if self.filled:
            commonest = sorted(self.filled, key=lambda value: -self.filled[value])
            named = ", ".join(f"{value:.10g}" for value in commonest[:3])
            more = f" or {len(commonest) - 3} other values" if len(commonest) > 3 else ""
            count = "1 sample is" if self.n_filled == 1 else f"{self.n_filled} samples are"
            stay = "stays" if self.n_filled == 1 else "stay"
            lines.append(f"{count} taken for filled gaps and {stay} unchanged (value {named}{more})")
        if self.steps:
            time, height = max(self.steps, key=lambda step: abs(step[1]))
            at = np.datetime_as_string(np.datetime64(time, "ns"), unit="ms")
            is_one = len(self.steps) == 1
            largest = f"a step of {height:.4g} at {at}" if is_one else (
                f"{len(self.steps)} steps, the largest of {height:.4g} at {at},"
            )  # fmt: skip
            kept, removed = ("stays", "is") if is_one else ("stay", "are")
            fate = f"{kept} in the signal" if self.are_steps_kept else f"{removed} removed with the high-pass"
            lines.append(f"{largest} {fate}")
        return lines


def count_faults(
    found: Faults, row: int, first: int, x: Array, clock: tuple[int, float]
) -> tuple[FaultCounts, NDArray[np.bool_] | None]:
    """Count the faults in samples of one row; returns also which of them fill gaps, None if there are none.

    Parameters
    ----------
    found
        Faults of a block that holds the samples.
    row, first, x
        The row of the record, the position of the first sample, and the samples.
    clock
        Time of the record's first sample (ns since 1970), and its rate in Hz.
    """
    last, (start_ns, rate_hz) = first + len(x), clock
    steps = tuple(
        (start_ns + round(at / rate_hz * 1e9), height)
        for step_row, at, height in found.steps
        if step_row == row and first <= at < last
    )
    filled = None if found.filled is None else found.filled[row, first - found.start : last - found.start]
    if filled is None or not filled.any():
        return FaultCounts({}, steps, found.are_steps_kept), None
    values, n = np.unique(x[filled], return_counts=True)
    return FaultCounts(dict(zip(values.tolist(), n.tolist(), strict=True)), steps, found.are_steps_kept), filled
