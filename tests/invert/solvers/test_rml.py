"""Randomised maximum likelihood: draws that follow the bends of a posterior."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.bent import exact, squared_misfit, valley
from tests.invert.bent import inverse as bent
from tests.invert.linear_space import LinearSpace


def test_draws_follow_a_bent_valley():
    """Their misfit is that of the posterior; draws of the Gaussian around the mode leave the valley."""
    mean, spread, misfit = exact()
    posterior, gaussian = (bent().solve(method, n_draws=400, n_starts=1) for method in ("rml", "laplace"))
    assert squared_misfit(posterior) < 1.5 * misfit
    assert squared_misfit(gaussian) > 5 * misfit
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.2 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.3)
    np.testing.assert_allclose(posterior.predicted, valley(posterior.codes), atol=1e-9)


def test_without_steps_a_draw_is_the_best_of_its_starting_points():
    """It stays in the valley, which draws of the Gaussian leave; with steps, draws spread as wide as the posterior."""
    few, none = (bent().solve("rml", n_draws=200, n_refine=n, n_starts=1) for n in (3, 0))
    gaussian = bent().solve("laplace", n_draws=200, n_starts=1)
    assert squared_misfit(none) < 0.2 * squared_misfit(gaussian)
    narrow, wide = (posterior.codes.std(0) / exact()[1] for posterior in (none, few))
    assert (narrow > 0.2).all()
    assert (wide > narrow + 0.1).all()
    assert none.info["n_runs"] < few.info["n_runs"]
    assert none.info["steps_of_draws"] == 0 < few.info["steps_of_draws"] <= 3


def test_a_draw_depends_on_seed_and_number_alone():
    """The first of thirty draws are the same as fifteen draws."""
    fifteen, thirty = (bent().solve("rml", n_draws=n) for n in (15, 30))
    np.testing.assert_allclose(fifteen.codes, thirty.codes[:15], atol=1e-12)


def test_both_of_two_modes_are_drawn():
    """Data that are the square of a number do not determine its sign: each sign gets half of the draws."""
    line = LinearSpace(np.zeros(1), np.ones((1, 1)))
    posterior = Inverse(line, lambda m: m**2, np.array([1.0]), 0.2, representation=False).solve("rml")
    assert posterior.info["n_modes"] == 2
    assert 0.35 < (posterior.codes > 0).mean() < 0.65
    np.testing.assert_allclose(posterior.predicted.mean(), 1, atol=0.1)


def test_failed_runs_are_rejected():
    """A draw stays where the forward model works."""
    forward = lambda m: np.where(np.abs(m[..., :1]) > 0.8, np.nan, valley(m))  # noqa: E731
    posterior = bent(forward).solve("rml", n_starts=1)
    assert posterior.info["n_failed"] > 0
    assert np.isfinite(posterior.predicted).all()
    assert np.abs(posterior.codes[:, 0]).max() <= 0.8


def test_finished_draws_are_read_from_the_checkpoint(tmp_path):
    """The search is repeated, the draws are not; a time limit before the first draws is an error."""
    inverse, kept = bent(), tmp_path / "draws.npz"
    with pytest.raises(InputError, match=r"after 0 of 100 draws.*Give more time"):
        inverse.solve("rml", time_limit_s=1e-9)
    whole, again = (inverse.solve("rml", n_draws=40, checkpoint=kept) for _ in range(2))
    np.testing.assert_array_equal(again.codes, whole.codes)
    assert again.info["finished"]
    assert 0 < again.info["n_runs"] < whole.info["n_runs"] / 2
