"""Tables of the scores of denoisers, as Markdown: nearness to the truth, and beside it the work that follows."""

from collections.abc import Sequence
from typing import Any

from geoae.records.scores_sigma import SIGMA_NOTE, build_sigma_rows

_NOTE = (
    "Onsets are AIC picks on Z, next to those of the clean trace or, in recordings, to the catalogued P. Triggers are "
    "STA/LTA 0.5/10 s at 1-20 Hz on Z; they begin at a ratio of 4 or 8. Amplitudes are ratios to the clean event at "
    "1-20 Hz: median (10th to 90th percentile); they are off at more than 0.2 magnitude units. The peak kept is the "
    "share of the largest rms in 1 s or more, beyond noise: median (10th percentile); it is lost below a half. Energy "
    "is compared in bands of 2 Hz up to 50 Hz, before P and in noise: the largest of the medians and of the 90th "
    "percentiles over all traces. Surrogates are the recorded noise with random phases. Below 50 Hz the band-pass of "
    "recordings is from 0.02 to 0.4, from 200 Hz on from 0.01 to 0.2 of the rate."
)


def format_markdown(results: dict[str, Any]) -> str:
    """Format the results of `compare_denoisers` as Markdown: two tables for each band, two for the recordings.

    Each band has a third one if standard errors were scored.
    """
    lines = []
    for band, scored in results["bands"].items():
        lines += [
            f"## `{band}` (n={results['n']} mixtures per SNR of {scored['n_events']} events at {scored['n_stations']} "
            f"stations with noise of {scored['n_noise_stations']} stations, {results['stations']} stations; medians)",
            "",
            *_format_table(*build_table_rows(results, band)),
            *_format_table(*build_following_rows(results, band)),
            *_format_table(*build_sigma_rows(results, band)),
        ]
    noise, events = (next(iter(results["recordings"]["methods"].values()))[side] for side in ("noise", "events"))
    lines += [
        f"## Recordings, as they came ({noise['hours']:.1f} h of noise; {events['below']['n']} events with P below and "
        f"{events['above']['n']} above 15 dB, {events['kinds']['all']['n']} events in all; "
        f"{results['stations']} stations)",
        "",
        *_format_table(*build_recorded_rows(results)),
        *_format_table(*build_kind_rows(results)),
    ]
    lines += [
        _NOTE,
        "",
        "Only the method told the noise before P is given a part of the record that holds noise alone.",
    ]
    if any("sigma" in scored for scored in results["bands"].values()):
        lines += ["", SIGMA_NOTE]
    return "\n".join(lines) + "\n"


def build_table_rows(results: dict[str, Any], band: str) -> tuple[list[str], list[list[str]]]:
    """Build header and rows of the table of one band, as text: medians over the mixtures."""
    snrs = [f"{snr:g}" for snr in results["snrs_db"]]
    # correlation and peak at 0 dB and onsets at 5 dB, or at the nearest SNR that was scored
    at_0, at_5 = (_find_nearest(snrs, wanted) for wanted in (0, 5))
    header = ["SI-SDR improvement dB at SNR", *snrs, f"CC at {at_0} dB", f"peak at {at_0} dB"]
    header += [f"onset <=0.1 s at {at_5} dB", "clean-in SDR dB", "noise-in red dB"]
    rows = []
    for name, scores in results["bands"][band]["methods"].items():
        by_snr = scores["snr"]
        cells = [f"{by_snr[snr]['si_sdr_gain_db']['median']:.1f}" for snr in snrs]
        cells += [f"{by_snr[at_0]['correlation']['median']:.3f}", f"{by_snr[at_0]['peak_ratio']['median']:.2f}"]
        cells += [f"{100 * by_snr[at_5]['onset_within_0.1s']:.0f}%", f"{scores['clean_in']['sdr_db']['median']:.1f}"]
        rows.append([name, *cells, f"{scores['noise_in']['reduction_db']['median']:.1f}"])
    return header, rows


def build_following_rows(results: dict[str, Any], band: str) -> tuple[list[str], list[list[str]]]:
    """Build header and rows of what follows on the mixtures of one band: onsets, polarity, amplitudes, spectra."""
    snrs = [f"{snr:g}" for snr in results["snrs_db"]]
    at_0, at_5, at_15, at_25 = (_find_nearest(snrs, wanted) for wanted in (0, 5, 15, 25))
    onset_snrs, off_snrs = list(dict.fromkeys((at_5, at_15, at_25))), list(dict.fromkeys((at_0, at_5)))
    header = [
        "What follows, mixtures", f"onset <=0.1 s at {', '.join(onset_snrs)} dB", f"early, late at {at_15} dB",
        f"polarity at {at_5} dB", f"P amplitude at {at_5} dB", f"P off at {', '.join(off_snrs)} dB",
        f"largest amplitude at {at_0} dB", f"off at {', '.join(off_snrs)} dB", f"peak kept at {at_0} dB",
        f"energy added dB at {at_5} dB",
    ]  # fmt: skip
    rows = []
    for name, scores in results["bands"][band]["methods"].items():
        f = {snr: scores["snr"][snr]["following"] for snr in snrs}
        onset = f[at_15]["onset"]
        rows.append([
            name, _percent(*(f[snr]["onset"]["within_0.1s"] for snr in onset_snrs)),
            _percent(onset["early"], onset["late"]), _percent(f[at_5]["polarity_kept"]), _spread(f[at_5]["p_ratio"]),
            _percent(*(f[snr]["p_ratio"]["off"] for snr in off_snrs)), _spread(f[at_0]["peak_ratio"]),
            _percent(*(f[snr]["peak_ratio"]["off"] for snr in off_snrs)), _median_and_lower(f[at_0]["peak_kept"]),
            _added(f[at_5]["energy_added"]),
        ])  # fmt: skip
    return header, rows


def build_recorded_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Build header and rows of what follows on recordings: triggers on noise and before P, onsets, spectra."""
    header = ["What follows, recordings", "triggers/h of noise at 4, 8", "of surrogates at 4, 8"]
    for snr in ("<15 dB", ">=15 dB"):
        header += [f"{snr}: triggers/min before P at 4, 8", "P triggers", "onset <=0.1, 0.5 s"]
    header += ["energy added dB"]
    rows = []
    for name, scores in results["recordings"]["methods"].items():
        noise, events = scores["noise"], scores["events"]
        cells = [_numbers(*noise[side].values(), digits=1) for side in ("recorded", "surrogates")]
        for group in (events["below"], events["above"]):
            onset = group["onset"]
            cells += [_numbers(*group["triggers_a_minute"].values(), digits=2), _percent(group["found"])]
            cells += [_percent(onset["within_0.1s"], onset["within_0.5s"])]
        rows.append([name, *cells, _added(noise["energy_added"])])
    return header, rows


def build_kind_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Build header and rows of the peaks of recorded events, one column for each kind of event."""
    methods = results["recordings"]["methods"]
    kinds = next(iter(methods.values()))["events"]["kinds"]
    header = ["Peak kept, lost of events 10 dB above noise", *(f"{kind} ({s['n']})" for kind, s in kinds.items())]
    rows = []
    for name, scores in methods.items():
        cells = []
        for peaks in scores["events"]["kinds"].values():
            cell = f"{_median_and_lower(peaks['peak_kept'])}, {peaks['n_lost']} of {peaks['n_above_10_db']}"
            passed = peaks["n_unchanged"]
            cells.append(cell + (f"; {passed} unchanged" if 0 < passed < peaks["n"] else ""))
        rows.append([name, *cells])
    return header, rows


def _format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [*("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)), ""]


def _find_nearest(snrs: Sequence[str], wanted: float) -> str:
    return min(snrs, key=lambda snr: abs(float(snr) - wanted))


def _numbers(*values: float | None, digits: int) -> str:
    # adding 0.0 turns -0.0 into 0.0
    return ", ".join("-" if v is None else f"{round(v, digits) + 0.0:.{digits}f}" for v in values)


def _percent(*shares: float | None) -> str:
    return _numbers(*(None if s is None else 100 * s for s in shares), digits=0) + "%"


def _spread(ratio: dict[str, float | None]) -> str:
    """Median and percentiles, such as 0.97 (0.74-1.03)."""
    low, high = (_numbers(ratio[q], digits=2) for q in ("q10", "q90"))
    return f"{_numbers(ratio['median'], digits=2)} ({low}-{high})"


def _median_and_lower(share: dict[str, float | None]) -> str:
    return f"{_numbers(share['median'], digits=2)} ({_numbers(share['q10'], digits=2)})"


def _added(energy: dict[str, float | None]) -> str:
    """Medians and 90th percentiles, such as -12.0, 3.5 (at 48 Hz); the band only if energy is added."""
    text = _numbers(energy["median_db"], energy["q90_db"], digits=1)
    return text if (energy["q90_db"] or 0) <= 0 else f"{text} (at {energy['hz']:.0f} Hz)"
