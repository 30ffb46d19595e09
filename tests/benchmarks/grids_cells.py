"""Clean fields, noise and clouds: the cells of the benchmark of gridded denoisers, defined with numpy alone.

A cell is a variable, a kind of noise, a level and whether there are clouds. Everything is drawn anew for each slice,
from a seed that depends on variable, kind, level and slice; a cell with clouds has the noise of the cell without. Rows
are latitudes, columns longitudes, which are periodic; distances count in grid steps. With x a clean slice and
s = level * std(x), the rms of what is added is s for every kind (in expectation for speckle):

white     s g, g Gaussian and independent
red       s r / rms(r), r Gaussian with the power spectrum k**-2, its mean removed, periodic in longitude only
striped   s t / rms(t), t[row, column] = a[row] + b: a Gaussian, of either sign; b on stretches of 1/8 to 1/2 of a row
          at any place, one for every four rows, each with a Gaussian value of its own; 0 elsewhere
speckle   p (m - 1), p = x - min(x), m gamma-distributed and independent, of mean 1 and shape mean(p**2) / s**2
clouds    the 30 % of the pixels where Gaussian noise, smoothed by a Gaussian of 1/25 of the rows, is highest
"""

import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

Array = np.ndarray

VERSION = 1  # of the definitions: another number makes every cached score void
SEED = 20261121
KINDS = ("white", "red", "striped", "speckle")
LEVELS = (0.1, 0.3, 1.0)
CLOUDY = 0.3
ERA = "eraint_uvz.nc"
MEMBER = "TREFHT.B06.{}.atm.1890-1999ANN.nc"
HELD_OUT = 60  # the member that no model is trained on
VARIABLES = ("u", "v", "z", "TREFHT")
# the slices that are scored, the same for every method; methods that use other slices are given all of them.
# January at 200 hPa and July at 850 hPa; three years of 110
SCORED = {"u": (0, 5), "v": (0, 5), "z": (0, 5), "TREFHT": (10, 55, 100)}


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    variable: str
    kind: str
    level: float
    clouds: bool

    @property
    def key(self) -> str:
        return f"{self.variable}/{self.kind}/{self.level:g}/{'clouds' if self.clouds else 'whole'}"


def all_cells() -> list[Cell]:
    return [Cell(*c) for c in itertools.product(VARIABLES, KINDS, LEVELS, (False, True))]


def read_clean(folder: Path, variable: str) -> xr.DataArray:
    """The field as it is on disk, in memory: (month, level, lat, lon) or (time, lat, lon)."""
    if variable == "TREFHT":
        return read_member(folder, HELD_OUT)
    with xr.open_dataset(folder / ERA) as data:
        return data[variable].load()


def read_member(folder: Path, number: int) -> xr.DataArray:
    """A member of the climate ensembles: (time, lat, lon), K."""
    with xr.open_dataset(folder / MEMBER.format(number)) as data:
        return data["TREFHT"].load()


def slices(field: xr.DataArray) -> Array:
    """(slice, lat, lon) in double precision."""
    return field.values.reshape(-1, *field.shape[-2:]).astype(float)


def noisy_slices(clean: Array, cell: Cell) -> Array:
    """All slices (slice, lat, lon) with the noise of a cell; NaN under its clouds."""
    out = np.empty_like(clean)
    for i, x in enumerate(clean):
        out[i] = x + noise(x, cell, i)
        if cell.clouds:
            out[i][clouds(x.shape, _generator(cell.variable, "clouds", i))] = np.nan
    return out


def noise(x: Array, cell: Cell, index: int) -> Array:
    """What is added to slice `index` (lat, lon)."""
    rng, s = _generator(cell.variable, cell.kind, cell.level, index), cell.level * x.std()
    if cell.kind == "speckle":
        p = x - x.min()
        shape = np.mean(p**2) / s**2
        return p * (rng.gamma(shape, 1 / shape, x.shape) - 1)
    drawn = {"white": _white, "red": _red, "striped": _striped}[cell.kind](x.shape, rng)
    return s * drawn


def clouds(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """True under clouds: contiguous, periodic in longitude, exactly 30 % of the pixels."""
    rows, columns = shape
    width = rows / 25
    tall = (2 * rows, columns)  # twice the rows, so that the first and the last do not touch
    ky, kx = np.fft.fftfreq(tall[0])[:, None], np.fft.rfftfreq(columns)
    smooth = np.exp(-2 * (np.pi * width) ** 2 * (ky**2 + kx**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(tall)) * smooth, tall)[:rows]
    return field > np.quantile(field, 1 - CLOUDY)


def red_spectrum(shape: tuple[int, int]) -> Array:
    """Power spectrum k**-2 on the grid of `numpy.fft.fft2`; its mean is 1, so that a field has unit variance."""
    k2 = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.fftfreq(shape[1]) ** 2
    k2[0, 0] = np.inf
    return 1 / k2 / np.mean(1 / k2)


def _white(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    return rng.standard_normal(shape)


def _red(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    tall = (2 * shape[0], shape[1])
    spectrum = np.fft.fft2(rng.standard_normal(tall)) * np.sqrt(red_spectrum(tall))
    field = np.fft.ifft2(spectrum).real[: shape[0]]
    field -= field.mean()
    return field / np.sqrt(np.mean(field**2))


def _striped(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    rows, columns = shape
    field = np.repeat(rng.standard_normal((rows, 1)), columns, axis=1)
    for _ in range(rows // 4):
        row, start, length = rng.integers(rows), rng.integers(columns), rng.integers(columns // 8, columns // 2 + 1)
        field[row, np.arange(start, start + length) % columns] += rng.standard_normal()
    return field / np.sqrt(np.mean(field**2))


def _generator(*parts: object) -> np.random.Generator:
    return np.random.default_rng([SEED, *(zlib.crc32(str(p).encode()) for p in parts)])
