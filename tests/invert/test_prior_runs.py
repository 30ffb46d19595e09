"""Runs that are made once."""

import numpy as np

from geoae.invert import Inverse
from geoae.invert.prior_runs import N_PRIOR_RUNS
from tests.invert import bent
from tests.invert.problems import linear_inverse


def test_held_out_models_are_run_once():
    """Two runs for each model, and one to check the forward model; inversions of other data use them again."""
    inverse, truths, g = linear_inverse(40)
    assert inverse.forward.n_runs == 1
    inverse.prepare()
    assert inverse.forward.n_runs == 1 + 2 * 40
    other = inverse.with_data(g @ truths[0], inverse.held_out, inverse.representation)
    assert other.solve("map").info["n_runs"] < 40


def test_draws_of_the_prior_replace_held_out_models():
    inverse = bent.inverse()
    first, second = inverse.solve("map").info, inverse.solve("map").info
    assert first["n_runs"] == second["n_runs"] + N_PRIOR_RUNS


def test_data_are_compared_with_enough_models_only():
    """Sixteen models or more; their costs say which search is good enough."""
    few, enough = linear_inverse(15)[0], linear_inverse(16)[0]
    for inverse, is_comparable in ((few, False), (enough, True)):
        assert isinstance(inverse, Inverse)
        problem = inverse.problem
        runs = inverse._prior_runs
        assert runs.is_comparable is is_comparable
        assert bool(runs.compare(inverse.data, inverse.noise)) is is_comparable
        assert np.isfinite(runs.likely_cost(problem, inverse.noise)) == is_comparable
