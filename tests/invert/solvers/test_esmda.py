"""The ensemble smoother."""

import numpy as np
from scipy.stats import chi2

from geoae.invert import Inverse
from geoae.invert.solvers.esmda import BEYOND, _clip_to_prior
from tests.invert.linear_space import LinearSpace


def test_members_far_from_the_prior_are_brought_back():
    """They keep their direction; members inside the limit are not changed at all."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 8))
    np.testing.assert_array_equal(_clip_to_prior(z), z)
    far = 1e4 * z
    back = _clip_to_prior(far)
    np.testing.assert_allclose((back**2).sum(1), chi2.isf(BEYOND, 8))
    np.testing.assert_allclose(back / np.linalg.norm(back, axis=1)[:, None], z / np.linalg.norm(z, axis=1)[:, None])
    assert not _clip_to_prior(np.zeros((3, 8))).any()


def test_data_that_no_model_explains_move_no_member_too_far():
    """An exponential is never negative; members stay within the limit of the prior, and would reach 17 without it."""
    space = LinearSpace(np.zeros(2), np.eye(2))
    found = Inverse(space, lambda m: np.exp([-m[0], m[1]]), np.array([0.3, -2.0]), 0.01, representation=False).solve(
        "esmda"
    )
    farthest = np.linalg.norm(found.codes, axis=1).max()
    assert 4 < farthest < 1.001 * chi2.isf(BEYOND, 2) ** 0.5
