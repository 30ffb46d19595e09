"""The net of fields: what it must not do whatever its weights are."""

import pytest
import torch
from torch import nn

from geoae import nets

SMALL = {"width": 8, "middle": 8, "deep": 8, "blocks": 1}


def net(tail: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    made = nets.build("field-dae", SMALL).eval()
    nn.init.normal_(made.tail.weight, std=tail)
    return made


def stack(y: int = 32, x: int = 40, seed: int = 0) -> torch.Tensor:
    """Scaled planes with gaps: values are 0 where their weight is 0."""
    torch.manual_seed(seed)
    values, weights = torch.randn(2, 3, y, x), (torch.rand(2, 3, y, x) > 0.3).float()
    return torch.cat([values * weights, weights], 1)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (8, 136), (128, 16)])
def test_any_multiple_of_eight(size):
    """One plane of the same size, finite."""
    with torch.no_grad():
        out = net()(stack(*size))
    assert out.shape == (2, 1, *size)
    assert out.isfinite().all()


def test_untrained_it_gives_the_slice_back():
    """The last layer starts at zero, so training starts at doing nothing."""
    x = stack()
    torch.testing.assert_close(nets.build("field-dae", SMALL)(x), x[:, :1], rtol=0, atol=0)


def test_windows_of_a_batch_do_not_know_of_each_other():
    """Each alone gives what it gives beside others."""
    made, x = net(), stack()
    with torch.no_grad():
        torch.testing.assert_close(made(x)[1:], made(x[1:]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("plane", range(6))
def test_every_plane_is_looked_at(plane):
    """Changing one changes the answer."""
    made, x = net(), stack()
    changed = x.clone()
    changed[:, plane] += 0.5 if plane < 3 else 0.25
    with torch.no_grad():
        assert (made(changed) - made(x) - (changed - x)[:, :1]).abs().max() > 1e-5


def test_every_weight_is_learnt():
    """Each has a gradient."""
    made = net()
    made(stack()).square().mean().backward()
    assert not [k for k, p in made.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


def test_blank_windows_and_faint_noise_are_finite():
    """Nothing to see, a constant, noise far below the field: no division by zero."""
    made, x = net(), stack()
    with torch.no_grad():
        for scale in (0.0, 1e-8, 1e5):
            assert made(torch.cat([scale * x[:, :3], x[:, 3:]], 1)).isfinite().all()
        assert made(torch.zeros_like(x)).isfinite().all()
