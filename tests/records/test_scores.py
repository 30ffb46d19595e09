"""Scores of perfect, useless and failing denoisers, on a small data set in the SeisBench format."""

import json

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.records.baselines import band_pass
from geoae.records.mixtures import build_mixtures
from geoae.records.scores import DEFINITIONS, Comparison, compare_denoisers, score_denoiser
from geoae.records.scores_tables import build_table_rows, format_markdown
from tests.support.mixtures import draw_event, write_set


def test_the_truth_scores_best_and_doing_nothing_scores_zero(mixture_data):
    """An oracle reaches the ceilings, doing nothing gains nothing, and breaking every other mixture is counted."""
    mixtures = build_mixtures(mixture_data, n=8)
    truth = iter(np.split(np.concatenate([mixtures.clean] * 3), 6))
    oracle = score_denoiser(lambda x: next(truth), mixtures, snrs=[0], batch=4)
    at_0 = oracle["snr"]["0"]
    assert at_0["si_sdr_gain_db"]["median"] > 59
    np.testing.assert_allclose(at_0["snr_gain_db"]["median"], 60, atol=1e-3)
    assert at_0["correlation"]["median"] == at_0["peak_ratio"]["median"] == at_0["onset_within_0.1s"] == 1
    assert at_0["following"]["onset"]["within_0.1s"] == at_0["following"]["peak_ratio"]["median"] == 1
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


def test_muting_scores_as_silence(mixture_data):
    """Zeros score -50 dB, no correlation, no peak and no onset, but remove all noise."""
    mixtures = build_mixtures(mixture_data, n=4)
    scored = score_denoiser(np.zeros_like, mixtures, snrs=[0])
    at_0 = scored["snr"]["0"]
    assert at_0["si_sdr_gain_db"]["median"] < -45
    assert at_0["correlation"]["median"] == at_0["peak_ratio"]["median"] == at_0["onset_within_0.1s"] == 0
    assert at_0["onset_error_s"]["median"] == 2.5
    assert at_0["before_p_reduction_db"]["median"] == scored["noise_in"]["reduction_db"]["median"] == 80


def test_batches_do_not_matter(mixture_data):
    """The scores of a denoiser that treats traces one by one do not depend on the batch, and its input is a copy."""
    mixtures = build_mixtures(mixture_data, n=7)
    before = mixtures.clean.copy()

    def careless(x):
        x *= 2
        return band_pass(x)

    assert score_denoiser(careless, mixtures, [0], batch=2) == score_denoiser(careless, mixtures, [0], batch=100)
    np.testing.assert_array_equal(mixtures.clean, before)


def test_compare_reports_model_and_baselines(mixture_data):
    """Results can be stored as JSON, name the settings, and make one table for each band, one row for each method."""
    lines = []
    results = compare_denoisers(
        band_pass, mixture_data, Comparison(3, bands=("raw", "bp1-45"), snrs_db=(0, 5)), "mine", lines.append
    )
    assert json.loads(json.dumps(results)) == results
    assert results["definitions"] == DEFINITIONS
    assert (results["n"], results["snrs_db"], results["stations"]) == (3, [0, 5], "validation")
    for band in ("raw", "bp1-45"):
        methods = results["bands"][band]["methods"]
        assert list(methods)[:2] == ["mine", "do nothing"]
        assert methods["mine"] == methods["band-pass 1-20 Hz"]
        assert [line for line in lines if line.startswith(band)] == [f"{band}: {method}" for method in methods]
        header, rows = build_table_rows(results, band)
        assert all(len(row) == len(header) for row in rows)
        assert rows[1][:3] == ["do nothing", "0.0", "0.0"]
    recorded = results["recordings"]["methods"]
    assert list(recorded) == ["mine", "do nothing", "band-pass 1-20 Hz", "STFT Wiener, blind"]
    assert recorded["mine"] == recorded["band-pass 1-20 Hz"]
    assert recorded["do nothing"]["events"]["kinds"]["all"]["peak_kept"]["q10"] == 1
    text = format_markdown(results)
    assert text.count("| mine |") == 6
    assert text.count("told the noise before P |") == 4


def test_bad_arguments_are_refused(mixture_data, tmp_path):
    """An unknown band, a set without usable records and a denoiser that changes the shape are named."""
    with pytest.raises(InputError, match="bp1-45"):
        build_mixtures(mixture_data, band="bp2")
    with pytest.raises(InputError, match="validation, train or all"):
        build_mixtures(mixture_data, stations="test")
    rng = np.random.default_rng(0)
    events = [("weak", "XX.A", 100.0, draw_event(rng, noise=1.0), 3000, (True,) * 3)]
    write_set(tmp_path / "events", events)
    write_set(tmp_path / "noise", [("n", "XX.A", 100.0, rng.normal(size=(3, 9000)), "", (True,) * 3)])
    with pytest.raises(InputError, match="0 usable events"):
        build_mixtures(tmp_path, "raw", stations="all")
    mixtures = build_mixtures(mixture_data, n=2)
    with pytest.raises(InputError, match="keep the shape"):
        score_denoiser(lambda x: x[..., ::2], mixtures, [0])
