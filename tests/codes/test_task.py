"""Training of models with codes: the recipe determines windows, and a stopped training resumes to the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import geoae
from geoae.codes.mixing import draw_windows
from geoae.codes.task import training_task
from geoae.errors import InputError, RecipeError
from geoae.model import load_model
from geoae.training.recipe import load_recipe

TEXT = """
kind: codes
name: tiny
summary: For tests.
net:
  name: window-ae
  config: {ndim: 2, window: 8, sizes: [2, 4], basis: 16, experts: 3, rounds: 3, width: 8, depth: 1}
data: {files: ["*.nc"], exclude: ["held*"]}
draw: {n: 200, n_validation: 40, drawn: 0.2}
optimize: {steps: 6, batch: 8, validate_every: 3, warmup_steps: 2, ema_decay: 0.5, keep: last}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    coords = {"lat": ("lat", np.arange(20.0), {"units": "degrees_north"}),
              "lon": ("lon", np.arange(30.0), {"units": "degrees_east"})}  # fmt: skip
    for name in ("one", "held"):
        x = rng.normal(size=(12, 20, 30)).cumsum(-1).cumsum(-2)
        xr.Dataset({"t": (("time", "lat", "lon"), x)}, coords).to_netcdf(tmp_path / f"{name}.nc")
    (tmp_path / "r.yml").write_text(TEXT)
    return tmp_path


def test_a_training_ends_in_a_model_with_codes(folder):
    """The model loads, encodes and decodes, and its card lists the training files."""
    geoae.train(folder / "r.yml", folder, folder / "m", threads=1, workers=0, device="cpu")
    model = load_model(folder / "m")
    assert model.contract.latent == 4
    assert model.contract.window == (8, 8)
    x = geoae.read(folder / "held.nc")
    back = geoae.decode(geoae.encode(x, model=model), model=model)
    assert float(((back - x) ** 2).mean()) < 0.3 * float(x.var())
    card = (folder / "m" / "card.md").read_text()
    assert "one.nc" in card
    assert "- held.nc" not in card


def test_a_stopped_training_resumes_to_the_same_weights(folder):
    """Weights are equal bit by bit."""
    for name, stop in (("whole", None), ("parts", 3), ("parts", None)):
        geoae.train(folder / "r.yml", folder, folder / name, threads=1, workers=0, device="cpu", stop=stop)
    assert load_model(folder / "whole").digest == load_model(folder / "parts").digest


def test_windows_follow_from_the_recipe(folder):
    """Drawing twice gives the same windows, most of which differ from each other."""
    recipe = load_recipe(folder / "r.yml")
    one, two = draw_windows(recipe, folder, (8, 8)), draw_windows(recipe, folder, (8, 8))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert one[0].shape == (200, 8, 8)
    windows = training_task(recipe, folder).windows
    assert len({windows[i][0].tobytes() for i in range(200)}) > 150


def test_errors_count_by_their_logarithm(folder):
    """Ten times smaller errors lower the loss by log(100)."""
    loss = training_task(load_recipe(folder / "r.yml"), folder).loss
    x = torch.zeros(4, 1, 8, 8)
    one, ten = (float(loss(x + e, (x,)).total) for e in (0.1, 1.0))
    assert ten - one == pytest.approx(np.log(100), rel=1e-2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window: 8", "window: 64, basis: 16", "as large as a window"),
        ('files: ["*.nc"]', 'records: ["events"]', "windows of 2 dimensions; these data have 1"),
        ("name: window-ae\n  config: {", "name: identity\n  config: {} #", "makes no codes"),
    ],
)
def test_data_and_nets_that_do_not_fit_are_refused(folder, old, new, said):
    """Fields smaller than a window, records for windows of fields, nets without codes."""
    text = TEXT.replace("window: 8, ", "").replace("ndim: 2", "ndim: 2, window: 8") if "window: 64" in new else TEXT
    text = text.replace(old, new.replace(", basis: 16", ""))
    (folder / "r.yml").write_text(text)
    with pytest.raises(InputError, match=said):
        training_task(load_recipe(folder / "r.yml"), folder)


def test_a_recipe_names_files_or_records(folder):
    """Both, or neither, is an error."""
    for data in ("{}", '{files: ["*.nc"], records: [events]}'):
        (folder / "r.yml").write_text(TEXT.replace('{files: ["*.nc"], exclude: ["held*"]}', data))
        with pytest.raises(RecipeError, match="one of the two"):
            load_recipe(folder / "r.yml")
