"""What a prior's net is shown, the same window whatever it is made together with; and what is done in the end."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoae import nets
from geoae.arrays.transforms import Transform
from geoae.priors import data as prior_data
from geoae.priors.contract import PriorContract
from geoae.priors.finish import N_AGGREGATE, add_companions, finish_prior, make_net_input
from geoae.priors.prior import Prior
from geoae.priors.recipe import PriorRecipe
from geoae.priors.task import make_prior_task

SHAPE = (6, 5)


def plan(beta=2.0, anneal=10, **optimize):
    return PriorRecipe.model_validate({
        "kind": "prior", "name": "tiny", "summary": "for tests", "data": {"models": "m.npz:m"},
        "net": {"name": "vae", "config": {"shape": list(SHAPE), "latent": 3, "layers": "dense", "hidden": 8}},
        "optimize": {"steps": 20, "batch": 4, "beta": beta, "anneal_steps": anneal, **optimize},
    })  # fmt: skip


def some_models(mirror=()):
    """Forty models that lack cells here and there."""
    rng = np.random.default_rng(4)
    models = rng.normal(3.0, 2.0, (40, *SHAPE))
    models[rng.random(models.shape) < 0.1] = np.nan
    return prior_data.divide_models(models, None, 0.1, 4, 0, mirror)


def windows(mirror=(), beta=2.0, anneal=10):
    return make_prior_task(plan(beta, anneal), some_models(mirror)).windows


@pytest.mark.parametrize("data_weight", [0.0, 2.0])
def test_the_terms_of_the_bound_have_names_and_sum_to_it(data_weight):
    """Reconstruction, KL, and the error of the data where a sensitivity is given and weighs something."""
    recipe = plan(data_weight=data_weight)
    sensitivity = np.random.default_rng(0).normal(size=(2, *SHAPE))
    made = make_prior_task(recipe, some_models(), sensitivity)
    torch.manual_seed(0)
    net = nets.build(recipe.net.name, recipe.net.config)
    made.prepare(net)
    parts = tuple(torch.from_numpy(part) for part in made.windows.batch([100, 101, 102]))
    total, terms = made.loss(net(parts[0]), parts)
    assert set(terms) == {"kl", "reconstruction", *(["data"] if data_weight else [])}
    torch.testing.assert_close(sum(terms.values()), total.detach())
    assert all(term != 0 and not term.requires_grad for term in terms.values())


@given(st.lists(st.integers(0, 200), min_size=1, max_size=9), st.sampled_from([(), (0,), (0, 1)]))
@settings(max_examples=20, deadline=None)
def test_a_window_is_the_same_alone_and_in_company(numbers, mirror):
    """Models, draws and weights follow from the number of a window alone."""
    made = windows(mirror)
    together = made.batch(numbers)
    for k, number in enumerate(numbers):
        for all_of_them, alone in zip(together, made[number], strict=True):
            np.testing.assert_array_equal(all_of_them[k], alone)
        draw = together[0][k, 2].reshape(-1)
        assert draw[:3].all(), "the numbers that codes are drawn with are missing"
        assert not draw[3:].any()


def test_the_weight_rises_step_by_step_and_stays():
    """Windows of one batch weigh the same; after `anneal_steps` steps of four windows it is beta."""
    _, weight, _ = windows().batch([0, 3, 4, 39, 400])
    np.testing.assert_allclose(weight[:, 0], [0.2, 0.2, 0.4, 2.0, 2.0], rtol=1e-6)


def test_cells_that_are_missing_do_not_count():
    """They are shown as 0, which is average, and marked; all others are shown as they are."""
    x = np.array([[[1.0, np.nan], [-2.0, 0.0]]])
    np.testing.assert_array_equal(make_net_input(x)[0], [[[1, 0], [-2, 0]], [[1, 0], [1, 1]], [[0, 0], [0, 0]]])


def test_codes_of_other_cuts_have_variance_one():
    """Each of twelve, as far as 8000 cuts tell, however few there are of those that stand for the training."""
    noise = np.random.default_rng(0).normal(size=(90, 90))
    image = (ndimage.gaussian_filter(noise, 2) > 0).astype(np.float32)
    models = prior_data.cut_models(image, (8, 8), (), 0.2, 20, 0)
    models = replace(models, sample=models.sample[:100])
    config = {"ndim": 2, "shape": [8, 8], "latent": 12, "likelihood": "bernoulli", "hidden": 16, "layers": "dense"}
    torch.manual_seed(0)
    net = nets.build("vae", config).eval()
    made = Prior(PriorContract("p", "", (8, 8), 12, training={}, provenance={}), "vae", config, net,
                 Transform("affine", 0.0, 1.0))  # fmt: skip
    finish_prior(made, models, SimpleNamespace(optimize=SimpleNamespace(seed=0), max_grey=0.5))
    add_companions(made, models)
    codes = made.companions["aggregate_codes"]
    assert codes.shape == (N_AGGREGATE, 12)
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(codes.var(0), 1, atol=0.06)
