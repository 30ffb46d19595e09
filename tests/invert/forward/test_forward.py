"""Forward models in every form that is accepted, and forward models that fail."""

import numpy as np
import pytest
from scipy import sparse

from geoae.errors import InputError
from geoae.invert import Forward, Inverse
from tests.invert.problems import CELLS, D, N, matrix


def forwards(g):
    """The same linear forward model in each form."""
    return {
        "matrix": (g, {}),
        "sparse": (sparse.csr_array(g), {}),
        "black box": (lambda m: g @ m, {}),
        "batched": (lambda m: m @ g.T, {"batched": True}),
        "jacobian": (lambda m: g @ m, {"jacobian": lambda m: g}),
        "sparse jacobian": (lambda m: g @ m, {"jacobian": lambda m: sparse.csr_array(g)}),
        "adjoint": (lambda m: g @ m, {"adjoint": lambda m, w: g.T @ w}),
        "torch": (lambda m: m.new_tensor(g) @ m, {"torch": True}),
    }


@pytest.mark.parametrize("kind", list(forwards(matrix())))
def test_any_form_of_a_forward_model_gives_the_same_mode(known, kind):
    function, options = forwards(matrix())[kind]
    inverse, mean, _ = known
    if kind == "torch":
        from geoae.priors.pca import pca_space

        space = pca_space(inverse.space.decode(inverse.space.sample(60)), D)
        other = Inverse(space, function, inverse.data, np.linspace(0.2, 0.6, N), representation=False, **options)
        numpy = Inverse(space, matrix(), inverse.data, np.linspace(0.2, 0.6, N), representation=False)
        np.testing.assert_allclose(other.solve("map").code, numpy.solve("map").code, atol=1e-3)
        z = np.random.default_rng(0).normal(size=(2, D))
        np.testing.assert_allclose(other.problem.gradient(z)[1], numpy.problem.gradient(z)[1], rtol=1e-6, atol=1e-8)
        return
    other = Inverse(inverse.space, function, inverse.data, np.linspace(0.2, 0.6, N), representation=False, **options)
    np.testing.assert_allclose(other.solve("map").code, mean, atol=1e-3)
    if other.forward.differentiable:
        z = np.random.default_rng(0).normal(size=(2, D))
        np.testing.assert_allclose(other.problem.gradient(z)[1], inverse.problem.gradient(z)[1], rtol=1e-9, atol=1e-9)


def test_failed_members_are_dropped_and_counted(known):
    """A forward model that fails for some members does not affect the others."""

    def fickle(m):
        if m[0] > 2.5:
            raise RuntimeError("too fast")
        return np.full(N, np.nan) if m[1] > 3.5 else matrix() @ m

    inverse = Inverse(known[0].space, fickle, known[0].data, 0.3, representation=False)
    posterior = inverse.solve("esmda", n_members=80)
    assert 0 < posterior.info["n_lost"] < 80
    assert posterior.info["n_failed"] >= posterior.info["n_lost"]
    assert any("too fast" in problem for problem in inverse.forward.problems)
    assert np.isfinite(posterior.codes).all()
    assert any("failed" in problem for problem in posterior.diagnose().problems)


def failing(m):
    raise RuntimeError("no license server")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (failing, "RuntimeError: no license server"),
        (lambda m: np.zeros((4, 3)), r"data of shape \(4, 3\), and the data have \(12,\)"),
        (lambda m: np.full(N, np.nan), "12 of 12 data that are not finite"),
        (lambda m: "text", "failed for the model"),
        (np.zeros((N, 7)), "7 cells"),
        (3, "a function from a model to data"),
    ],
)
def test_an_invalid_forward_model_is_refused(known, function, says):
    with pytest.raises(InputError, match=says):
        Inverse(known[0].space, function, known[0].data, 0.3, representation=False)


def test_runs_are_counted():
    forward = Forward(matrix())
    forward.check(np.ones(CELLS), (N,))
    forward.run(np.ones((5, CELLS)))
    assert forward.counts() == {"n_runs": 6, "n_jacobians": 0, "n_gradients": 0, "n_failed": 0}


@pytest.mark.parametrize(
    ("shape", "gives"), [((N,), (N, 1)), ((N, 1), (N,)), ((3, 4), (N,)), ((3, 1, 4), (3, 4)), ((1, N), (N, 1))]
)
def test_axes_of_one_datum_do_not_count(known, shape, gives):
    """A column, a row and flat data are the same data; a transposed matrix of data is not."""
    space, data = known[0].space, known[0].data
    found = Inverse(space, lambda m: (matrix() @ m).reshape(gives), data.reshape(shape), 0.3, representation=False)
    expected = Inverse(space, lambda m: matrix() @ m, data, 0.3, representation=False)
    np.testing.assert_allclose(found.solve("map").code, expected.solve("map").code)
    with pytest.raises(InputError, match=r"data of shape \(4, 3\)"):
        Inverse(space, lambda m: (matrix() @ m).reshape(4, 3), data.reshape(3, 4), 0.3, representation=False)
    single = Inverse(space, lambda m: m.mean(), 1.0, 0.3, representation=False)
    assert single.solve("map").predicted.shape == (1, 1)
