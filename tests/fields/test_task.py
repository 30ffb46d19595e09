"""Trainings of fields reduce their loss, and validation is apart from training."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from geoae import nets
from geoae.errors import InputError
from geoae.fields.mixing import FieldMixer
from geoae.fields.recipe import FieldMix, FieldRecipe
from geoae.fields.task import training_task, validate_fields
from geoae.training.loop import Job, TrainingTask, train_net
from tests.support import fields
from tests.support.field_training import WIDE, WINDOW, archive, recipe, write


def score_untrained(plan: FieldRecipe, task: TrainingTask) -> float:
    """Validation score of a new net, dB."""
    net = nets.build(plan.net.name, plan.net.config).eval()
    with torch.no_grad():
        return task.score(lambda windows: net(torch.from_numpy(windows)).numpy())


def test_sixty_steps_reduce_the_noise(tmp_path):
    """The validation score rises by more than 2 dB, and the contract has the windows of the recipe."""
    plan = recipe("clean", mix={"noise_level": [0.5, 0.5], "missing": 0.2})
    task = training_task(plan, write(tmp_path, archive()))
    model = train_net(plan, task, Job(tmp_path / "out"))
    assert model.contract.provenance["validation_error_less_db"] > score_untrained(plan, task) + 2
    assert (model.contract.window, model.contract.near, model.contract.far) == ((32, 32), 1, 3)


def test_training_on_members_finds_the_shared_field(tmp_path):
    """Two members share a rough field and have independent smooth noise, the opposite of what a new net assumes.

    Input and target have equal noise, so a perfect net scores 3 dB.
    """
    rng, (y, x) = np.random.default_rng(0), np.mgrid[0:40, 0:70]
    members = [
        280 + 3 * np.sin(1.9 * y) * np.cos(1.7 * x) + 30 * gaussian_filter(rng.normal(size=(9, 40, 70)), (0, 3, 3))
        for _ in range(2)
    ]
    plan = recipe("members", mix={"target": "members", "small": 0, "alone": 1, "added": 0, "zoomed": 0})
    task = training_task(plan, write(tmp_path, members))
    untrained_db = score_untrained(plan, task)
    model = train_net(plan, task, Job(tmp_path / "out"))
    assert untrained_db < 0.5
    assert 2 < model.contract.provenance["validation_error_less_db"] < 3.5


def test_training_on_hidden_points_reduces_the_loss(tmp_path):
    """Within 60 steps the loss falls by more than a third."""
    plan, rows = recipe("blind-spot"), []
    train_net(plan, training_task(plan, write(tmp_path, archive())), Job(tmp_path / "out", report=rows.append))
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]


def test_validation_files_are_not_trained_on(tmp_path):
    """They are left out of the training files that match the patterns."""
    plan = recipe("clean", data={"files": ["member*.nc"], "validation": ["member1.nc"]})
    made = training_task(plan, write(tmp_path, archive()))
    assert len(made.windows.fields) == 1


def test_training_with_overviews(tmp_path):
    """The model of overviews is loaded from its folder, the contract has the overview, and the loss in dB falls."""
    fields.saved(tmp_path / "overview", window=(32, 32))
    mix = {"wide": 1.0, "overview": str(tmp_path / "overview"), "noise_level": [0.5, 0.5], "drawn": 1.0}
    plan, rows = recipe("clean", mix=mix, window=WIDE), []
    model = train_net(plan, training_task(plan, write(tmp_path, archive())), Job(tmp_path / "out", report=rows.append))
    assert model.contract.overview == 2
    assert rows[-1]["loss"] < rows[0]["loss"] - 2


def test_a_model_of_overviews_with_other_windows_is_refused(tmp_path):
    """A model with other windows, and one that is not for fields, are refused."""
    for name, words in (
        ("grid", "64 x 64 points; those of the recipe have 32 x 32"),
        ("seismic", "not a denoiser of grid"),
    ):
        plan = recipe("clean", mix={"wide": 0.5, "overview": name}, window=WIDE)
        with pytest.raises(InputError, match=words):
            training_task(plan, write(tmp_path, archive()))


def test_the_score_is_the_reduction_of_the_error():
    """The input itself scores 0 dB; a tenth of its error scores 20 dB."""
    mix = FieldMix(noise_level=(0.5, 0.5), missing=0.3, noiseless=0, small=0)
    mixer = FieldMixer(archive(), mix, WINDOW, 0)
    windows = [mixer[i] for i in range(6)]
    targets = np.stack([window.target for window in windows])

    def reduce_error(shown: np.ndarray, factor: float) -> np.ndarray:
        return targets + factor * (shown[:, :1] - targets)

    assert validate_fields(lambda shown: shown[:, :1], mixer, 6) == pytest.approx(0, abs=1e-5)
    assert validate_fields(lambda shown: reduce_error(shown, 0.1), mixer, 6) == pytest.approx(20, abs=1e-3)
