"""What a user would do instead, each tuned by an oracle: the parameter is the one of least error against clean.

A method gives its estimate of the scored slices of a case for a parameter; `tuned` climbs from a starting value along
an ordered list of parameters until the error has grown a few times in a row. All slices of a cell share one parameter.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from grids_cells import SCORED, Array, Cell, noisy_slices, red_spectrum
from scipy.ndimage import gaussian_filter1d

Parameter = Any  # whatever JSON holds
WRAP = 16  # columns repeated on both sides for methods that know no periodic longitude
WIDTHS = (0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.7, 2, 2.4, 2.8, 3.3, 4, 5, 6, 8, 10, 14)
DEVIATIONS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0)  # assumed standard deviation of the noise / true
RANKS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50, 60, 75, 90, 110, 140, 180, 241)


@dataclass(frozen=True, eq=False)
class Case:
    """A cell with its data."""

    cell: Cell
    clean: Array  # (slice, lat, lon), all of the variable

    @property
    def scored(self) -> list[int]:
        return list(SCORED[self.cell.variable])

    @cached_property
    def noisy(self) -> Array:
        return noisy_slices(self.clean, self.cell)

    @property
    def given(self) -> Array:
        """The scored slices as they are given."""
        return self.noisy[self.scored]

    @property
    def deviation(self) -> Array:
        """True standard deviation of the noise of each scored slice, (slice, 1, 1)."""
        return self.cell.level * self.clean[self.scored].std(axis=(1, 2), keepdims=True)

    @cached_property
    def filled(self) -> Array:
        """The scored slices with something smooth under the clouds."""
        return np.array([fill(x) for x in self.given])

    def rmse(self, estimate: Array) -> list[float]:
        """Error of each scored slice where it has values, in its units."""
        error = np.where(np.isnan(self.given), np.nan, estimate - self.clean[self.scored])
        if np.isnan(error[~np.isnan(self.given)]).any():
            return [float("inf")] * len(error)  # a value lost is no estimate
        return [float(e) for e in np.sqrt(np.nanmean(error**2, axis=(1, 2)))]

    def score(self, estimate: Array) -> float:
        """RMSE in units of the standard deviation of the clean slice, averaged over the slices."""
        return float(np.mean(np.array(self.rmse(estimate)) / self.clean[self.scored].std(axis=(1, 2))))


@dataclass(frozen=True)
class Method:
    """A baseline: its estimate for a parameter, and the lists of parameters that the oracle chooses from."""

    title: str
    apply: Callable[[Case, Parameter], Array]
    lists: Callable[[Case], Sequence[tuple[Sequence[Parameter], int]]]  # parameters in order, index of the first tried
    patience: int = 2  # an oracle gives up after so many values that are worse
    fits: Callable[[Cell], bool] = lambda cell: True
    follows: bool = False  # slow: under clouds it keeps what was best for the same noise without them
    version: int = 1
    needs: tuple[str, ...] = ()  # packages that geoae itself does not need: name on PyPI


def tuned(method: Method, case: Case) -> tuple[Parameter, Array, int]:
    """Best parameter, its estimate, and how many were tried."""
    best: tuple[float, Parameter, Array] | None = None
    tried = 0
    for values, start in method.lists(case):
        found: dict[int, float] = {}
        for step in (1, -1):
            here = min(found, key=found.__getitem__, default=start)
            worse, i = 0, start if not found else start + step
            if step < 0 and here > start:
                continue  # uphill on the other side
            while 0 <= i < len(values) and worse < method.patience:
                estimate = method.apply(case, values[i])
                found[i], tried = case.score(estimate), tried + 1
                if best is None or found[i] < best[0]:
                    best = found[i], values[i], estimate
                worse = 0 if found[i] <= min(found.values()) else worse + 1
                i += step
    assert best is not None
    return best[1], best[2], tried


def fill(x: Array) -> Array:
    """A slice (lat, lon) with its gaps filled: the mean of what is near, of a width that grows until there is some."""
    gaps = np.isnan(x)
    if not gaps.any():
        return x
    out, left, width = x.copy(), gaps, 1.5
    while left.any():
        total, weight = _blur(np.where(gaps, 0, x), width), _blur(1.0 - gaps, width)
        now = left & (weight > 0.1)
        out[now] = total[now] / weight[now]
        left, width = left & ~now, width * 1.5
    return out


def _blur(x: Array, width: float) -> Array:
    """Gaussian over the last two axes, periodic in longitude, zero beyond the first and the last latitude."""
    return gaussian_filter1d(gaussian_filter1d(x, width, axis=-2, mode="constant"), width, axis=-1, mode="wrap")


def nothing(case: Case, parameter: Parameter) -> Array:
    return case.given


def gaussian(case: Case, width: float) -> Array:
    gaps = np.isnan(case.given)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _blur(np.where(gaps, 0, case.given), width) / _blur(1.0 - gaps, width)


def running_mean(case: Case, years: int) -> Array:
    """Centred, over the years that are there."""
    half, n = years // 2, len(case.noisy)
    return np.array([np.nanmean(case.noisy[max(i - half, 0) : min(i + half + 1, n)], axis=0) for i in case.scored])


def eof(case: Case, parameter: Parameter) -> Array:
    """Truncated singular value decomposition of time x space ("series", "anomalies") or of each map, lat x lon."""
    how, rank = parameter
    if how == "map":
        return np.array([truncated(x, rank) for x in case.given])
    shape = case.clean.shape
    series = case.noisy.reshape(shape[0], -1)
    seen = ~np.isnan(series).all(axis=0)
    out = np.full(series.shape, np.nan)
    out[:, seen] = truncated(series[:, seen], rank, centred=how == "anomalies")
    return out.reshape(shape)[case.scored]


def truncated(x: Array, rank: int, *, centred: bool = False, rounds: int = 40, tolerance: float = 1e-3) -> Array:
    """Rank-`rank` part of a matrix; gaps are filled with that part, again and again, until they settle (DINEOF).

    Beckers and Rixen (2003), doi:10.1175/1520-0426(2003)020<1839:ECADFF>2.0.CO;2.
    """
    gaps = np.isnan(x)
    scale = np.nanstd(x)
    x = np.where(gaps, np.nanmean(x, axis=0) if not gaps.all(axis=0).any() else np.nanmean(x), x)
    for _ in range(rounds):
        mean = x.mean(axis=0) if centred else 0.0
        y = x - mean
        leading = np.linalg.eigh(y @ y.T)[1][:, len(y) - rank :]
        part = leading @ (leading.T @ y) + mean
        if not gaps.any() or np.sqrt(np.mean((part - x)[gaps] ** 2)) < tolerance * scale:
            break
        x[gaps] = part[gaps]
    return part


def _eof_lists(case: Case) -> list[tuple[Sequence[Parameter], int]]:
    n, rows, _ = case.clean.shape
    return [
        ([("series", r) for r in RANKS if 0 < r <= n], 0),
        ([("anomalies", r) for r in RANKS if r < n], 0),
        ([("map", r) for r in RANKS if 0 < r <= rows], 0),
    ]


def wavelet(case: Case, parameter: Parameter) -> Array:
    """BayesShrink; the factor 0 has it estimate the noise itself. Chang et al. (2000), doi:10.1109/83.862633."""
    from skimage.restoration import denoise_wavelet

    name, factor = parameter
    out = []
    for x, deviation in zip(case.filled, case.deviation[:, 0, 0], strict=True):
        mean, scale = x.mean(), x.std()
        sigma = factor * deviation / scale if factor else None
        y = denoise_wavelet(_wrapped((x - mean) / scale), sigma=sigma, wavelet=name, method="BayesShrink")
        out.append(y[:, WRAP:-WRAP] * scale + mean)
    return np.array(out)


def bm3d(case: Case, factor: float) -> Array:
    """Collaborative filtering; noise taken for white. Dabov et al. (2007), doi:10.1109/TIP.2007.901238."""
    return _bm3d(case, lambda shape: factor)


def bm3d_spectrum(case: Case, factor: float) -> Array:
    """Told the true spectrum of the noise, too. Mäkinen et al. (2020), doi:10.1109/TIP.2020.3014721."""

    def spectrum(shape: tuple[int, int]) -> Array:
        if case.cell.kind == "red":
            unit = red_spectrum(shape)
        else:
            columns = case.clean.shape[2]
            lengths = np.arange(columns // 8, columns // 2 + 1)[:, None]
            boxes = np.abs(np.fft.fft(np.arange(shape[1]) < lengths, axis=1)) ** 2
            line = boxes.mean(axis=0) / 4
            line[0] += shape[1] ** 2
            unit = np.broadcast_to(line / line.mean(), shape)
        return factor**2 * unit * np.prod(shape)

    return _bm3d(case, spectrum)


def _bm3d(case: Case, noise: Callable[[tuple[int, int]], float | Array]) -> Array:
    """`noise`: standard deviation or spectrum for a noise of deviation 1, given the shape."""
    import bm3d as package

    settings = package.BM3DProfile()
    settings.num_threads = 1
    # fewer terms in the variances of correlated noise: 2.5 times faster than by default, with errors 1 to 5 % smaller
    settings.nf, settings.k = 16, 1
    out = []
    for x, deviation in zip(case.filled, case.deviation[:, 0, 0], strict=True):
        mean = x.mean()
        y = _wrapped((x - mean) / deviation)
        out.append(package.bm3d(y, noise(y.shape), settings)[:, WRAP:-WRAP] * deviation + mean)
    return np.array(out)


def _wrapped(x: Array) -> Array:
    return np.pad(x, ((0, 0), (WRAP, WRAP)), mode="wrap")


METHODS = {
    "nothing": Method("nothing", nothing, lambda case: [([None], 0)]),
    "gaussian": Method(
        "Gaussian",
        gaussian,
        lambda case: [(WIDTHS, 3)],
    ),
    "eof": Method("EOF", eof, _eof_lists, patience=3),
    "wavelet": Method(
        "wavelet",
        wavelet,
        lambda case: [([(w, f) for f in (0, *DEVIATIONS)], 3) for w in ("db1", "db4", "sym8")],
        needs=("scikit-image", "PyWavelets"),
    ),
    "bm3d": Method(
        "BM3D",
        bm3d,
        # coloured noise wants to be taken for stronger than it is, so the search starts there
        lambda case: [(DEVIATIONS, 3 if case.cell.kind in ("white", "speckle") else 6)],
        patience=1,
        follows=True,
        version=2,
        needs=("bm3d",),
    ),
    "running": Method(
        "running mean",
        running_mean,
        lambda case: [((1, 3, 5, 7, 9, 11, 15, 21, 31, 41, 61, 81, 111, 221), 0)],
        patience=3,
        fits=lambda cell: cell.variable == "TREFHT",
    ),
    "bm3d_spectrum": Method(
        "BM3D, spectrum known",
        bm3d_spectrum,
        lambda case: [((1.0,), 0)],
        fits=lambda cell: cell.kind in ("red", "striped"),
        version=2,
        needs=("bm3d",),
    ),
}


def signature(method: Method) -> str:
    """What a cached score of the method depends on, beside the cell."""
    return json.dumps([method.title, method.version, WRAP])
