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
