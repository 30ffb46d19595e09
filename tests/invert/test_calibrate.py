"""Calibrations: intervals that contain the truth as often as they say, and what is reported."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, N, matrix, rough_models


def test_intervals_contain_the_truth_only_with_the_representation_error():
    """The finding that this package builds on."""
    models = rough_models(400, 0)
    space = LinearSpace.from_models(models, D, rough_models(300, 1))
    data = matrix(5) @ rough_models(1, 2)[0]
    honest = Inverse(space, matrix(5), data, 0.05).calibrate(60)
    naive = Inverse(space, matrix(5), data, 0.05, representation=False).calibrate(60)
    of = [next(iter(c.results.values())) for c in (honest, naive)]
    assert 0.85 < of[0].cells[2] < 0.95
    assert 0.85 < of[0].codes[2] < 0.95
    assert of[1].codes[2] < 0.5
    assert of[1].cells[2] < 0.5
    assert "Gaussian" in str(honest)


def test_why_truths_could_not_be_inverted_is_told(monkeypatch):
    """Those that could be are counted; where none could, what is wrong is in the error."""
    inverse = Inverse(
        LinearSpace.from_models(rough_models(200, 0), 3), matrix(), np.zeros(N), 0.1, held_out=rough_models(80, 1)
    )
    with pytest.raises(InputError, match=r"None of the 3 truths could be inverted\. The first, number 0: n_steps is 0"):
        inverse.calibrate(3, "esmda", n_steps=0)
    calls, solve = [], Inverse.solve

    def at_times(self, method, **options):
        calls.append(method)
        if len(calls) == 2:
            raise InputError("the model has no ground")
        return solve(self, method, **options)

    monkeypatch.setattr(Inverse, "solve", at_times)
    found = inverse.calibrate(4)
    assert next(iter(found.results.values())).failed == ("number 1: the model has no ground",)
    assert "1 of the truths could not be inverted. The first: number 1: the model has no ground" in str(found)


def test_a_calibration_says_for_how_many_truths_chains_met():
    rng = np.random.default_rng(0)
    models = rng.normal(size=(60, 4)) @ np.diag([2.0, 1.0, 0.3, 0.1])
    space = LinearSpace.from_models(models[:30], 2, models[30:])
    found = Inverse(space, np.eye(4), np.zeros(4), 0.3).calibrate(3, "mcmc", n_draws=60, other_priors={})
    (coverage,) = (c for name, c in found.results.items() if "mcmc" in name)
    assert len(coverage.r_hat) == 3
    converged = sum(r <= 1.05 for r in coverage.r_hat)
    assert f"chains converged (R-hat <= 1.05) for {converged} of 3" in str(found)
    assert not found.results["Gaussian, all cells"].r_hat
