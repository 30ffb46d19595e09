"""Runs of many models: time limits, and runs in other processes."""

import time

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.problems import D, N, matrix


def test_a_forward_model_that_hangs_is_stopped(known):
    start = time.monotonic()
    with pytest.raises(InputError, match=r"longer than 0\.2 s"):
        Inverse(known[0].space, lambda m: time.sleep(30), known[0].data, 0.3, representation=False, run_limit_s=0.2)
    assert time.monotonic() - start < 10


def test_runs_go_to_other_processes(known):
    """This includes functions that cannot be imported from a module."""
    from concurrent.futures import ThreadPoolExecutor

    g = matrix()
    with ThreadPoolExecutor(2) as workers:
        inverse = Inverse(known[0].space, lambda m: g @ m, known[0].data, 0.3, representation=False, workers=workers)
        assert inverse.problem.predict(np.zeros((3, D))).shape == (3, N)
    with pytest.raises(InputError, match="number of processes"):
        Inverse(known[0].space, lambda m: g @ m, known[0].data, 0.3, representation=False, workers="many")


@pytest.mark.parametrize("batched", [False, True])
def test_a_function_may_change_its_argument_and_return_one_array(known, batched):
    """It gets a copy of the model, and its data are copied, so that intervals are those of any other function."""
    g, out = matrix(), np.empty(N)

    def in_place(m):
        data = (m @ g.T) if batched else np.matmul(g, m, out=out)
        m -= 3
        return data

    options = {"representation": False, "batched": batched}
    found = Inverse(known[0].space, in_place, known[0].data, 0.3, **options).solve("laplace", n_draws=20)
    clean = lambda m: (m @ g.T) if batched else g @ m  # noqa: E731
    expected = Inverse(known[0].space, clean, known[0].data, 0.3, **options).solve("laplace", n_draws=20)
    np.testing.assert_array_equal(found.sample(5), expected.sample(5))
    np.testing.assert_array_equal(found.predicted, expected.predicted)


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (lambda d: None, "NoneType that is no array of numbers"),
        (lambda d: d + 1j, "complex"),
        (lambda d: (d, d), r"data of shape \(2, 12\)"),
        (lambda d: [d, d[:3]], "list that is no array of numbers"),
        (lambda d: ["1"] * N, "list that is no array of numbers"),
        (lambda d: np.ma.masked_greater(d, d.max() - 1e-9), "1 of 12 data that are not finite"),
    ],
)
def test_what_is_no_data_fails_with_a_reason(known, gives, says):
    with pytest.raises(InputError, match=says):
        Inverse(known[0].space, lambda m: gives(matrix() @ m), known[0].data, 0.3, representation=False)
