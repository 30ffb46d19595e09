"""Checks of a forward model before many runs."""

import numpy as np
import pytest
from scipy import sparse

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.problems import CELLS, N, exact_space, matrix

G = matrix()
SPACE = exact_space()
DATA = G @ SPACE.decode(np.array([0.5, -1.0, 0.3]))
MISSING = np.where(np.arange(N) == 2, np.nan, DATA)


def invert(forward, data=DATA, noise=0.3, **options):
    return Inverse(SPACE, forward, data, noise, representation=False, **options)


def square(m):
    return G @ (m + 0.1 * m**2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"jacobian": lambda m: -G}, r"The Jacobian is not the derivative.*-1\.00 times.*differs from it by 200 %"),
        ({"jacobian": lambda m: 2 * G}, r"2\.00 times.*100 %"),
        ({"jacobian": lambda m: 1e-3 * G}, r"0\.00 times.*100 %"),
        ({"jacobian": lambda m: G[::-1]}, "not the derivative"),
        ({"jacobian": lambda m: -sparse.csr_array(G)}, r"-1\.00 times"),
        ({"adjoint": lambda m, w: -G.T @ w}, r"The adjoint is not the derivative.*-1\.00 times"),
        ({"adjoint": lambda m, w: 3 * G.T @ w}, r"3\.00 times"),
        ({"adjoint": lambda m, w: G.T @ w[::-1]}, "not the derivative"),
    ],
)
@pytest.mark.parametrize("data", [DATA, MISSING], ids=["all", "with NaN"])
def test_a_wrong_derivative_is_refused_with_numbers(options, says, data):
    """Wrong sign, scale, units or order, of Jacobians and adjoints, before any search."""
    with pytest.raises(InputError, match=says):
        invert(lambda m: G @ m, data, **options)


@pytest.mark.parametrize("data", [DATA, MISSING], ids=["all", "with NaN"])
def test_right_derivatives_are_accepted(data):
    """Exact ones of a nonlinear function, also for data of different sizes, and where runs are rough or fail."""

    def slope(m):
        return G * (1 + 0.2 * m)

    scale = np.geomspace(1e-3, 1e3, N)
    covariance = np.diag(scale**2) + 0.1 * np.outer(scale, scale)
    invert(square, data, jacobian=slope, adjoint=lambda m, w: slope(m).T @ w)
    invert(lambda m: scale * square(m), scale * data, covariance, jacobian=lambda m: scale[:, None] * slope(m))
    invert(lambda m: np.round(square(m), 1), data, jacobian=slope)  # as a program prints them
    middle = SPACE.decode(np.zeros(SPACE.d))
    nowhere_else = invert(lambda m: square(m) if (m == middle).all() else 1 / 0, data, jacobian=lambda m: -slope(m))
    assert nowhere_else.forward.n_failed > 0


@pytest.mark.parametrize(
    "forward", [lambda m: np.ones(N), np.zeros((N, CELLS)), sparse.csr_array((N, CELLS))], ids=["function", "0", "none"]
)
def test_data_that_never_change_are_refused(forward):
    with pytest.raises(InputError, match="same data for the middle of the prior and 8 draws"):
        invert(forward)


def test_one_run_shows_that_data_depend_on_the_model():
    """The check costs a forward model one run, and a matrix none."""
    assert invert(lambda m: G @ m).forward.n_runs == 2
    assert invert(G).forward.n_runs == 1
