"""Every recipe of the repository loads, and its net builds and takes its windows."""

import math
from pathlib import Path

import pytest
import torch

from geoae import nets
from geoae.arrays.neighbours import N_CHANNELS
from geoae.errors import InputError, UnknownNameError
from geoae.training.recipe import load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yml"))


def test_there_are_recipes():
    """The recipe of the default model exists."""
    assert "seismic-dae" in {p.stem for p in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_loads_and_its_net_builds(path):
    """The recipe is complete, and its net keeps the shape of its windows and of the smallest one."""
    recipe = load_recipe(path)
    net = nets.build(recipe.net.name, recipe.net.config).eval()
    for shown, answered in WINDOWS[getattr(recipe, "kind", "record")](recipe):
        x = torch.randn(1, *shown, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            y = net(x)
        assert y.shape == (1, *answered)
        assert torch.isfinite(y).all()


def of_record(recipe):
    w = recipe.window
    assert w.length % w.multiple == 0
    return [((3, n), (3, n)) for n in (w.train_length, w.multiple)]


def of_field(recipe):
    w = recipe.window
    return [((N_CHANNELS, n, n), (1, n, n)) for n in (w.train_length, w.multiple)]


def of_codes(recipe):
    config = recipe.net.config
    return [((1, *[config["window"]] * config["ndim"]),) * 2]


def of_prior(recipe):
    config = recipe.net.config
    return [((3, *config["shape"]), (math.prod(config["shape"]) + 2 * config["latent"],))]


WINDOWS = {"record": of_record, "field": of_field, "codes": of_codes, "prior": of_prior}


def test_names_of_nets_are_refused_with_the_choices():
    """The message names the unknown net, or setting, and lists the known ones."""
    with pytest.raises(UnknownNameError, match="cascade-dae"):
        nets.build("spectral", {})
    with pytest.raises(UnknownNameError, match=r"no setting widht\. It has: .*width"):
        nets.build("cascade-dae", {"widht": 8})


@pytest.mark.parametrize(
    "config",
    [
        {"width": "wide"},
        {"width": 0},
        {"width": True},
        {"dilations": []},
        {"dilations": [1, "2"]},
        {"floor": None},
        {"frame": 66},
        {"gate_kernel": 4},
        {"kernel": 4},
        {"leak": 1.5},
    ],
)
def test_values_that_make_no_net_are_refused(config):
    """A value of the wrong type, or sizes that do not fit, raise an error of one line that names the setting."""
    with pytest.raises(InputError, match=next(iter(config))) as caught:
        nets.build("cascade-dae", config)
    assert "\n" not in str(caught.value)
