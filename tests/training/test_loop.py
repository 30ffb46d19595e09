"""The loop learns; stops, kills, workers and processes do not change the trained weights."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from geoae import model as models
from geoae.errors import InputError
from geoae.model import load_model
from geoae.records.recipe import RecordMix, RecordRecipe
from geoae.records.task import training_task
from geoae.training import loop
from geoae.training.loop import AVERAGED_EVERY, Job
from tests.conftest import tiny_recipe

ROOT = Path(__file__).parents[2]


def train(recipe: RecordRecipe, data: Path, job: Job) -> models.Model:
    return loop.train_net(recipe, training_task(recipe, data), job)


def tensors(out: Path) -> dict[str, torch.Tensor]:
    """Net, average, best and moments of the checkpoint in a folder."""
    facts = json.loads((out / "checkpoint" / "checkpoint.json").read_text())
    return load_file(out / "checkpoint" / facts["tensors"])


def history(out: Path) -> list[dict[str, float]]:
    with (out / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def assert_same(found: dict, expected: dict, atol: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=atol, msg=lambda m, k=key: f"{k}: {m}")


def run_python(arguments: list[str], out: Path) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=out, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Eight uninterrupted steps, the reference of the other tests."""
    out = tmp_path_factory.mktemp("whole")
    return train(tiny_recipe(), data, Job(out)), out


def test_the_loss_falls(data, tmp_path):
    """Sixty steps on made-up data lower the loss and raise the score on stations that were not trained on.

    Windows of one kind: with all kinds of damage the loss depends more on the draw than on sixty steps.
    """
    mix = {k: 0.0 for k in RecordMix.model_fields if k not in ("min_event_snr_db", "periods")} | {"snr_db": [0, 5]}
    optimize = {"steps": 60, "validate_every": 15, "learning_rate": 5e-3}
    plan = tiny_recipe(mix=mix, optimize=optimize, split={"n_windows": 12})
    train(plan, data, Job(tmp_path))
    rows = history(tmp_path)
    assert [row["step"] for row in rows] == [15, 30, 45, 60]
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    assert rows[-1]["val_db"] > rows[0]["val_db"] + 1


def test_the_history_has_the_terms_of_the_loss(whole):
    """The terms follow the columns of all histories, and sum to the loss."""
    rows = history(whole[1])
    assert list(rows[0]) == ["step", "loss", "val_db", "lr", "loss_error", "loss_spectral"]
    for row in rows:
        assert row["loss_error"] + row["loss_spectral"] == pytest.approx(row["loss"], rel=1e-5)
        assert row["loss_spectral"] > 0


def test_a_checkpoint_without_the_terms_of_the_loss_is_resumed(data, tmp_path):
    """Rows of older checkpoints keep their values; the missing columns are NaN."""
    train(tiny_recipe(), data, Job(tmp_path, stop_after_steps=4))
    file = tmp_path / "checkpoint" / "checkpoint.json"
    facts = json.loads(file.read_text())
    facts["history"] = [{k: v for k, v in row.items() if not k.startswith("loss_")} for row in facts["history"]]
    file.write_text(json.dumps(facts))
    train(tiny_recipe(), data, Job(tmp_path))
    old, new = history(tmp_path)
    assert math.isnan(old["loss_error"])
    assert old["loss"] == facts["history"][0]["loss"]
    assert math.isfinite(new["loss_error"])


def test_the_model_records_how_it_was_trained(whole):
    """Contract and provenance repeat the recipe, the score and the step."""
    model, out = whole
    facts, recipe = model.contract.provenance, tiny_recipe()
    assert facts["recipe"] == recipe.model_dump(mode="json")
    best = max(history(out), key=lambda row: row["val_db"])
    assert facts["step"] == best["step"]
    assert facts["validation_si_sdr_improvement_db"] == pytest.approx(best["val_db"], abs=1e-3)
    assert (model.contract.window, model.contract.stride, model.contract.rate_hz) == (1024, 768, 100.0)
    assert not model.net.training


def test_the_date_is_that_of_the_build(monkeypatch):
    """SOURCE_DATE_EPOCH gives model folders that are equal byte by byte, as it does for stores."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    facts = loop._make_provenance(tiny_recipe(), {"history": []}, "score")
    assert facts["date"] == "2001-09-09"


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_the_recipe_names_are_kept(data, tmp_path, keep):
    """A training that gets worse gives its best weights, or those of its last step if the recipe selects them."""
    optimize = {"steps": 12, "validate_every": 3, "learning_rate": 0.3, "keep": keep}
    model = train(tiny_recipe(optimize=optimize), data, Job(tmp_path))
    rows, facts = history(tmp_path), model.contract.provenance
    best = max(rows, key=lambda row: row["val_db"])
    assert best["step"] < rows[-1]["step"] == 12  # else the case shows nothing
    assert facts["step"] == (best["step"] if keep == "best" else 12)
    module = {"best": "best/module.", "last": "ema/module."}[keep]
    kept = {k.removeprefix(module): v for k, v in tensors(tmp_path).items() if k.startswith(module)}
    assert_same(dict(model.net.state_dict()), kept)


@pytest.mark.parametrize("stop", [4, 6])
def test_a_stopped_training_resumes_to_the_same_weights(whole, data, tmp_path, stop):
    """After a stop at any step, weights and moments are those of the uninterrupted training."""
    train(tiny_recipe(), data, Job(tmp_path, stop_after_steps=stop))
    assert json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())["step"] == stop
    train(tiny_recipe(), data, Job(tmp_path))
    found, expected = tensors(tmp_path), tensors(whole[1])
    learnt = [k for k in expected if not k.startswith("best/")]  # a stop at 6 has a validation of its own
    assert_same({k: found[k] for k in learnt}, {k: expected[k] for k in learnt})
    if stop == 4:
        assert_same(found, expected)
        for found_row, row in zip(history(tmp_path), history(whole[1]), strict=True):
            assert found_row == pytest.approx(row)


def test_a_stopped_training_with_muon_resumes_to_the_same_weights(data, tmp_path):
    """The moments of both optimizers are kept; weights differ from those of AdamW alone."""
    plan = tiny_recipe(optimize={"optimizer": "muon", "onset_weight": 15.0})
    whole = train(plan, data, Job(tmp_path / "whole"))
    train(plan, data, Job(tmp_path / "parts", stop_after_steps=4))
    parts = train(plan, data, Job(tmp_path / "parts"))
    found, expected = tensors(tmp_path / "parts"), tensors(tmp_path / "whole")
    assert any(k.startswith("muon/") and k.endswith("momentum_buffer") for k in expected)
    assert any(k.startswith("adamw/") and k.endswith("exp_avg") for k in expected)
    assert_same(found, expected)
    assert_same(parts.net.state_dict(), whole.net.state_dict())
    for found_row, row in zip(history(tmp_path / "parts"), history(tmp_path / "whole"), strict=True):
        assert found_row == pytest.approx(row)


def test_training_begins_with_the_weights_of_another_model(whole, data, tmp_path):
    """A tiny learning rate leaves the weights unchanged; a model of another net is refused with advice."""
    whole[0].save(tmp_path / "first", "card")
    still = {"learning_rate": 1e-12, "final_learning_rate": 0.0, "weight_decay": 0.0}
    again = train(tiny_recipe(start=str(tmp_path / "first"), optimize=still), data, Job(tmp_path / "again"))
    for name, weight in whole[0].net.state_dict().items():
        torch.testing.assert_close(again.net.state_dict()[name], weight, rtol=0, atol=1e-6)
    other = tiny_recipe(start=str(tmp_path / "first"), net={"config": {"width": 12, "dilations": [1]}})
    with pytest.raises(InputError, match=r"'width': 8.*which is not the net of the recipe"):
        train(other, data, Job(tmp_path / "other"))


def test_weights_are_rounded_if_the_recipe_says_so(whole, data, tmp_path):
    """Weights are those of the same training, rounded, in half the bytes; the digest is that of the file."""
    half = train(tiny_recipe(optimize={"weights": "float16"}), data, Job(tmp_path / "half"))
    for name, weight in whole[0].net.state_dict().items():
        torch.testing.assert_close(half.net.state_dict()[name], weight, rtol=2.0**-11, atol=2.0**-25)
    for made in (whole[0], half):
        made.save(tmp_path / made.digest, "card")
        assert load_model(tmp_path / made.digest).digest == made.digest
    sizes = [(tmp_path / made.digest / "weights.safetensors").stat().st_size for made in (half, whole[0])]
    assert sizes[0] < 0.65 * sizes[1]


def test_a_killed_training_resumes_to_the_same_weights(whole, data, tmp_path):
    """SIGKILL between two checkpoints loses the steps since the last one, and nothing else."""
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(tiny_recipe().model_dump(mode="json")))
    code = f"""
import os, signal, torch
from pathlib import Path
from geoae.training import loop
from geoae.training.recipe import load_recipe
from geoae.records.task import training_task
torch.set_num_threads(1)
schedule = loop.compute_learning_rate
def kill_at_6(step, recipe):
    if step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return schedule(step, recipe)
loop.compute_learning_rate = kill_at_6
recipe = load_recipe(Path("recipe.yml"))
loop.train_net(recipe, training_task(recipe, Path({str(data)!r})), loop.Job(Path("out")))
"""
    done = run_python(["-c", code], tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(history(tmp_path / "out")) == 1
    model = train(tiny_recipe(), data, Job(tmp_path / "out"))
    assert_same(tensors(tmp_path / "out"), tensors(whole[1]))
    assert_same(model.net.state_dict(), whole[0].net.state_dict())


def test_two_processes_learn_the_same_as_one(whole, data, tmp_path):
    """torchrun with two CPU processes gives the weights of one process to 1e-4, in one model folder."""
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(tiny_recipe().model_dump(mode="json")))
    code = f"""
from pathlib import Path
from geoae import train
print(train(Path("recipe.yml"), {str(data)!r}, Path("out"), device="cpu", threads=1, workers=0))
"""
    (tmp_path / "run.py").write_text(code)
    # --standalone picks a free port
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "run.py"]
    done = run_python(run, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation SI-SDR") == 1
    assert_same(tensors(tmp_path / "out"), tensors(whole[1]), atol=1e-4)
    assert_same(models.load_model(tmp_path / "out").net.state_dict(), whole[0].net.state_dict(), atol=1e-4)


def test_workers_change_nothing(whole, data, tmp_path):
    """Windows that worker processes make are the same."""
    train(tiny_recipe(), data, Job(tmp_path, workers=1))
    assert_same(tensors(tmp_path), tensors(whole[1]))


def test_a_finished_training_does_not_go_on(whole, data, tmp_path):
    """Started again after its end, or with an earlier stop, it gives the same model and no new row."""
    plan = tiny_recipe(optimize={"steps": 4, "validate_every": 2})
    first = train(plan, data, Job(tmp_path))
    for stop in (None, 1):
        again = train(plan, data, Job(tmp_path, stop_after_steps=stop, report=pytest.fail))
        assert_same(again.net.state_dict(), first.net.state_dict(), atol=0)


def test_training_ends_when_it_no_longer_gets_better(data, tmp_path):
    """With a learning rate too small to change weights, it ends after `patience` validations, and stays ended."""
    plan = tiny_recipe(optimize={"steps": 40, "validate_every": 2, "patience": 3, "learning_rate": 1e-30,
                                 "final_learning_rate": 0.0})  # fmt: skip
    train(plan, data, Job(tmp_path))
    assert [row["step"] for row in history(tmp_path)] == [2, 4, 6, 8]
    train(plan, data, Job(tmp_path, report=pytest.fail))


def test_the_average_is_exponential_and_the_best_is_kept(data, tmp_path):
    """It is updated every fourth step, with the decay of four steps; the best average is returned."""
    seen = []
    plan = tiny_recipe(optimize={"steps": 10, "validate_every": 1})
    model = train(plan, data, Job(tmp_path, report=lambda row: seen.append((row, tensors(tmp_path)))))
    names = [k.removeprefix("net/") for k in seen[0][1] if k.startswith("net/")]
    average = {k: seen[0][1][f"net/{k}"] for k in names}
    keep = 0.9**AVERAGED_EVERY
    for row, state in seen:
        if row["step"] % AVERAGED_EVERY == 1:
            average = {k: keep * average[k] + (1 - keep) * state[f"net/{k}"] for k in names}
        assert_same({k: state[f"ema/module.{k}"] for k in names}, average)
    _, best = max(seen, key=lambda item: item[0]["val_db"])
    assert_same({k: v for k, v in model.net.state_dict().items()}, {k: best[f"ema/module.{k}"] for k in names}, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"optimize": {"learning_rate": 1e-2}}, "optimize"), ({"net": {"config": {"width": 16}}}, "net")],
)
def test_the_checkpoint_of_another_recipe_is_refused(whole, data, change, named):
    """The message lists the differing sections; nothing is loaded or overwritten."""
    before = (whole[1] / "history.csv").read_bytes()
    with pytest.raises(InputError, match=rf"^[^\n]*another recipe \(they differ in: {named}\)[^\n]*$"):
        train(tiny_recipe(**change), data, Job(whole[1]))
    assert (whole[1] / "history.csv").read_bytes() == before


@pytest.mark.gpu
def test_two_steps_on_cuda(data, tmp_path):
    """A training on the GPU, with precision auto in bfloat16, ends with a model on the CPU."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    plan = tiny_recipe(optimize={"steps": 2, "validate_every": 1, "precision": "auto"})
    model = train(plan, data, Job(tmp_path, device="cuda"))
    assert [math.isfinite(row["loss"]) for row in history(tmp_path)] == [True, True]
    assert all(v.device.type == "cpu" for v in model.net.state_dict().values())
