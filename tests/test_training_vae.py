"""What a prior's net is shown: the same window whatever it is made together with."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae import prior_data
from geoae.recipe_priors import PriorRecipe
from geoae.training_vae import lesson_of, show

SHAPE = (6, 5)


def windows(mirror=(), beta=2.0, anneal=10):
    """Of forty models that lack cells here and there."""
    rng = np.random.default_rng(4)
    models = rng.normal(3.0, 2.0, (40, *SHAPE))
    models[rng.random(models.shape) < 0.1] = np.nan
    plan = PriorRecipe.model_validate({
        "kind": "prior", "name": "tiny", "summary": "for tests", "data": {"models": "m.npz:m"},
        "net": {"name": "vae", "config": {"shape": list(SHAPE), "latent": 3, "layers": "dense", "hidden": 8}},
        "optimize": {"steps": 20, "batch": 4, "beta": beta, "anneal_steps": anneal},
    })  # fmt: skip
    return lesson_of(plan, prior_data.from_models(models, None, 0.1, 4, 0, mirror)).windows


@given(st.lists(st.integers(0, 200), min_size=1, max_size=9), st.sampled_from([(), (0,), (0, 1)]))
@settings(max_examples=20, deadline=None)
def test_a_window_is_the_same_alone_and_in_company(numbers, mirror):
    """Models, draws and weights follow from the number of a window alone."""
    made = windows(mirror)
    together = made.many(numbers)
    for k, number in enumerate(numbers):
        for all_of_them, alone in zip(together, made[number], strict=True):
            np.testing.assert_array_equal(all_of_them[k], alone)
        draw = together[0][k, 2].reshape(-1)
        assert draw[:3].all(), "the numbers that codes are drawn with are missing"
        assert not draw[3:].any()


def test_the_weight_rises_step_by_step_and_stays():
    """Windows of one batch weigh the same; after `anneal_steps` steps of four windows it is beta."""
    _, weight, _ = windows().many([0, 3, 4, 39, 400])
    np.testing.assert_allclose(weight[:, 0], [0.2, 0.2, 0.4, 2.0, 2.0], rtol=1e-6)


def test_cells_that_are_missing_do_not_count():
    """They are shown as 0, which is average, and marked; all others are shown as they are."""
    x = np.array([[[1.0, np.nan], [-2.0, 0.0]]])
    np.testing.assert_array_equal(show(x)[0], [[[1, 0], [-2, 0]], [[1, 0], [1, 1]], [[0, 0], [0, 0]]])
