"""What models remove from any region of a record: noise, the standard error of what is left, and doubts about it.

Windows are anchored to the whole record. So nothing depends on how the record is divided into regions.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from geoae.arrays.types import Array, Float64Array
from geoae.arrays.windows import WindowGrid, join_region
from geoae.model import Denoiser, Model, require_contract
from geoae.model.denoising import BATCH, subtract_noise
from geoae.records.contract import RecordContract
from geoae.records.faults import FaultFinder
from geoae.records.judge import Flag, Judge
from geoae.records.periods import add_long_periods, choose_models
from geoae.records.resample import ReadSpan, keep_last_block, resample_region, resampled_length, resampling_ratio
from geoae.records.sigma import estimate_sigma, find_local_power

SHORTEST_S, SHORTEST_N = 1.0, 16
"""Duration and number of samples of the shortest record from which noise is removed."""


class Removal(NamedTuple):
    """What a model says about the samples start ... stop of a record."""

    noise: Float64Array
    """(row, stop - start): the noise."""
    sigma: Float64Array | None = None
    """(row, stop - start): standard error of each cleaned sample, in the units of the record; None: not asked for."""
    flags: tuple[Flag, ...] = ()
    """Doubts about the windows that share samples with the region, each window whole."""
    below: Float64Array | None = None
    """(row, stop - start): what lies below the high-pass; None: there is none."""

    def subtract_from(self, x: Array, dry: float) -> Array:
        """The signal in samples `x`, without all that lies below the high-pass; see `subtract_noise`."""
        return subtract_noise(x if self.below is None else x - self.below, self.noise, dry)


ReadRemoval = Callable[[int, int], Removal]
"""(start, stop) -> what is removed from these samples of a record."""


@dataclass(frozen=True)
class RemovalOptions:
    """What is asked of `find_removal`."""

    batch: int = BATCH
    """Windows in one call of the net."""
    above_band: str = "pass"
    """"pass" keeps frequencies above the model's Nyquist frequency in the signal, "remove" counts them as noise."""
    dry: float = 0.0
    """Fraction of the noise that is kept: it counts in sigma. The noise itself is always whole."""
    sigma: bool = False
    """Whether sigma is computed."""
    flags: bool = False
    """Whether windows are judged."""
    keep_doubtful: bool = False
    """Whether windows that have lost a transient lose only as much as the record's noise explains."""
    highpass_hz: float | None = None
    """Corner frequency of the high-pass through which a `FaultFinder` reads the record; None: none."""
    purpose: str | None = None
    """Name of the purpose that `dry` is the share of; see `geoae.records.purposes`."""


def is_too_short(n: int, rate_hz: float) -> bool:
    """Whether a record of n samples is too short to tell signal from noise: nothing is removed from it."""
    return n < max(SHORTEST_S * rate_hz, SHORTEST_N)


def describe_guess(n: int, rate_hz: float, model: Model) -> str:
    """A line if the level of sigma of a record of n samples is a guess; empty if it is calibrated.

    It is a guess if the model is not calibrated, in a record shorter than a window of the model, and at long periods
    where a partner that is not calibrated works beside the model.
    """
    first, partner = choose_models(model, n, rate_hz)
    c = require_contract(first, RecordContract)
    beside = None if partner is None else require_contract(partner, RecordContract)
    window_s = c.window / c.rate_hz
    if not c.has_calibrated_sigma:
        return f"sigma is not calibrated: model {c.name!r} has no factor of held-out stations, so its level is a guess"
    if n / rate_hz < window_s:
        return f"the level of sigma is a guess in records shorter than a window of the model ({window_s:g} s)"
    if beside is not None and not beside.has_calibrated_sigma:
        return f"the level of sigma below {beside.rate_hz / 2:g} Hz is a guess: model {beside.name!r} is not calibrated"
    return ""


def find_removal(
    finder: FaultFinder,
    slots: Sequence[int],
    model: Model,
    options: RemovalOptions = RemovalOptions(),
    is_stopped: Callable[[], bool] = lambda: False,
) -> ReadRemoval:
    """Return a function (start, stop) -> `Removal` of a record.

    Nothing is removed from filled gaps and from records that are too short. Without a high-pass, steps stay in the
    signal.

    Parameters
    ----------
    finder
        Reads the record, high-passed if that is asked for, and finds filled gaps and steps in it.
    slots
        Row of the net's input for each row of the record.
    model
        The denoiser.
    options
        What is asked for.
    is_stopped
        Asked before each call of the net. If it says yes, CancelledError is raised.
    """
    n, rate_hz = finder.n, finder.rate_hz
    if is_too_short(n, rate_hz):
        return partial(_remove_nothing, len(slots), options)
    short, long = choose_models(model, n, rate_hz)
    c = require_contract(short, RecordContract)
    up, down = resampling_ratio(rate_hz, c.rate_hz)
    same_rate = up == down
    n_model = n if same_rate else resampled_length(n, up, down)
    to_model = finder.read if same_rate else partial(resample_region, finder.read, n, up, down)
    estimate = _join_models(to_model, n_model, short, long, partial(_WindowReader, slots, options, is_stopped))
    judge = None
    if options.flags:
        periods_s = _join_periods(short, long)
        judge = Judge(to_model, estimate, _make_grid(n_model, c), c.rate_hz, periods_s, options.keep_doubtful)
    kept = keep_last_block(judge.estimate if judge else estimate)

    def read(start: int, stop: int) -> Removal:
        if same_rate:
            a, b, noise = start, stop, kept(start, stop)[0]
        else:
            a, b = start * up // down, min((stop - 1) * up // down + 2, n_model)
            noise = resample_region(lambda a, b: kept(a, b)[0], n_model, down, up, start, stop)
        sigma = kept(a, b)[1] if options.sigma else None  # part of what was just read
        flags = judge.find_flags(a, b) if judge else ()
        if not same_rate:
            at = np.arange(start, stop) * up / down - a
            sigma = None if sigma is None else np.stack([np.interp(at, np.arange(b - a), row) for row in sigma])
            flags = tuple(
                flag._replace(start=flag.start * down // up, stop=min(-(-flag.stop * down // up), n)) for flag in flags
            )
        if options.above_band == "remove" and rate_hz > c.rate_hz and not same_rate:
            low = resample_region(to_model, n_model, down, up, start, stop)
            noise = noise + np.nan_to_num(finder.read(start, stop) - low)
        filled = finder.find(start, stop).filled
        if filled is not None:
            noise = np.where(filled, 0.0, noise)
        if sigma is not None:
            missing = ~np.isfinite(finder.read(start, stop))  # filled gaps, too
            sigma = np.where(missing, np.nan, sigma) if missing.any() else sigma
        return Removal(noise, sigma, flags, finder.read_below(start, stop))

    return read


def _remove_nothing(n_rows: int, options: RemovalOptions, start: int, stop: int) -> Removal:
    shape = n_rows, stop - start
    return Removal(np.zeros(shape), np.full(shape, np.nan) if options.sigma else None)


def _make_grid(n: int, c: RecordContract) -> WindowGrid:
    """Windows of a record of n samples at the rate of a model; that of a short record is shorter."""
    window = c.window if n >= c.window else -(-n // c.multiple) * c.multiple
    return WindowGrid((n,), (window,), (min(c.stride, window),))


def _join_periods(short: Model, long: Model | None) -> tuple[float, ...]:
    """Shortest and longest period of the training events of both models; empty if one of them is unknown."""
    ranges = [require_contract(m, RecordContract).periods_s for m in (short, long) if m is not None]
    return (min(r[0] for r in ranges), max(r[1] for r in ranges)) if all(ranges) else ()


def _join_models(
    read: ReadSpan,
    n: int,
    short: Denoiser,
    long: Denoiser | None,
    make: Callable[[ReadSpan, int, Denoiser], ReadSpan],
) -> ReadSpan:
    """Return a function (start, stop) -> noise, and sigma, at the rate of `short`; with `long` beside it, if any.

    The errors of both models add up, as if they were independent.
    """
    if long is None:
        return make(read, n, short)
    own, beside = keep_last_block(make(read, n, short)), list[ReadSpan]()
    up, down = resampling_ratio(
        require_contract(short, RecordContract).rate_hz, require_contract(long, RecordContract).rate_hz
    )

    def make_long(read_long: ReadSpan, n_long: int) -> ReadSpan:
        beside.append(keep_last_block(make(read_long, n_long, long)))
        return lambda start, stop: beside[0](start, stop)[0]

    noise = add_long_periods(read, n, (up, down), lambda start, stop: own(start, stop)[0], make_long)
    n_long = resampled_length(n, up, down)

    def joint(start: int, stop: int) -> Array:
        removed, others = noise(start, stop), own(start, stop)[1:]
        if not len(others):
            return removed[None]
        a, b = start * up // down, min((stop - 1) * up // down + 2, n_long)
        at, coarse = np.arange(start, stop) * up / down - a, beside[0](a, b)[1]
        added = np.stack([np.interp(at, np.arange(b - a), row) for row in coarse])
        return np.stack([removed, np.hypot(others[0], added)])

    return joint


class _WindowReader:
    """(start, stop) -> noise, and sigma if it is asked for, (1 or 2, row, stop - start), at the rate of the model."""

    def __init__(
        self,
        slots: Sequence[int],
        options: RemovalOptions,
        is_stopped: Callable[[], bool],
        read: ReadSpan,
        n: int,
        model: Denoiser,
    ) -> None:
        self._read, self._slots, self._model = read, list(slots), model
        self._options, self._is_stopped = options, is_stopped
        self._contract = require_contract(model, RecordContract)
        self._grid = _make_grid(n, self._contract)

    def __call__(self, start: int, stop: int) -> Array:
        """Noise and sigma of a region."""
        region = (slice(start, stop),)
        return join_region(self._read_components, self._apply, self._grid, region, self._options.batch)

    def _read_components(self, region: tuple[slice, ...]) -> Array:
        rows = self._read(region[0].start, region[0].stop)
        out = np.full((self._contract.components, rows.shape[-1]), np.nan)
        out[self._slots] = rows
        return out

    def _apply(self, windows: Array) -> Array:
        """Call the net only for windows with samples; in others (long gaps), noise and sigma are zero."""
        if self._is_stopped():
            raise CancelledError
        has_samples = np.isfinite(windows).any(axis=tuple(range(1, windows.ndim)))
        if has_samples.all():
            return self._estimate(windows)[:, :, self._slots]
        out = np.zeros((len(windows), 1 + self._options.sigma, *windows.shape[1:]))
        if has_samples.any():
            out[has_samples] = self._estimate(windows[has_samples])
        return out[:, :, self._slots]

    def _estimate(self, windows: Array) -> Array:
        if not self._options.sigma:
            return self._model.noise(windows)[:, None]
        parts = self._model.estimate(windows, partial(estimate_sigma, weights=self._contract.sigma_weights))
        parts[:, 1] *= self._contract.sigma_factor
        if self._options.dry:
            parts[:, 1] = np.sqrt(np.square(parts[:, 1]) + self._options.dry**2 * find_local_power(parts[:, 0]))
        return parts
