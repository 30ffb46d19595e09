"""Derivatives that a caller's functions give."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from geoae.errors import InputError
from geoae.invert.forward.derivatives import call_adjoint, call_jacobian

MODEL, DATA = np.ones((2, 3)), (4,)
G = np.arange(24.0).reshape(4, 6)


@pytest.mark.parametrize(
    "given",
    [G, G.tolist(), G.reshape(4, 2, 3), sparse.csr_array(G), aslinearoperator(G)],
    ids=lambda x: type(x).__name__,
)
def test_any_matrix_of_data_by_cells_is_taken(given):
    found = call_jacobian(lambda m: given, MODEL, DATA)
    np.testing.assert_array_equal(found @ np.eye(6), G)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda m: G.T, r"has shape \(6, 4\); expected \(4, 6\)"),
        (lambda m: G[:2], r"has shape \(2, 6\)"),
        (lambda m: None, "is a NoneType"),
        (lambda m: 1j * G, "is complex"),
        (lambda m: np.where(G > 20, np.nan, G), "has 3 values that are not finite"),
        (lambda m: sparse.csr_array(np.where(G > 20, np.inf, G)), "has 3 values that are not finite"),
        (lambda m: 1 / 0, "failed: ZeroDivisionError: division by zero"),
    ],
)
def test_other_jacobians_are_refused(function, says):
    with pytest.raises(InputError, match=f"The Jacobian of the forward model {says}"):
        call_jacobian(function, MODEL, DATA)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda m, w: w, r"gives shape \(4,\); expected that of a model, \(2, 3\)"),
        (lambda m, w: None, "is a NoneType"),
        (lambda m, w: np.full(6, np.nan), "6 values that are not finite"),
        (lambda m, w: m.missing, "failed: AttributeError"),
    ],
)
def test_other_adjoints_are_refused(function, says):
    with pytest.raises(InputError, match=says):
        call_adjoint(function, MODEL, np.ones(4))


def test_functions_may_change_their_arguments():
    """They get copies, and an adjoint may return the same array every time."""
    model, weights, buffer = MODEL.copy(), np.ones(4), np.zeros(6)

    def jacobian(m):
        m -= 7
        return G

    def adjoint(m, w):
        m -= 7
        w -= 7
        buffer[:] += 1
        return buffer

    call_jacobian(jacobian, model, DATA)
    first, _ = call_adjoint(adjoint, model, weights), call_adjoint(adjoint, model, weights)
    np.testing.assert_array_equal(model, MODEL)
    np.testing.assert_array_equal(weights, 1)
    np.testing.assert_array_equal(first, 1)
