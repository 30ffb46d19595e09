"""Diagnoses: the problems that are reported."""

import numpy as np

from geoae.invert import Inverse, load
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, matrix, rough_models


def test_a_small_ensemble_is_reported(known):
    """Few members for each code make intervals too narrow."""
    for n_members, is_reported in ((8 * D, False), (8 * D - 1, True)):
        problems = known[0].solve("esmda", n_members=max(n_members, 10)).diagnose().problems
        assert any("members are few" in problem for problem in problems) is is_reported


def test_a_truth_outside_of_the_prior_is_reported():
    """Data that no model of the prior explains are named."""
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(200, 1))
    g = matrix(5)
    data = g @ rough_models(1, 2)[0]
    fine = Inverse(space, g, data, 0.1).solve("laplace").diagnose()
    data[4] += 30
    bad = Inverse(space, g, data, 0.1).solve("laplace").diagnose()
    assert not fine.problems
    assert bad.conflict_p < 0.01
    assert list(bad.unfit) == [4]
    assert any("cannot fit data 4" in problem for problem in bad.problems)


def test_data_are_named_among_all_that_were_given(tmp_path):
    """A missing datum does not shift the numbers of the others, also after saving."""
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(200, 1))
    data = matrix(5) @ rough_models(1, 2)[0]
    data[[0, 3]] = np.nan
    data[7] += 30
    posterior = Inverse(space, matrix(5), data, 0.1).solve("laplace", n_draws=50)
    for found in (posterior, load(posterior.save(tmp_path / "p.zarr"), space)):
        diagnosis = found.diagnose()
        assert list(diagnosis.unfit) == [7]
        assert list(np.flatnonzero(np.isnan(diagnosis.misfit_z))) == [0, 3]
        assert any("cannot fit data 7" in problem for problem in diagnosis.problems)
        assert "1 of 10" in str(diagnosis)
