"""Travel times of radar between two boreholes, along straight rays or by the eikonal equation.

After Lopez-Alvis et al. (2021), doi:10.1029/2020JB021228 and Laloy et al. (2017), doi:10.1016/j.advwatres.2017.09.029:
models of 129 x 65 cells of 0.1 m, channels (x near 1) in a background (x near 0), v = 0.06 + 0.02 (1 - x) m/ns, 25
sources in the left borehole, 25 receivers in the right one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
SHAPE = (129, 65)
CELL_M = 0.1
SIGMA_NS = 0.25
DEPTHS_M = 0.45 + 0.5 * np.arange(25)
"""Depths of sources and receivers, in the middle of every fifth cell."""
MASKED = ((1135, 1658), (1502, 1958), (582, 503))
"""First rows and columns of the paper's truths in the training image."""


def velocity(x: Array) -> Array:
    """Velocity in m/ns of facies x, from 0 (background) to 1 (channel)."""
    return 0.06 + 0.02 * (1 - x)


def rays(shape: tuple[int, int] = SHAPE, cell_m: float = CELL_M, depths_m: Array = DEPTHS_M) -> sparse.csr_array:
    """Length in m (source * receiver, cells) of each straight ray in each cell, from the left edge to the right."""
    n_rows, n_columns = shape
    width = n_columns * cell_m
    rows, columns, lengths = [], [], []
    for i, (start, end) in enumerate((s, r) for s in depths_m for r in depths_m):
        slope = (end - start) / width
        # where the ray crosses the edges of cells, as a share of its length
        across = np.arange(n_columns + 1) / n_columns
        down = (np.arange(n_rows + 1) * cell_m - start) / (end - start) if slope else np.empty(0)
        crossings = np.unique(np.concatenate([across, down[(down > 0) & (down < 1)]]))
        middle = (crossings[1:] + crossings[:-1]) / 2
        column = np.minimum((middle * n_columns).astype(int), n_columns - 1)
        row = np.clip(((start + middle * (end - start)) / cell_m).astype(int), 0, n_rows - 1)
        rows.append(np.full(len(middle), i))
        columns.append(row * n_columns + column)
        lengths.append(np.diff(crossings) * np.hypot(width, end - start))
    size = (len(depths_m) ** 2, n_rows * n_columns)
    return sparse.csr_array((np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))), shape=size)


class StraightRays:
    """Travel times in ns (n, data) of facies models (n, 129, 65) along straight rays, with their derivative."""

    batched = cheap = True

    def __init__(self) -> None:
        self.lengths = rays()

    def __call__(self, x: Array) -> Array:
        """Compute the times (n, data) of models (n, 129, 65)."""
        return (self.lengths @ (1 / velocity(x)).reshape(len(x), -1).T).T

    def jacobian(self, x: Array) -> sparse.csr_array:
        """Compute the derivative (data, cells) at one model."""
        return self.lengths @ sparse.diags_array((0.02 / velocity(x) ** 2).ravel())

    def adjoint(self, x: Array, weights: Array) -> Array:
        """Compute the transposed derivative at one model times weights (data,)."""
        return (self.lengths.T @ weights).reshape(x.shape) * 0.02 / velocity(x) ** 2


class Eikonal:
    """First-arrival times in ns (source, receiver) of a facies model, with their derivative; needs eikonalfm."""

    def __init__(self, depths_m: Array = DEPTHS_M, cell_m: float = CELL_M):
        self.cell_m, self.rows = cell_m, np.rint(depths_m / cell_m - 0.5).astype(int)

    def __call__(self, x: Array) -> Array:
        """Compute the times (source, receiver) of one model (rows, columns)."""
        return self.fields(x)[:, self.rows, -1]

    def fields(self, x: Array) -> Array:
        """Compute the times (source, rows, columns) in all cells."""
        import eikonalfm

        v, cells = velocity(x), (self.cell_m, self.cell_m)
        times = []
        for row in self.rows:
            source = (int(row), 0)
            factor = eikonalfm.factored_fast_marching(v, source, cells, 2)
            times.append(factor * eikonalfm.distance(x.shape, cells, source, indexing="ij"))
        return np.array(times)

    def jacobian(self, x: Array) -> sparse.csr_array:
        """Compute the derivative (source * receiver, cells), the length of each ray in each cell (Fermat's principle).

        Rays are traced from the receivers down the gradient of the times of each source, in steps of half a cell.
        """
        times, step, n = self.fields(x), 0.5, len(self.rows)
        slope = np.stack(np.gradient(times, axis=(1, 2)), axis=-1)
        last = np.array(x.shape) - 1.0
        source = np.stack([self.rows, np.zeros(n)], 1).repeat(n, 0)
        at = np.stack([np.tile(self.rows, n), np.full(n * n, last[1])], 1)
        source_number, active = np.arange(n).repeat(n), np.ones(n * n, bool)
        rays, cells, lengths = [], [], []

        def add_lengths(numbers: NDArray[np.intp], points: Array, length: Array) -> None:
            nearest = np.rint(points).astype(int)
            rays.append(numbers)
            cells.append(nearest[:, 0] * x.shape[1] + nearest[:, 1])
            lengths.append(length)

        for _ in range(int(8 * last.sum())):
            rows = np.flatnonzero(active)
            if not len(rows):
                break
            down = _interpolate(slope, source_number[rows], at[rows])
            moved = np.clip(at[rows] - step * down / np.linalg.norm(down, axis=1, keepdims=True), 0, last)
            add_lengths(rows, (at[rows] + moved) / 2, np.linalg.norm(moved - at[rows], axis=1))
            at[rows] = moved
            active[rows] = np.linalg.norm(moved - source[rows], axis=1) > 2
        # near the source the gradient turns too fast for the grid, and the ray is straight
        for share in (0.125, 0.375, 0.625, 0.875):
            length = np.linalg.norm(at - source, axis=1) / 4
            add_lengths(np.arange(n * n), at + share * (source - at), length)
        size = (n * n, x.size)
        matrix = sparse.coo_array((np.concatenate(lengths), (np.concatenate(rays), np.concatenate(cells))), shape=size)
        return (matrix.tocsr() * self.cell_m) @ sparse.diags_array((0.02 / velocity(x) ** 2).ravel())


def _interpolate(fields: Array, number: NDArray[np.intp], at: Array) -> Array:
    """Interpolate fields (field, rows, columns, 2) bilinearly at points (n, 2), each of the field with its number."""
    low = np.minimum(at.astype(int), np.array(fields.shape[1:3]) - 2)
    (r, c), (a, b) = low.T, (at - low).T[..., None]
    above = (1 - b) * fields[number, r, c] + b * fields[number, r, c + 1]
    below = (1 - b) * fields[number, r + 1, c] + b * fields[number, r + 1, c + 1]
    return (1 - a) * above + a * below


def cut(image: Array, n: int, seed: int, keep_out: tuple[tuple[int, int], ...] = MASKED) -> Array:
    """Cut pieces (n, 129, 65) out of the training image at random; none overlaps a piece that starts in `keep_out`."""
    rng = np.random.default_rng(seed)
    pieces = np.empty((n, *SHAPE))
    done = 0
    while done < n:
        r, c = (int(rng.integers(0, size - side + 1)) for size, side in zip(image.shape, SHAPE, strict=True))
        if any(abs(r - a) < SHAPE[0] and abs(c - b) < SHAPE[1] for a, b in keep_out):
            continue
        pieces[done] = image[r : r + SHAPE[0], c : c + SHAPE[1]]
        done += 1
    return pieces
