"""Promises of geoae.records.scores and geoae.records.mixtures, on a small data set in the SeisBench form."""

import csv
import json
import zlib

import h5py
import numpy as np
import pytest

from geoae.errors import InputError
from geoae.records.baselines import band_pass
from geoae.records.mixtures import BANDS, Mixtures, build_mixtures
from geoae.records.scores import (
    DEFINITIONS,
    Comparison,
    build_table_rows,
    compare_denoisers,
    format_markdown,
    score_denoiser,
)

STATIONS = [f"XX.S{i:02d}" for i in range(24)]
P_S = 30.0


def _write(folder, records, order="ENZ"):
    """Write (name, station, rate, data E N Z, P sample or "", has) records as waveforms.hdf5 and metadata.csv."""
    folder.mkdir(parents=True)
    fields = ["trace_name", "station_network_code", "station_code", "trace_sampling_rate_hz", "trace_p_arrival_sample"]
    fields += ["trace_component_order", "trace_has_e", "trace_has_n", "trace_has_z"]
    with h5py.File(folder / "waveforms.hdf5", "w") as file, (folder / "metadata.csv").open("w", newline="") as out:
        file["data_format/component_order"], file["data_format/dimension_order"] = order, "CW"
        rows = csv.writer(out)
        rows.writerow(fields)
        for name, station, rate, data, p, has in records:
            file[f"data/{name}"] = np.asarray([data["ENZ".index(c)] for c in order], dtype=np.float32)
            rows.writerow([name, *station.split("."), rate, p, order, *has])


def _event(rng, rate=100, seconds=80, noise=0.001):
    time = np.arange(int(seconds * rate)) / rate - P_S
    envelope = np.where(time >= 0, np.exp(-np.clip(time, 0, None) / 6), 0)
    carrier = np.sin(2 * np.pi * rng.uniform(3, 8, (3, 1)) * time)
    return 1000 * (envelope * carrier + noise * rng.normal(size=(3, time.size)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Events and noise of 24 stations, among them what must be left out."""
    folder, rng, whole = tmp_path_factory.mktemp("data"), np.random.default_rng(0), (True, True, True)
    events = [(f"e{i}", s, 100.0, _event(rng), 3000, whole) for i, s in enumerate(STATIONS)]
    events += [(f"fast{i}", s, 200.0, _event(rng, 200), 6000, whole) for i, s in enumerate(STATIONS)]
    some = STATIONS
    events += [(f"many{i}", some[0], 100.0, _event(rng), 3000, whole) for i in range(12)]
    events += [(f"weak{i}", s, 100.0, _event(rng, noise=1.0), 3000, whole) for i, s in enumerate(some)]
    events += [(f"early{i}", s, 100.0, _event(rng), 800, whole) for i, s in enumerate(some)]
    events += [(f"nopick{i}", s, 100.0, _event(rng), "", whole) for i, s in enumerate(some)]
    events += [(f"noz{i}", s, 100.0, _event(rng), 3000, (True, True, False)) for i, s in enumerate(some)]
    _write(folder / "events", events)
    lengths = [9000, 3000]  # short ones have to be repeated
    noise = [
        (f"n{i}_{n}", s, 100.0, rng.normal(size=(3, n)).cumsum(axis=1) * 0.1 + rng.normal(size=(3, n)), "", whole)
        for i, s in enumerate(STATIONS)
        for n in lengths
    ]
    spiky = rng.normal(size=(3, 9000))
    spiky[1, 4000] = 1000
    dead = rng.normal(size=(3, 9000))
    dead[2] = 7
    noise += [(f"spiky{i}", s, 100.0, spiky, "", whole) for i, s in enumerate(STATIONS)]
    noise += [(f"dead{i}", s, 100.0, dead, "", whole) for i, s in enumerate(STATIONS)]
    noise += [(f"slow{i}", s, 20.0, rng.normal(size=(3, 9000)), "", whole) for i, s in enumerate(STATIONS)]
    _write(folder / "noise", noise, order="ZNE")
    return folder


@pytest.mark.parametrize("band", BANDS)
def test_mixtures_are_built_as_stated(data, band):
    """Noise is at 0 dB per component over 20 s from P, P comes between 8 and 25 s, the mean before P is zero."""
    mixtures = build_mixtures(data, band, n=30)
    assert mixtures.clean.shape == mixtures.noise.shape == (30, 3, 6000)
    assert ((mixtures.p >= 800) & (mixtures.p <= 2500)).all()
    for clean, noise, p in zip(mixtures.clean, mixtures.noise, mixtures.p, strict=True):
        np.testing.assert_allclose(clean[:, p : p + 2000].var(axis=1), noise[:, p : p + 2000].var(axis=1), rtol=1e-9)
        np.testing.assert_allclose(clean[:, : p - 50].mean(axis=1), 0, atol=1e-9 * np.abs(clean).max())
    at_6_db = (mixtures.noisy(6.0) - mixtures.clean).var() / mixtures.noise.var()
    np.testing.assert_allclose(at_6_db, 10**-0.6)


def test_stations_are_kept_apart(data):
    """Validation holds one of four stations by the hash of the name, training the others; donors are other stations."""
    used = {}
    for side in ("validation", "train", "all"):
        mixtures = build_mixtures(data, "raw", n=80, stations=side)
        assert all(m["station"] != m["noise_station"] for m in mixtures.meta)
        used[side] = {m[key] for m in mixtures.meta for key in ("station", "noise_station")}
    hashed = {s for s in STATIONS if zlib.crc32(s.encode()) % 4 == 0}
    assert used["validation"] == hashed
    assert used["train"] <= set(STATIONS) - hashed
    assert used["all"] > used["validation"]


def test_unusable_records_are_left_out(data):
    """Weak, early, unpicked and incomplete events, spiky, dead and slow noise never enter; 8 events a station do."""
    mixtures = build_mixtures(data, "raw", n=200, stations="all")
    events = {m["event"] for m in mixtures.meta}
    assert {name.rstrip("0123456789") for name in events} == {"e", "fast", "many"}
    assert len([m for m in {(m["event"], m["station"]) for m in mixtures.meta} if m[1] == STATIONS[0]]) == 8
    assert {m["noise"][0] for m in mixtures.meta} == {"n"}


def test_p_stays_on_the_onset_through_resampling(data):
    """The clean trace is quiet before its P and loud after it, at 100 Hz and from 200 Hz."""
    mixtures = build_mixtures(data, "raw", n=60)
    kinds = {m["event"].rstrip("0123456789") for m in mixtures.meta}
    assert {"e", "fast"} <= kinds
    for clean, p in zip(mixtures.clean, mixtures.p, strict=True):
        assert (np.abs(clean[:, : p - 10]).max(axis=1) < 0.05 * np.abs(clean[:, p : p + 100]).max(axis=1)).all()


def test_components_follow_their_names(data):
    """Noise stored as Z N E is mixed into E N Z: each component is a scaled copy of the recorded one."""
    mixtures = build_mixtures(data, "raw", n=40)
    i = next(i for i, m in enumerate(mixtures.meta) if m["noise"].endswith("_9000"))
    with h5py.File(data / "noise" / "waveforms.hdf5") as file:
        e_n_z = file["data"][mixtures.meta[i]["noise"]][()][::-1].astype(float)
    for mixed, recorded in zip(mixtures.noise[i], e_n_z, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(recorded, 6000)
        steps = np.diff(mixed) / np.diff(mixed).std()
        best = max(float(steps @ np.diff(w) / 5999 / np.diff(w).std()) for w in windows)
        assert best > 0.99


def test_same_seed_same_mixtures(data):
    """The arguments fix every sample; another seed draws others."""
    first, again, other = (build_mixtures(data, n=10, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.clean, again.clean)
    np.testing.assert_array_equal(first.noise, again.noise)
    assert first.meta == again.meta
    assert not np.array_equal(first.noise, other.noise)


def test_the_truth_scores_best_and_doing_nothing_scores_zero(data):
    """An oracle reaches the ceilings, doing nothing gains nothing, and breaking every other mixture is counted."""
    mixtures = build_mixtures(data, n=8)
    truth = iter(np.split(np.concatenate([mixtures.clean] * 3), 6))
    oracle = score_denoiser(lambda x: next(truth), mixtures, snrs=[0], batch=4)
    at_0 = oracle["snr"]["0"]
    assert at_0["si_sdr_gain_db"]["median"] > 59
    np.testing.assert_allclose(at_0["snr_gain_db"]["median"], 60, atol=1e-3)
    assert at_0["correlation"]["median"] == at_0["peak_ratio"]["median"] == at_0["onset_within_0.1s"] == 1
    assert at_0["onset_error_s"]["q75"] == at_0["spectral_misfit_db"]["q75"] == at_0["n_nonfinite"] == 0
    nothing = score_denoiser(lambda x: x, mixtures, snrs=[0, 10])
    assert nothing["snr"]["10"]["si_sdr_gain_db"] == {"median": 0, "q25": 0, "q75": 0}
    assert nothing["clean_in"]["sdr_db"]["median"] == 80
    assert nothing["noise_in"] == {
        "reduction_db": {"median": 0, "q25": 0, "q75": 0},
        "peak_ratio": {"median": 1, "q25": 1, "q75": 1},
        "n_nonfinite": 0,
    }

    def breaking(x):
        x[::2, 1, 100] = np.nan
        return x

    assert score_denoiser(breaking, mixtures, snrs=[0])["snr"]["0"]["n_nonfinite"] == 4


def test_muting_scores_as_silence(data):
    """Zeros are no reconstruction: -50 dB, no correlation, no peak, no onset, noise gone."""
    mixtures = build_mixtures(data, n=4)
    scored = score_denoiser(np.zeros_like, mixtures, snrs=[0])
    at_0 = scored["snr"]["0"]
    assert at_0["si_sdr_gain_db"]["median"] < -45
    assert at_0["correlation"]["median"] == at_0["peak_ratio"]["median"] == at_0["onset_within_0.1s"] == 0
    assert at_0["onset_error_s"]["median"] == 2.5
    assert at_0["before_p_reduction_db"]["median"] == scored["noise_in"]["reduction_db"]["median"] == 80


def test_batches_do_not_matter(data):
    """The scores of a denoiser that treats traces one by one do not depend on the batch, and its input is a copy."""
    mixtures = build_mixtures(data, n=7)
    before = mixtures.clean.copy()

    def careless(x):
        x *= 2
        return band_pass(x)

    assert score_denoiser(careless, mixtures, [0], batch=2) == score_denoiser(careless, mixtures, [0], batch=100)
    np.testing.assert_array_equal(mixtures.clean, before)


def test_compare_reports_model_and_baselines(data):
    """The results go through JSON, name the settings, and make a table with one row a method and one table a band."""
    lines = []
    results = compare_denoisers(
        band_pass, data, Comparison(6, bands=("raw", "bp1-45"), snrs_db=(0, 5)), "mine", lines.append
    )
    assert json.loads(json.dumps(results)) == results
    assert results["definitions"] == DEFINITIONS
    assert (results["n"], results["snrs_db"], results["stations"]) == (6, [0, 5], "validation")
    for band in ("raw", "bp1-45"):
        methods = results["bands"][band]["methods"]
        assert list(methods)[:2] == ["mine", "do nothing"]
        assert methods["mine"] == methods["band-pass 1-20 Hz"]
        assert [line for line in lines if line.startswith(band)] == [f"{band}: {method}" for method in methods]
        header, rows = build_table_rows(results, band)
        assert all(len(row) == len(header) for row in rows)
        assert rows[1][:3] == ["do nothing", "0.0", "0.0"]
    text = format_markdown(results)
    assert text.count("| mine |") == 2
    assert text.count("told the noise before P |") == 2


def test_bad_arguments_are_refused(data, tmp_path):
    """An unknown band, a set without usable records and a denoiser that changes the shape are named."""
    with pytest.raises(InputError, match="bp1-45"):
        build_mixtures(data, band="bp2")
    with pytest.raises(InputError, match="validation, train or all"):
        build_mixtures(data, stations="test")
    rng = np.random.default_rng(0)
    events = [("weak", "XX.A", 100.0, _event(rng, noise=1.0), 3000, (True,) * 3)]
    _write(tmp_path / "events", events)
    _write(tmp_path / "noise", [("n", "XX.A", 100.0, rng.normal(size=(3, 9000)), "", (True,) * 3)])
    with pytest.raises(InputError, match="0 usable events"):
        build_mixtures(tmp_path, "raw", stations="all")
    mixtures = build_mixtures(data, n=2)
    with pytest.raises(InputError, match="keep the shape"):
        score_denoiser(lambda x: x[..., ::2], mixtures, [0])


def test_noise_of_the_events_station_alone_is_refused(tmp_path):
    """An event is never mixed with noise of its own station, not even when there is no other."""
    rng = np.random.default_rng(0)
    _write(tmp_path / "events", [("e", "XX.A", 100.0, _event(rng), 3000, (True,) * 3)])
    _write(tmp_path / "noise", [("n", "XX.A", 100.0, rng.normal(size=(3, 9000)), "", (True,) * 3)])
    with pytest.raises(InputError, match="another station"):
        build_mixtures(tmp_path, "raw", stations="all")


def test_mixtures_count_themselves():
    """The length of a set of mixtures is the number of windows."""
    x = np.zeros((5, 3, 6000))
    assert len(Mixtures(x, x, np.full(5, 800), "raw", ())) == 5
