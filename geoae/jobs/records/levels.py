"""The level of a trace above its drift, before and after denoising.

Drift is far larger than the noise in many recordings, and stays. So levels are about a smooth curve through each
frame of `FRAME_S`. Sums grow block by block, with the same result for any blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

FRAME_S = 20.0
"""Length of a frame. A cubic follows periods that are longer than about this."""
_DEGREE = 3


@dataclass
class _Frame:
    """Samples of a frame that is not complete yet, or that has gaps or steps."""

    covered: int = 0
    pieces: list[tuple[NDArray[np.intp], Array, Array]] = field(default_factory=list)
    """Positions in the frame, samples before, samples after."""
    steps: list[tuple[int, float, float]] = field(default_factory=list)
    """Position of each step, and its height before and after denoising."""


@dataclass
class LevelSums:
    """Sums of squares about the drift of a trace.

    Parameters
    ----------
    frame_n
        Samples in one frame.
    """

    frame_n: int
    n: int = 0
    norms: tuple[float, float] = (0.0, 0.0)
    _frames: dict[tuple[int, int], _Frame] = field(default_factory=dict)

    def add(
        self,
        order: int,
        first: int,
        x: Array,
        signal: Array,
        valid: NDArray[np.bool_],
        steps: Sequence[tuple[int, float, float]] = (),
    ) -> None:
        """Add samples of a segment.

        Parameters
        ----------
        order
            Number of the segment.
        first
            Position of the first sample in the segment.
        x, signal
            Samples before and after denoising.
        valid
            Which of them are samples of the recording: not NaN, and no filled gaps.
        steps
            (first sample after the step, counted from `first`; height before and after denoising) of each step, which
            counts as drift.
        """
        n, last = self.frame_n, first + len(x)
        begin, end = -(-first // n), last // n
        apart = set(range(first // n, min(begin, -(-last // n)))) | set(range(max(end, begin), -(-last // n)))
        apart |= {(first + at) // n for at, *_ in steps}
        if end > begin:
            body = slice(begin * n - first, end * n - first)
            whole = np.array(valid[body].reshape(-1, n).all(axis=1))
            whole[[i - begin for i in apart if begin <= i < end]] = False
            apart |= set((np.flatnonzero(~whole) + begin).tolist())
            if whole.any():
                self._count(x[body].reshape(-1, n)[whole], signal[body].reshape(-1, n)[whole])
        for i in sorted(apart):
            a, b = max(i * n, first), min((i + 1) * n, last)
            keep = np.flatnonzero(valid[a - first : b - first])
            parts = (np.array(part[a - first : b - first][keep]) for part in (x, signal))
            pieces = [(keep + (a - i * n), next(parts), next(parts))] if keep.size else []
            inside = [(first + at - i * n, before, after) for at, before, after in steps if a <= first + at < b]
            self._collect((order, i), _Frame(b - a, pieces, inside))

    def export(self) -> list[Any]:
        """The sums as plain data, for `merge`."""
        frames = [(*key, frame.covered, frame.pieces, frame.steps) for key, frame in self._frames.items()]
        return [self.frame_n, self.n, *self.norms, frames]

    def merge(self, exported: list[Any]) -> None:
        """Add the result of `export` for another part of the trace, from any process."""
        _, n, before, after, frames = exported
        self._add_norms(n, before, after)
        for order, i, *frame in frames:
            self._collect((order, i), _Frame(*frame))

    def total(self) -> tuple[int, float, float]:
        """Number of samples, and norms (root of the sum of squares) before and after denoising."""
        whole = LevelSums(self.frame_n, self.n, self.norms)
        for frame in self._frames.values():
            whole._finish(frame)
        return whole.n, *whole.norms

    def _collect(self, key: tuple[int, int], frame: _Frame) -> None:
        known = self._frames.setdefault(key, _Frame())
        known.covered += frame.covered
        known.pieces += frame.pieces
        known.steps += frame.steps
        if known.covered == self.frame_n:
            self._finish(self._frames.pop(key))

    def _finish(self, frame: _Frame) -> None:
        """Count a frame with gaps or steps, or a part of one."""
        if not frame.pieces:
            return
        pieces = sorted(frame.pieces, key=lambda piece: int(piece[0][0]))
        at, x, signal = (np.concatenate([piece[i] for piece in pieces]) for i in range(3))
        lifts = np.zeros((2, len(at)))
        for step, *heights in frame.steps:
            lifts += np.where(at < step, np.array(heights)[:, None], 0.0)
        self._count((x + lifts[0])[None], (signal + lifts[1])[None], at)

    def _count(self, x: Array, signal: Array, at: NDArray[np.intp] | None = None) -> None:
        """Add frames (frame, sample) of samples at the same positions."""
        n = x.shape[1]
        # a part of a frame follows less of the drift, since a cubic would follow noise
        degree = min(_DEGREE, 4 * n // self.frame_n, n - 1)
        positions = np.arange(n) if at is None else at
        basis = np.linalg.qr(np.vander(2 * positions / self.frame_n - 1, degree + 1, increasing=True))[0]
        self._add_norms(x.size, *(_norm_without(part, basis.T) for part in (x, signal)))

    def _add_norms(self, n: int, before: float, after: float) -> None:
        self.n += n
        self.norms = math.hypot(self.norms[0], before), math.hypot(self.norms[1], after)


def _norm_without(x: Array, basis: Array) -> float:
    """Root of the sum of squares of frames without their parts in an orthonormal basis. einsum has no BLAS threads."""
    x = x - x[:, :1].astype(np.float64)
    # squares have to stay within the range of float64
    scale = max(float(x.max()), -float(x.min()))
    if scale == 0:
        return 0.0
    if not 1e-100 < scale < 1e100:
        x /= scale
    else:
        scale = 1.0
    power = np.einsum("fn,fn->f", x, x)
    rest = power - sum(np.square(np.einsum("fn,n->f", x, function)) for function in basis)
    # what is left of a frame without noise is rounding error
    return scale * math.sqrt(float(np.where(rest > 1e-14 * power, rest, 0.0).sum()))
