"""The cosine transform is orthonormal, and gains of one and zero pass or stop everything."""

import numpy as np
import pytest
import torch

from geoae.nets.parts.spectral import (
    NODES,
    Agreement,
    SpectralFilter,
    _basis,
    transform_from_cosines,
    transform_to_cosines,
)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (24, 96)])
def test_cosines_are_orthonormal_and_weights_of_nodes_sum_up_to_one(size):
    """The transform keeps energy, and the weights of a wave in the nodes sum up to one."""
    rows, columns, weights = _basis(*size)
    np.testing.assert_allclose(rows @ rows.T, np.eye(size[0]), atol=1e-5)
    np.testing.assert_allclose(columns @ columns.T, np.eye(size[1]), atol=1e-5)
    assert weights.shape == (size[0] * size[1], NODES)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


def test_gains_of_one_change_nothing_and_the_mean_can_be_kept():
    """With `mean` 1, the mean of a plane stays for any gains; with 0, it is filtered like the longest waves."""
    x, numbers = torch.randn(2, 1, 32, 40, generator=torch.Generator().manual_seed(4)) + 2, torch.zeros(2, 3)
    made, level = SpectralFilter(3), torch.ones(2, 1, 1, 1)
    with torch.no_grad():
        made.slope.zero_()
        made.guess[2].bias.fill_(np.log(1.05 / 0.05))  # 1.1 s - 0.05 is 1 there
        for mean in (torch.ones(2), torch.zeros(2)):
            torch.testing.assert_close(made(x, level, numbers, mean).kept, x, rtol=0, atol=1e-4)
        made.guess[2].bias.fill_(-40)
        kept = made(x, level, numbers, torch.ones(2)).kept
        other = made(x, level, numbers, torch.zeros(2)).kept
    assert other.abs().max() < 0.1 * x.abs().max()
    torch.testing.assert_close(kept.mean((-1, -2)), x.mean((-1, -2)), rtol=0, atol=1e-4)
    assert kept.std() < 0.1 * x.std()


def test_the_inverse_transform_gives_planes_back():
    """transform_from_cosines(transform_to_cosines(x)) = x."""
    x = torch.randn(2, 1, 24, 40, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(transform_from_cosines(transform_to_cosines(x)[0]), x, rtol=0, atol=1e-5)


def test_the_gains_decide_how_much_overview_noise_is_taken():
    """All noise for gains of one, none for gains of zero."""
    draw = torch.Generator().manual_seed(6)
    noise, x = torch.randn(2, 1, 32, 40, generator=draw), torch.randn(2, 1, 32, 40, generator=draw)
    window_filter, made, level, numbers = SpectralFilter(3), Agreement(3), torch.ones(2, 1, 1, 1), torch.zeros(2, 3)
    with torch.no_grad():
        for bias, part in ((40.0, 1.0), (-40.0, 0.0)):
            made.guess[2].bias.fill_(bias)
            torch.testing.assert_close(made(noise, x, level, numbers, window_filter), part * noise, rtol=0, atol=1e-4)
