"""Calibrations: how often intervals contain the truth, and what is reported."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.calibrate import rank_truth
from geoae.priors.pca import make_components_space, pca_space
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import CELLS, D, N, matrix, rough_models


def test_intervals_contain_the_truth_only_with_the_representation_error():
    """90 % intervals contain 90 % of truths with it, and fewer than half without."""
    models = rough_models(400, 0)
    space = LinearSpace.from_models(models, D, rough_models(300, 1))
    data = matrix(5) @ rough_models(1, 2)[0]
    calibrated = Inverse(space, matrix(5), data, 0.05).calibrate(60)
    overconfident = Inverse(space, matrix(5), data, 0.05, representation=False).calibrate(60)
    with_error, without = [next(iter(c.results.values())) for c in (calibrated, overconfident)]
    assert 0.85 < with_error.cells[2] < 0.95
    assert 0.85 < with_error.codes[2] < 0.95
    assert without.codes[2] < 0.5
    assert without.cells[2] < 0.5
    assert "Gaussian" in str(calibrated)


def test_errors_of_truths_are_reported(monkeypatch):
    """Other truths are counted; if all fail, the first error is raised."""
    inverse = Inverse(
        LinearSpace.from_models(rough_models(200, 0), 3), matrix(), np.zeros(N), 0.1, held_out=rough_models(80, 1)
    )
    with pytest.raises(InputError, match=r"None of the 3 truths could be inverted\. The first, number 0: n_steps is 0"):
        inverse.calibrate(3, "esmda", n_steps=0)
    calls, solve = [], Inverse.solve

    def fail_once(self, method, **options):
        calls.append(method)
        if len(calls) == 2:
            raise InputError("the model has no ground")
        return solve(self, method, **options)

    monkeypatch.setattr(Inverse, "solve", fail_once)
    found = inverse.calibrate(4)
    assert next(iter(found.results.values())).failed == ("number 1: the model has no ground",)
    assert "1 of the truths could not be inverted. The first: number 1: the model has no ground" in str(found)


def test_a_calibration_reports_for_how_many_truths_chains_converged():
    rng = np.random.default_rng(0)
    models = rng.normal(size=(60, 4)) @ np.diag([2.0, 1.0, 0.3, 0.1])
    space = LinearSpace.from_models(models[:30], 2, models[30:])
    found = Inverse(space, np.eye(4), np.zeros(4), 0.3).calibrate(3, "mcmc", n_draws=60, other_priors={})
    (coverage,) = (c for name, c in found.results.items() if "mcmc" in name)
    assert len(coverage.r_hat) == 3
    converged = sum(r <= 1.05 for r in coverage.r_hat)
    assert f"chains converged (R-hat <= 1.05) for {converged} of 3" in str(found)
    assert not found.results["Gaussian, all cells"].r_hat


def test_components_saved_with_a_prior_are_the_baseline():
    space = pca_space(rough_models(200, 0), 3, held_out=rough_models(80, 1))
    assert make_components_space(space) is None
    basis = np.random.default_rng(0).normal(size=(CELLS, 2))
    space.model.companions |= {"pca_basis": basis, "pca_offset": np.ones(CELLS)}
    found = make_components_space(space)
    z = found.sample(4)
    np.testing.assert_allclose(found.encode(found.decode(z)), z, atol=1e-8)
    table = str(Inverse(space, matrix(), np.zeros(N), 0.1).calibrate(10, without_representation=True))
    assert "pca-2, laplace, cells" in table
    assert "without residual" in table


def test_ranks_are_shares_of_draws_below_the_truth():
    """Equal draws count as below or above at random; ranks of calibrated draws are uniform."""
    rng = np.random.default_rng(0)
    assert 0.6 <= rank_truth(np.array(2.5), np.arange(4.0), rng) <= 0.8
    equal = np.array([rank_truth(np.array(1.0), np.ones(9), rng) for _ in range(2000)])
    assert equal.mean() == pytest.approx(0.5, abs=0.03)
    ranks = np.array([rank_truth(x[0], x[1:], rng) for x in rng.normal(size=(2000, 30))])
    np.testing.assert_allclose(np.quantile(ranks, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.04)


def test_the_chosen_truths_and_their_number_are_checked():
    inverse = Inverse(LinearSpace.from_models(rough_models(200, 0), 3), matrix(), np.zeros(N), 0.1,
                      held_out=rough_models(40, 1))  # fmt: skip
    with pytest.raises(InputError, match="n is 9; 4 of the truths could be run"):
        inverse.calibrate(9, truths=rough_models(4, 2))
    with pytest.raises(InputError, match="n is 33; 40 held-out models could be run, and 8 or more must be left"):
        inverse.calibrate(33)
    with pytest.raises(InputError, match="gives no intervals"):
        inverse.calibrate(5, "map")
