"""Denoise records: resample to the model's rate, predict noise window by window, resample back, subtract.

Any region of a record can be computed by itself.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from geoae import nets
from geoae.arrays.types import Array
from geoae.errors import DoubtWarning, InputError
from geoae.labels.components import assign_rows
from geoae.labels.timeaxis import rate_hz as rate_of
from geoae.labels.timeaxis import start_ns as start_of
from geoae.model import Denoiser, Model
from geoae.model.denoising import BATCH, describe_processing, split_block
from geoae.records.contract import RecordContract
from geoae.records.faults import FaultFinder
from geoae.records.flags import FlagCounts, FormatTime, describe_flags, format_clock, format_seconds
from geoae.records.highpass import check_highpass
from geoae.records.judge import TRANSIENT, UNLIKE
from geoae.records.periods import check_rate
from geoae.records.removal import RemovalOptions, describe_guess, find_removal, is_too_short
from geoae.records.resample import ReadSpan
from geoae.records.scaling import RecordScaler
from geoae.stores.schema import FLAGGED

_LARGEST_OF_FLOAT32 = 2.0**24
"""float32 holds all whole numbers up to this."""
BLOCK_N = 1 << 20
"""Samples of a record in one block: some hundred windows, tens of MB."""
ABOVE_BAND = ("pass", "remove")
"""Choices for frequencies above the model's Nyquist frequency; see `build_noise_reader`."""
DEFAULTS = RemovalOptions(flags=True, keep_doubtful=True)
"""What `denoise_record` does if nothing else is asked for."""


def assign_components(codes: Sequence[str]) -> list[int]:
    """Row of the net's input (E N Z) for each channel code of one sensor; each row is used once.

    The component letter of a code decides, see `geoae.labels.components`. Other codes take Z, or the next free row.

    Examples
    --------
    >>> assign_components(["HHE", "HHN", "HHZ"]), assign_components(["BH1", "BH2", "BHZ"]), assign_components(["001"])
    ([0, 1, 2], [1, 0, 2], [2])
    """
    slots: list[int] = []
    for row in assign_rows(codes):
        free = [s for s in (2 if row is None else row, 2, 1, 0) if s not in slots]
        if not free:
            raise InputError(f"A sensor has at most three components; these are {len(codes)}: {', '.join(codes)}.")
        slots.append(free[0])
    return slots


def build_noise_reader(
    read: ReadSpan,
    n: int,
    slots: Sequence[int],
    rate_hz: float,
    model: Model,
    *,
    batch: int = BATCH,
    above_band: str = "pass",
    is_stopped: Callable[[], bool] = lambda: False,
) -> ReadSpan:
    """Return a function (start, stop) -> noise (row, stop - start) that the model predicts in a record.

    Parameters
    ----------
    read
        (start, stop) -> samples (row, stop - start) of the record, NaN in gaps.
    n
        Samples of the whole record. Windows are anchored to it, so the result does not depend on the regions.
    slots
        Row of the net's input for each row of the record, see `assign_components`.
    rate_hz
        Sampling rate of the record.
    model
        The denoiser.
    batch
        Windows per call of the net.
    above_band
        "pass" keeps frequencies above the model's Nyquist frequency in the signal, "remove" counts them as noise.
    is_stopped
        Asked before each call of the net. If it says yes, CancelledError is raised.
    """
    finder = FaultFinder(read, n, rate_hz)
    return find_noise(finder, slots, model, batch=batch, above_band=above_band, is_stopped=is_stopped)


def find_noise(
    finder: FaultFinder,
    slots: Sequence[int],
    model: Model,
    *,
    batch: int = BATCH,
    above_band: str = "pass",
    is_stopped: Callable[[], bool] = lambda: False,
) -> ReadSpan:
    """Return the function of `build_noise_reader` for the record in which `finder` finds filled gaps and steps.

    Nothing is removed from filled gaps and from records that are too short, and steps stay in the signal. The other
    parameters are the same.
    """
    read = find_removal(finder, slots, model, RemovalOptions(batch, above_band), is_stopped)
    return lambda start, stop: read(start, stop).noise


def denoise_record(
    x: xr.DataArray,
    model: Model,
    options: RemovalOptions = DEFAULTS,
    *,
    progress: Callable[[int], None] = lambda n: None,
) -> tuple[xr.DataArray, ...]:
    """Denoise a labelled array along `time`; returns signal and removed noise with the dims, coords and dtype of `x`.

    If `options` ask for sigma, the standard error of each sample is the third; NaN in gaps. Doubts about windows are a
    `DoubtWarning`, and stand in the attribute ``geoae_flags`` of the signal, where those with a signal near the noise
    stand, too. `progress` is called with the number of samples of each block.

    Dimensions are `time`, optionally `channel` (the components of one sensor), and any others (record, station, ...),
    along which arrays are denoised one by one. Channels without names are taken as Z N E.

    Raises
    ------
    InputError
        No `time` dimension, no sampling rate, no real numbers, or more than three channels.
    SamplingRateError
        The model does not take the array's rate, or the high-pass is too high for it.
    """
    if "time" not in x.dims or x.sizes["time"] == 0:
        raise InputError(f"The array has dims {x.dims} of sizes {x.shape}; denoising needs samples along 'time'.")
    if x.dtype.kind not in "fiu":
        raise InputError(f"The array holds {x.dtype}; denoising needs real numbers. Convert it: x.astype('float64').")
    rate = rate_of(x)
    check_rate(rate, model, str(x.name or "the array"))
    if options.highpass_hz is not None:
        check_highpass(options.highpass_hz, rate, str(x.name or "the array"))
    last = [d for d in ("channel", "time") if d in x.dims]
    ordered = x.transpose(..., *last)
    slots = assign_components(
        [str(c) for c in x["channel"].values] if "channel" in x.coords else [""] * x.sizes.get("channel", 1)
    )
    dtype = _float_dtype(x)
    signal, removed, *errors = (np.empty(ordered.shape, dtype) for _ in range(2 + options.sigma))
    doubts = dict[str, FlagCounts]()
    start_ns, format_time = _find_clock(x)
    lead = ordered.shape[: ordered.ndim - len(last)]
    name, n_filled, n_steps = x.name or "the array", 0, 0
    for index in np.ndindex(lead):
        record = ordered[index]

        def read(a: int, b: int, record: xr.DataArray = record) -> Array:
            return np.atleast_2d(np.asarray(record.isel(time=slice(a, b)).values, dtype=np.float64))

        finder = FaultFinder(read, record.sizes["time"], rate, options.highpass_hz)
        remove = find_removal(finder, slots, model, options)
        names = _name_rows(record, lead and index)
        for start in range(0, record.sizes["time"], BLOCK_N):
            stop = min(start + BLOCK_N, record.sizes["time"])
            found_noise = remove(start, stop)
            block = read(start, stop)
            s, r = split_block(block, found_noise.subtract_from(block, options.dry), dtype)
            found = finder.find(start, stop)
            n_filled, n_steps = n_filled + found.n_filled, n_steps + len(found.steps)
            shape = signal[index][..., start:stop].shape
            signal[index][..., start:stop], removed[index][..., start:stop] = s.reshape(shape), r.reshape(shape)
            if found_noise.sigma is not None:
                errors[0][index][..., start:stop] = found_noise.sigma.reshape(shape)
            for flag in found_noise.flags:
                a, b = (start_ns + round(at / rate * 1e9) for at in (flag.start, flag.stop))
                window = FlagCounts(frozenset({(flag.kind, a, b)}))
                doubts[names[flag.row]] = doubts.get(names[flag.row], FlagCounts()) + window
            progress(s.size)
    if n_filled:
        warnings.warn(f"{name}: {n_filled} samples are taken for filled gaps and stay unchanged", stacklevel=3)
    if n_steps:
        fate = "stay in the signal" if options.highpass_hz is None else "count as removed, with all below the high-pass"
        warnings.warn(f"{name}: steps of the level {fate}: {n_steps}", stacklevel=3)
    if is_too_short(x.sizes["time"], rate):
        warnings.warn(f"{name}: {x.sizes['time']} samples are too few to tell signal from noise", stacklevel=3)
    if options.sigma and (guess := describe_guess(x.sizes["time"], rate, model)):
        warnings.warn(f"{name}: {guess}", DoubtWarning, stacklevel=3)
    for line in describe_flags(doubts.items(), options.keep_doubtful, (TRANSIENT, UNLIKE), format_time):
        warnings.warn(line, DoubtWarning, stacklevel=3)
    attrs = {**x.attrs, "processing": describe_processing(model, options.dry, options.highpass_hz, options.purpose)}
    parts = (ordered.copy(data=part).transpose(*x.dims).assign_attrs(attrs) for part in (signal, removed, *errors))
    first, *others = parts
    if doubts:
        lines = [f"{name} {line}" for name, flags in doubts.items() for line in flags.describe(format_time)]
        first.attrs[FLAGGED] = "\n".join(lines)
    return first, *others


def _name_rows(record: xr.DataArray, index: tuple[int, ...]) -> list[str]:
    """Names of the rows of a record for messages: id or channel, with the number of the record if there are several."""
    labels = next((record[name] for name in ("id", "channel") if name in record.coords), None)
    n, own = record.sizes.get("channel", 1), str(record.name or "the array")
    names = [] if labels is None else [str(v) for v in np.atleast_1d(labels.values)]
    if len(names) != n:
        names = [own] if n == 1 else [f"{own}, row {i}" for i in range(n)]
    return [f"{name} [{', '.join(map(str, index))}]" if index else name for name in names]


def _find_clock(x: xr.DataArray) -> tuple[int, FormatTime]:
    """Time of the first sample in ns, and how times are written: dates, or seconds from the first sample."""
    is_date = "time" in x.coords and x["time"].dtype.kind == "M"
    return start_of(x), format_clock if is_date else format_seconds


def _float_dtype(x: xr.DataArray) -> np.dtype[Any]:
    """Type of a denoised array: its own if it holds floats, else float32, or float64 for large integers."""
    if x.dtype.kind == "f":
        return np.dtype(x.dtype)
    is_large = x.dtype.itemsize > 2 and max(abs(float(x.max())), abs(float(x.min()))) > _LARGEST_OF_FLOAT32
    return np.dtype(np.float64 if is_large else np.float32)


def build_identity_denoiser(
    rate_hz: float = 100.0, window: int = 256, stride: int = 192, multiple: int = 1
) -> Denoiser:
    """Build a denoiser of records that removes nothing, to test everything except the net."""
    contract = RecordContract("identity", "removes nothing", rate_hz, (1e-3, 1e6), window, stride, multiple)
    return Denoiser(contract, "identity", {}, nets.build("identity", {}), RecordScaler())
