"""geoae evaluate: a table, its numbers as JSON and a figure, and no result overwritten unasked."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from geoae.api.train import evaluate
from geoae.cli import app
from geoae.errors import InputError, OutputExistsError, UnknownNameError
from geoae.jobs.evaluate import FILES, record_denoiser, sigma_estimators, window_denoiser
from geoae.records.infer import build_identity_denoiser
from tests.conftest import tiny_model
from tests.support.long_periods import write_long_sets


def make_model():
    """A mixture fits into one window."""
    return tiny_model(6144, 5632)


@pytest.fixture(scope="module")
def scored(data, tmp_path_factory):
    out, lines = tmp_path_factory.mktemp("scored") / "results", []
    text = evaluate(data, make_model(), out, n=3, stations="all", device="cpu", threads=1, report=lines.append)
    return text, out, lines


def test_results_are_a_table_numbers_and_a_figure(scored):
    """The table that is returned is results.md; results.json holds the numbers, results.png draws them."""
    text, out, _ = scored
    assert {p.name for p in out.iterdir()} == set(FILES)
    assert (out / "results.md").read_text() == text
    assert (out / "results.png").read_bytes()[:4] == b"\x89PNG"
    results = json.loads((out / "results.json").read_text())
    assert results["model"] == {"name": "tiny", "digest": "0" * 12}
    assert (results["n"], results["stations"], results["validation_modulus"]) == (3, "all", 4)


def test_the_model_is_compared_with_baselines(scored):
    """Each band has a row for the model, for doing nothing, a band-pass and Wiener filters; each is reported."""
    text, _, lines = scored
    for method in ("model", "do nothing", "band-pass 1-20 Hz", "STFT Wiener, blind"):
        assert text.count(f"| {method} |") == 6
        sets = ("bp1-45", "raw", "recordings")
        assert [line for line in lines if line.endswith(f": {method}")] == [f"{name}: {method}" for name in sets]


def test_standard_errors_are_scored(scored):
    """Each band has a table of them; a net that does not estimate them has one row, which says how they are found."""
    text, out, lines = scored
    bands = json.loads((out / "results.json").read_text())["bands"]
    for name in ("bp1-45", "raw"):
        assert f"{name}: standard errors" in lines
        scores = bands[name]["sigma"]["methods"]["model (S N / (S + N) of cells of 1.28 s, and a factor)"]
        assert list(scores["snr"]) == ["-10", "-5", "0", "5", "10", "15"]
        assert 0 < scores["cover"] < 1
    assert text.count("| Errors within 1.645 sigma (n=3) |") == 2
    assert text.count("| model (S N / (S + N) of cells of 1.28 s, and a factor) |") == 2
    assert "Right standard errors have 90 %" in text


def test_standard_errors_of_a_models_own_have_a_baseline():
    """Those of a Wiener filter are scored beside those that the net estimates, or that have weights."""
    model = tiny_model()
    assert list(sigma_estimators(model)) == ["model (S N / (S + N) of cells of 1.28 s, and a factor)"]
    weighted = replace(model, contract=replace(model.contract, sigma_weights=((0.5,) * 9,) * 7))
    assert list(sigma_estimators(weighted)) == ["model", "S N / (S + N) of cells of 1.28 s"]
    model.net.estimate = lambda x: (x, x)
    assert list(sigma_estimators(model)) == ["model", "S N / (S + N) of cells of 1.28 s"]


def test_existing_results_need_overwrite(scored, data):
    """Existing results are refused before any work, and replaced when that is asked for."""
    _, out, _ = scored
    before = (out / "results.json").read_bytes()
    with pytest.raises(OutputExistsError, match=r"results\.json is there already; .*--overwrite"):
        evaluate(data, make_model(), out, n=1, stations="all")
    assert (out / "results.json").read_bytes() == before


def test_the_same_call_gives_the_same_table(scored, data, tmp_path):
    """Seed and data fix every number."""
    text, out, _ = scored
    assert evaluate(data, make_model(), out, n=3, stations="all", device="cpu", threads=1, overwrite=True) == text


def test_a_denoiser_takes_windows_one_by_one():
    """(n, 3, time) at 100 Hz comes back, and the identity removes nothing."""
    x = np.random.default_rng(0).normal(size=(3, 3, 700))
    np.testing.assert_allclose(window_denoiser(build_identity_denoiser())(x), x, atol=1e-12)
    model = make_model()
    np.testing.assert_array_equal(window_denoiser(model)(x)[1:2], window_denoiser(model)(x[1:2]))


def test_the_split_of_the_models_training_is_scored(data, tmp_path):
    """A model trained with another share of validation stations is scored on those stations, or not at all."""
    model = make_model()
    model.contract = replace(model.contract, provenance={"recipe": {"split": {"modulus": 2, "remainder": 0}}})
    evaluate(data, model, tmp_path, n=1, device="cpu", threads=1)
    assert json.loads((tmp_path / "results.json").read_text())["validation_modulus"] == 2
    model.contract = replace(model.contract, provenance={"recipe": {"split": {"modulus": 4, "remainder": 1}}})
    with pytest.raises(InputError, match="remainder"):
        evaluate(data, model, n=1, device="cpu")


@pytest.mark.parametrize(
    ("options", "said"), [({"n": 0}, "at least 1"), ({"stations": "mine"}, "validation, train or all")]
)
def test_impossible_options_are_refused(data, options, said):
    """No mixtures and unknown stations are said before any work."""
    with pytest.raises(InputError, match=said):
        evaluate(data, make_model(), **options)


def test_an_unknown_model_is_refused(data):
    """The names of the shipped models are in the message."""
    with pytest.raises(UnknownNameError, match="shipped models are"):
        evaluate(data, "sismic")


def test_records_at_other_rates_and_with_missing_components():
    """A record at a rate that the model does not take comes back; an absent component stays silent."""
    denoise = record_denoiser(make_model())
    x = np.random.default_rng(0).normal(size=(3, 700))
    assert denoise(x, 1e-4) is x
    x[1] = 0
    result = denoise(x, 50.0)
    assert not result[1].any()
    assert np.abs(result - x).max() > 0
    np.testing.assert_array_equal(denoise(np.zeros((3, 700)), 100.0), 0)


def test_a_purpose_keeps_its_share_of_the_noise(data):
    """The denoiser that is scored, and an unknown purpose before any work."""
    x = np.random.default_rng(0).normal(size=(3, 700))
    clean, kept = (record_denoiser(make_model(), share)(x, 100.0) for share in (0.0, 0.25))
    np.testing.assert_allclose(kept, 0.75 * clean + 0.25 * x, atol=1e-12)
    with pytest.raises(InputError, match="model 'tiny' has none"):
        evaluate(data, make_model(), purpose="picking")


def test_only_a_model_folder_has_a_card(data, tmp_path):
    """A loaded model and a shipped name are refused before any work."""
    for model in (make_model(), "seismic"):
        with pytest.raises(InputError, match="name a model folder to write its card"):
            evaluate(data, model, n=1, card=True)


def test_the_command_prints_the_table(scored, data):
    """Table on stdout and in the card, progress on stderr; a refusal is one line and exit code 1."""
    _, out, _ = scored
    model = out.parent / "model"
    make_model().save(model, "# tiny\n\n## Scores\n\nsuperseded\n\n## Limits\n")
    words = ["evaluate", "--data", str(data), "--model", str(model), "-n", "1", "--stations", "all", "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, "--recordings", str(data), "--card"])
    assert result.exit_code == 0
    card = (model / "card.md").read_text()
    assert "superseded" not in card
    assert "### Recordings, as they came" in card
    assert "| model |" in result.stdout
    assert "bp1-45: do nothing" in result.stderr
    refused = CliRunner().invoke(app, [*words, "-o", str(out)])
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is there already" in refused.stderr


def test_a_model_of_long_periods_is_scored_at_its_rate(tmp_path):
    """The table has the groups of events and noise; results.json holds the numbers."""
    folder, model = write_long_sets(tmp_path), tiny_model(rate_hz=1.0)
    recipe = {"mix": {"periods": "long"}, "split": {"modulus": 4, "remainder": 0}}
    contract = replace(model.contract, rate_range_hz=(0.1, 10.0), provenance={"recipe": recipe})
    text = evaluate(folder, replace(model, contract=contract), tmp_path / "out", n=1, stations="all", threads=1)
    assert "| whole wave trains (1 stations) in sea floor, as recorded (1) |" in text
    assert (tmp_path / "out" / "results.md").read_text() == text
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["groups"]) == 6
