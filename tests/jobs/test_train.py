"""geoae train: a complete model folder, resumed when run twice, and refusals of one line."""

import json

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from geoae import model as models
from geoae.api.train import train
from geoae.cli import app
from geoae.errors import InputError, OutputError
from geoae.jobs.train import TrainOptions
from geoae.model import devices
from geoae.readers.records.seisbench import open_set
from geoae.training.card import describe_data_set
from tests.conftest import tiny_recipe, write_seisbench


def write_recipe(folder, **changes):
    plan = tiny_recipe(limits="Not for anything.", **changes).model_dump(mode="json")
    (folder / "tiny.yml").write_text(yaml.safe_dump(plan))
    return folder / "tiny.yml"


def geoae(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Stopped at step 4 and started again, by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    words = ("train", write_recipe(folder), "--data", data, "-o", folder / "out", "--device", "cpu", "--workers", 0)
    return folder, [geoae(*words, "--steps", 4), geoae(*words)]


def test_the_model_folder_is_complete(trained):
    """Weights, model.json, card, history and curves are there, and the checkpoint to go on from."""
    out = trained[0] / "out"
    names = {p.name for p in out.iterdir()}
    assert names == {"weights.safetensors", "model.json", "card.md", "history.csv", "curves.png", "checkpoint"}
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert models.load_model(out).noise(np.ones((1, 3, 1024))).shape == (1, 3, 1024)


def test_a_second_run_resumes_the_first(trained):
    """The first stops at step 4, the second begins there; one line a validation on stderr, the result on stdout."""
    first, second = trained[1]
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [line.split()[1] for line in first.stderr.splitlines()] == ["4"]
    assert [line.split()[1] for line in second.stderr.splitlines()] == ["8"]
    model = models.load_model(trained[0] / "out")
    said, calibrated = second.stdout.splitlines()
    assert f"model tiny {model.digest}, validation SI-SDR improvement" in said
    assert calibrated.startswith("sigma is ")


def test_sigma_is_calibrated_at_the_end(trained):
    """Factor and periods are in model.json, the number of mixtures in the provenance and on the card."""
    contract = models.load_model(trained[0] / "out").contract
    stations = contract.provenance["calibration"]["stations"]
    assert contract.has_calibrated_sigma
    assert len(contract.periods_s) == 2
    assert f"factor {contract.sigma_factor:.3g}, found on 16 mixtures of {stations}" in trained[1][1].stdout
    assert f"on 16 mixtures of {stations} of these" in (trained[0] / "out" / "card.md").read_text()


def test_provenance_has_data_and_command(trained, data):
    """model.json repeats the recipe, digests, counts and licences of the data, and the command."""
    facts = models.describe_model(trained[0] / "out")["contract"]["provenance"]
    assert facts["recipe"]["name"] == "tiny"
    assert facts["command"] == "geoae train tiny.yml --data DIR -o MODELDIR"
    assert facts["data"]["events"] == describe_data_set(open_set(data / "events"))
    assert facts["data"]["noise"]["records"] == 24
    assert facts["data"]["noise"]["stations"] == 12
    assert str(data) not in json.dumps(facts)


def test_the_card_names_licences_limits_and_scores(trained):
    """The card shows training data, score and limits of the model."""
    card = (trained[0] / "out" / "card.md").read_text()
    model = models.load_model(trained[0] / "out")
    for words in ("# tiny", "for tests", "24 events records from 12 stations", "- 24 records: made up",
                  "crc32(NET.STA) % 4 == 0", "Not for anything.", model.digest,
                  f"{model.contract.provenance['validation_si_sdr_improvement_db']} dB"):  # fmt: skip
        assert words in card


def test_licences_are_counted_by_record(tmp_path):
    """Each licence with its number of records, most first; what is not stated is called so."""
    x = np.ones((3, 10))
    rows = [{"licence": "CC0"}, {"licence": "MIT"}, {"licence": "MIT"}, {"licence": ""}]
    found = describe_data_set(open_set(write_seisbench(tmp_path / "set", rows, [x] * 4)))["licences"]
    assert found == {"MIT": 2, "CC0": 1, "not stated": 1}
    assert next(iter(found)) == "MIT"


def test_a_folder_of_sets_has_the_digest_of_all_its_tables(tmp_path):
    """Another row in one of the sets is another digest."""
    x, digests = np.ones((3, 10)), []
    for licence in ("CC0", "MIT"):
        for name, rows in (("a", [{"licence": "CC0"}]), ("b", [{"licence": licence}])):
            write_seisbench(tmp_path / licence / name, rows, [x])
        digests.append(describe_data_set(open_set(tmp_path / licence))["metadata_sha256"])
    assert digests[0] != digests[1]


def test_another_recipe_is_refused_in_one_line(trained, data):
    """A folder with the checkpoint of another recipe is left alone: exit code 1 and one line."""
    folder = trained[0]
    changed = folder / "changed"
    changed.mkdir(exist_ok=True)
    before = (folder / "out" / "model.json").read_bytes()
    result = geoae("train", write_recipe(changed, optimize={"batch": 2}), "--data", data, "-o", folder / "out")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("geoae: ")
    assert "another recipe (they differ in: optimize)" in result.stderr
    assert (folder / "out" / "model.json").read_bytes() == before


def test_a_wrong_date_of_the_build_is_told_before_the_training(tmp_path, data, monkeypatch):
    """The date is written at the end of a training, which may take days."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    result = geoae("train", write_recipe(tmp_path), "--data", data, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("geoae: SOURCE_DATE_EPOCH is 'today'; it should be whole seconds")
    assert not (tmp_path / "out").exists()


def test_a_typo_in_a_recipe_is_one_line(tmp_path, data):
    """The key is named, and no folder is made."""
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace("patience", "patiense"))
    result = geoae("train", recipe, "--data", data, "-o", tmp_path / "out")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "optimize.patiense" in result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_data_is_one_line(tmp_path):
    """A folder without events/ and noise/ is named."""
    result = geoae("train", write_recipe(tmp_path), "--data", tmp_path, "-o", tmp_path / "out")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "events is not a data set in the SeisBench format" in result.stderr


@pytest.mark.parametrize("option", [{"threads": 0}, {"workers": -1}, {"stop": 0}])
def test_impossible_numbers_are_refused(tmp_path, data, option):
    """No threads, fewer than no workers and no steps are refused before anything is made."""
    with pytest.raises(InputError, match="must be at least"):
        train(write_recipe(tmp_path), data, tmp_path / "out", **option)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, data):
    """The model folder cannot be a file."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="cannot be made"):
        train(write_recipe(tmp_path), data, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_processes_of_torchrun_share_cores_and_gpus(monkeypatch):
    """Each takes the GPU of its number and its part of the cores, at least one; `threads` goes before."""
    monkeypatch.setattr(devices, "count_cores", lambda: 4)
    monkeypatch.setattr(devices, "choose_device", lambda device: "cuda" if device == "auto" else device)
    assert TrainOptions().resolve_device() == "cuda"
    assert TrainOptions().count_threads() == 4
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert TrainOptions().resolve_device() == "cuda:1"
    assert TrainOptions("cpu").resolve_device() == "cpu"
    assert TrainOptions().count_threads() == 1
    assert TrainOptions(threads=3).count_threads() == 3
