"""Scores of a denoiser on recorded events and noise, where no truth is known: what it does to the work that follows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.records.amplitudes import measure_peak
from geoae.records.following import RATIOS_ON, score_onsets, score_spectra, summarise
from geoae.records.picking import LONG_S, find_triggers, pick_onsets, randomise_phases
from geoae.records.recordings import RecordFunction, Recording, denoise_recording

CLEAR_SNR_DB = 15.0
"""Recorded events are scored in two groups, below this signal-to-noise ratio and from it on."""
LEAST_RATE_HZ = 20.0
"""Records at lower rates are not triggered or picked."""

_EVENT_DB, _LOST = 10.0, 0.5
_MARGIN_S = 3.0
_FOUND_S = 4.0
_LEAST_QUIET_S = 5.0


def score_noise_records(denoise: RecordFunction, records: Iterable[Recording], seed: int = 0) -> dict[str, Any]:
    """Count the triggers an hour on denoised noise, and on denoised noise with random phases.

    Parameters
    ----------
    denoise
        Denoises one record at its own rate.
    records
        Recorded noise. Records below 20 Hz, without Z, and of 10 s or less are left out.
    seed
        Seed of the random phases.

    Returns
    -------
    ``n``, ``hours``; under ``recorded`` and ``surrogates`` the triggers an hour at ratios of 4 and 8; ``energy_added``
    as in `score_spectra`.
    """
    rng = np.random.default_rng(seed)
    counts: dict[str, dict[float, int]] = {name: dict.fromkeys(RATIOS_ON, 0) for name in ("recorded", "surrogates")}
    n, hours, pairs = 0, 0.0, []
    for record in records:
        exposed_s = record.data.shape[1] / record.rate_hz - LONG_S
        if not _is_pickable(record) or exposed_s <= 0:
            continue
        n, hours = n + 1, hours + exposed_s / 3600
        for name, x in (("recorded", record.data), ("surrogates", randomise_phases(record.data[None], rng)[0])):
            result = denoise_recording(denoise, x, record.rate_hz)
            for on in RATIOS_ON:
                counts[name][on] += find_triggers(result[2], record.rate_hz, on).size
            if name == "recorded":
                pairs.append((x, result, record.rate_hz))
    rates = {
        name: {f"on_{on:g}": round(k / hours, 2) if hours else np.nan for on, k in found.items()}
        for name, found in counts.items()
    }
    return {"n": n, "hours": round(hours, 2), **rates, "energy_added": score_spectra(pairs)}


def score_event_records(denoise: RecordFunction, records: Iterable[Recording]) -> dict[str, Any]:
    """Score what is left of recorded events, and what pickers find in them.

    Parameters
    ----------
    denoise
        Denoises one record at its own rate.
    records
        Recorded events of any kind and rate.

    Returns
    -------
    ``below`` and ``above``: events below 15 dB and from 15 dB on, with P: triggers a minute before P at ratios of 4 and
    8, the share of P that triggers (from 3 s before to 4 s after it), AIC onsets next to the catalogued P (see
    `score_onsets`), and the energy added before P. ``kinds``: for each kind, and ``all``: the share of the peak that is
    kept (see `measure_peak`), the number of records that came back unchanged, of those at least 10 dB above noise, and
    of these the names of those that lost more than half of their peak.
    """
    groups = {"below": _Picks(), "above": _Picks()}
    kinds: dict[str, _Peaks] = defaultdict(_Peaks)
    kinds["all"] = _Peaks()
    for record in records:
        result = denoise_recording(denoise, record.data, record.rate_hz)
        for kind in (record.kind, "all"):
            kinds[kind].add(record, result)
        if record.p is not None and _is_pickable(record) and np.isfinite(record.snr_db):
            groups["below" if record.snr_db < CLEAR_SNR_DB else "above"].add(record, result)
    return {
        **{name: group.summarise() for name, group in groups.items()},
        "kinds": {kind: kinds[kind].summarise() for kind in sorted(kinds, key=lambda kind: (kind != "all", kind))},
    }


def _is_pickable(record: Recording) -> bool:
    return record.rate_hz >= LEAST_RATE_HZ and bool(np.ptp(record.data[2]) > 0)


@dataclass
class _Picks:
    """Picks on events of one group."""

    minutes: float = 0.0
    triggers: dict[float, int] = field(default_factory=lambda: dict.fromkeys(RATIOS_ON, 0))
    found: list[bool] = field(default_factory=list)
    onsets: list[float] = field(default_factory=list)
    pairs: list[tuple[Float64Array, Float64Array, float]] = field(default_factory=list)

    def add(self, record: Recording, result: Float64Array) -> None:
        """Count one event with P."""
        p, rate = int(record.p or 0), record.rate_hz
        quiet = p - round(_MARGIN_S * rate)
        self.minutes += max(quiet / rate - LONG_S, 0) / 60
        for on in RATIOS_ON:
            starts = find_triggers(result[2], rate, on)
            self.triggers[on] += int((starts < quiet).sum())
            if on == RATIOS_ON[0] and p > LONG_S * rate:  # earlier arrivals cannot trigger
                after_p_s = (starts - p) / rate
                self.found.append(bool(((after_p_s >= -_MARGIN_S) & (after_p_s <= _FOUND_S)).any()))
        self.onsets.append(float(pick_onsets(result[2:], np.array([p]), rate)[0]))
        quiet = p - round(rate)
        if quiet >= _LEAST_QUIET_S * rate:
            self.pairs.append((record.data[:, :quiet], result[:, :quiet], rate))

    def summarise(self) -> dict[str, Any]:
        """Rates and shares, plain data."""
        rates = {
            f"on_{on:g}": round(k / self.minutes, 2) if self.minutes else np.nan for on, k in self.triggers.items()
        }
        onsets = np.array(self.onsets)
        return {
            "n": len(self.onsets),
            "triggers_a_minute": rates,
            "found": round(float(np.mean(self.found)), 3) if self.found else np.nan,
            "onset": {**score_onsets(onsets), "within_0.5s": score_onsets(onsets, 0.5)["within_0.5s"]},
            "energy_added": score_spectra(self.pairs),
        }


@dataclass
class _Peaks:
    """Peaks of events of one kind."""

    kept: list[float] = field(default_factory=list)
    n_unchanged: int = 0
    n_clear: int = 0
    lost: list[str] = field(default_factory=list)

    def add(self, record: Recording, result: Float64Array) -> None:
        """Measure the peak of one event."""
        used = np.ptp(record.data, axis=-1) > 0
        peak = measure_peak(record.data[used], result[used], record.p, record.rate_hz)
        self.kept.append(peak.kept)
        self.n_unchanged += np.array_equal(record.data, result)
        if peak.snr_db >= _EVENT_DB:
            self.n_clear += 1
            if peak.kept < _LOST:
                self.lost.append(record.name)

    def summarise(self) -> dict[str, Any]:
        """Quantiles and counts, plain data."""
        return {
            "n": len(self.kept),
            "n_unchanged": self.n_unchanged,
            "peak_kept": summarise(np.array(self.kept)),
            "n_above_10_db": self.n_clear,
            "n_lost": len(self.lost),
            "lost": sorted(self.lost),
        }
