"""Parts of a batch have one size and come back in order, on any number of threads."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import torch

from geoae.model.threads import map_parts, use_one_thread


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("threads", [0, 3])
def test_every_part_has_the_same_size(n, threads):
    """The last part is filled up, and the filling does not come back."""
    sizes = []

    def double(part):
        sizes.append(len(part))
        return 2 * part

    x = np.arange(3.0 * n).reshape(n, 3)
    pool = ThreadPoolExecutor(threads) if threads else None
    np.testing.assert_array_equal(map_parts(double, x, 2, pool), 2 * x)
    assert sizes == [2] * -(-n // 2) if n else sizes == [0]


def test_the_number_of_threads_is_restored():
    """Also after an error in the block."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with suppress(ZeroDivisionError), use_one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
