"""Recorded events and noise as they are: every kind, rate and number of components, one record at a time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import detrend, resample_poly

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.readers.records.seisbench import SeisBenchSet, open_set
from geoae.records.resample import resampling_ratio
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation

RecordFunction = Callable[[Float64Array, float], npt.NDArray[np.floating[Any]]]
"""Maps a record (3, time), components E N Z, and its rate in Hz to the denoised record of the same shape.

All samples of an absent component are zero.
"""
RECORDS_A_SOURCE, RECORDS_A_STATION = 8, 40
"""Most records of one event, and of one station's noise."""

_SHORTEST_S = 5.0
_SNR_S = 10.0


@dataclass(frozen=True, eq=False)
class Recording:
    """One record as it was recorded, without its linear trend."""

    name: str
    kind: str
    """Kind of event or of noise: ``event_kind`` or ``noise_kind`` of the data set, else ``trace_category``."""
    data: Float64Array
    """(3, time), components E N Z; an absent component is zero."""
    rate_hz: float
    p: int | None
    """Sample of the P arrival; None: unknown, or an event without a pick."""
    snr_db: float
    """Signal-to-noise ratio of 10 s after over 10 s before P: ``trace_snr_db``, else from the samples; may be NaN."""


class RecordedSet:
    """Usable records of several data sets. Samples are read while iterating."""

    def __init__(self, sets: Sequence[SeisBenchSet], chosen: Sequence[tuple[int, int]]):
        self._sets, self._chosen = sets, chosen

    def __iter__(self) -> Iterator[Recording]:
        """Read one record after the other; those with samples that are not finite, and dead ones, are left out."""
        for k, i in self._chosen:
            if (record := _read_record(self._sets[k], i)) is not None:
                yield record


def open_recordings(
    folders: Sequence[Path],
    side: str,
    stations: str = "validation",
    validation_modulus: int = 4,
    most: int | None = None,
) -> RecordedSet:
    """Open the recorded events or the noise of data folders.

    Parameters
    ----------
    folders
        Each with ``events`` and ``noise`` in the SeisBench format, or with one of them.
    side
        "events" (at most 8 records of each ``source_id``) or "noise" (at most 40 of each station).
    stations, validation_modulus
        See `build_mixtures`.
    most
        Most records of each kind of event, or of noise; of more, every second, third, ... is used. None: no limit.

    Raises
    ------
    InputError
        A folder has neither, or is not in that format.
    """
    split = SplitSection(modulus=validation_modulus)
    other = "events" if side == "noise" else "noise"
    sets = [open_set(f / side) for f in folders if (f / side).exists() or not (f / other).exists()]
    count: Counter[str] = Counter()
    chosen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for k, data_set in enumerate(sets):
        for i, row in enumerate(data_set.rows):
            station = data_set.station(i)
            if stations != "all" and is_validation(station, split) != (stations == "validation"):
                continue
            group, limit = (
                (station, RECORDS_A_STATION) if side == "noise" else (row.get("source_id") or "", RECORDS_A_SOURCE)
            )
            if group and count[group] >= limit:
                continue
            count[group] += 1
            chosen["noise" if side == "noise" else _find_kind(row)].append((k, i))
    thinned = (rows[:: max(1, -(-len(rows) // most))] if most else rows for rows in chosen.values())
    return RecordedSet(sets, sorted(number for rows in thinned for number in rows))


def adapt_to_records(
    denoise: Callable[[Float64Array], npt.NDArray[np.floating[Any]]],
    rate_hz: float = 100.0,
    rate_range_hz: tuple[float, float] = (8.0, 1000.0),
) -> RecordFunction:
    """Make a function of one record at its own rate from a function of traces (n, 3, time) at one rate.

    Records are resampled before and after. Records outside `rate_range_hz` are returned as they are.
    """

    def run(x: Float64Array, record_hz: float) -> npt.NDArray[np.floating[Any]]:
        if not rate_range_hz[0] <= record_hz <= rate_range_hz[1]:
            return x
        up, down = resampling_ratio(record_hz, rate_hz)
        if up == down:
            return denoise(x[None].copy())[0]
        low = resample_poly(x, up, down, axis=-1)
        # what the other rate cannot hold stays as it is
        removed = resample_poly(low - denoise(low[None].copy())[0], down, up, axis=-1)[..., : x.shape[-1]]
        return np.asarray(x - removed, dtype=np.float64)

    return run


def denoise_recording(denoise: RecordFunction, x: Float64Array, rate_hz: float) -> Float64Array:
    """Denoise one record. Samples that are not finite become zero.

    Raises
    ------
    InputError
        The denoiser changed the shape.
    """
    result = np.asarray(denoise(x.copy(), rate_hz), dtype=np.float64)
    if result.shape != x.shape:
        raise InputError(f"The denoiser returned shape {result.shape} for {x.shape}; it must keep the shape.")
    return np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0)


def _read_record(data_set: SeisBenchSet, i: int) -> Recording | None:
    """Read a record; None if it is shorter than 5 s or 100 samples, not finite, dead, or has no component."""
    row, rate_hz, present = data_set.rows[i], data_set.rate_hz(i), list(data_set.present(i))
    x = data_set.waveform(i).astype(np.float64)
    if x.shape[1] < max(_SHORTEST_S * rate_hz, 100) or not np.isfinite(x).all() or not any(present):
        return None
    if (np.ptp(x[present], axis=1) == 0).any():
        return None
    out = np.zeros_like(x)
    out[present] = detrend(x[present], axis=-1)
    arrival = data_set.p_sample(i)
    p = round(arrival) if arrival is not None and 0 <= arrival < x.shape[1] else None
    snr_text = row.get("trace_snr_db") or "nan"
    try:
        snr_db = float(snr_text)
    except ValueError:  # STEAD holds one value for each component
        snr_db = np.nan
    if p is not None and not np.isfinite(snr_db):
        snr_db = _measure_snr(out[present], p, round(_SNR_S * rate_hz))
    return Recording(row["trace_name"], _find_kind(row), out, rate_hz, p, snr_db)


def _find_kind(row: dict[str, str]) -> str:
    return row.get("event_kind") or row.get("noise_kind") or row.get("trace_category") or "unknown"


def _measure_snr(x: Float64Array, p: int, n: int) -> float:
    before, after = x[:, max(p - n, 0) : p], x[:, p : p + n]
    if before.shape[1] < n // 2 or after.shape[1] < n // 2:
        return np.nan
    noise, signal = float(before.var(axis=-1).mean()), float(after.var(axis=-1).mean())
    return float(10 * np.log10(signal / noise)) if noise > 0 and signal > 0 else np.nan
