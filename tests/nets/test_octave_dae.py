"""The net with octave bands: symmetries, the floor of noise, the error of each sample, and sizes that are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from geoae import nets
from geoae.errors import InputError


def small(**config: Any) -> nn.Module:
    torch.manual_seed(0)
    return nets.build("octave-dae", {"width": 8, "dilations": [1], **config}).eval()


def windows(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def open_masks(net: nn.Module) -> nn.Module:
    """The net with masks and gains of one."""
    with torch.no_grad():
        for layer in (net.decoder, net.gate_out):
            layer.weight.zero_()
            layer.bias.fill_(100.0)
        one = net.config.channels * (net.config.frame // 2 + 1)
        net.decoder.bias.view(net.config.stack, -1)[:, one : 2 * one] = 0  # turns follow sizes
    return net


@pytest.mark.parametrize("time", [64, 512, 6144, 100, 1])
@torch.no_grad()
def test_masks_of_ones_give_the_input(time):
    """With open masks a window comes back, whatever its length."""
    x = windows(0, 2, 3, time)
    torch.testing.assert_close(open_masks(small())(x), x, atol=5e-6, rtol=0)


@torch.no_grad()
def test_closed_masks_leave_the_floor():
    """With closed masks the share `leak` of the input stays, and the sum of bands and rest is complete."""
    net, x = small(leak=0.2), windows(1, 2, 3, 640)
    net.decoder.weight.zero_()
    net.decoder.bias.fill_(-100.0)
    torch.testing.assert_close(net(x), 0.2 * x)


@torch.no_grad()
def test_the_net_is_odd():
    """f(-x) = -f(x), and the error does not depend on the sign."""
    net, x = small(dilations=[1, 2]), windows(2, 2, 3, 640)
    (signal, sigma), (turned, same) = net.estimate(x), net.estimate(-x)
    torch.testing.assert_close(turned, -signal, rtol=0, atol=0)
    torch.testing.assert_close(same, sigma, rtol=0, atol=0)


@torch.no_grad()
def test_nothing_leaks_into_a_dead_component():
    """Zeros in one component come out as zeros."""
    net, x = small(), windows(3, 1, 3, 640)
    x[:, 1] = 0
    assert (net(x)[:, 1] == 0).all()
    assert net(x)[:, 0].abs().max() > 0


@torch.no_grad()
def test_signal_is_the_same_with_and_without_its_error():
    """`estimate` gives the signal of a plain call, and a positive error of the same shape."""
    net, x = small(), windows(4, 2, 3, 650)
    signal, sigma = net.estimate(x)
    torch.testing.assert_close(signal, net(x), rtol=0, atol=0)
    assert sigma.shape == x.shape
    assert (sigma > 0).all()


@torch.no_grad()
def test_in_training_the_error_is_a_further_group_of_channels():
    """The logarithm of the error that 90 % of the samples do not exceed follows the signal."""
    net, x = small(), windows(5, 2, 3, 640)
    out = net.train()(x)
    signal, sigma = net.estimate(x)
    torch.testing.assert_close(out[:, :3], signal)
    torch.testing.assert_close(out[:, 3:].exp() / 1.645, sigma)


def test_every_weight_is_learnt():
    """A loss of signal and error has a finite slope in each weight; that of the error does not change the signal."""
    for loud in (1.0, 0.0):
        net = small().train()
        net(loud * windows(6, 2, 3, 640)).square().sum().backward()
        slopes = {k: p.grad for k, p in net.named_parameters()}
        assert all(g is not None and torch.isfinite(g).all() for g in slopes.values())
        assert not loud or all(g.any() for g in slopes.values())
    net = small().train()
    net(windows(6, 2, 3, 640))[:, 3:].sum().backward()
    assert not any(p.grad is not None and p.grad.any() for k, p in net.named_parameters() if "sigma" not in k)


@torch.no_grad()
def test_a_strong_low_frequency_makes_no_high_ones():
    """Of a sine at 0.3 % of the rate, 60 dB above the rest, at most what was there is found at high frequencies."""
    net = small()
    x = 1e3 * torch.sin(2 * torch.pi * 0.003 * torch.arange(6144.0)).expand(1, 3, -1) + windows(7, 1, 3, 6144)
    high, taper = torch.fft.rfftfreq(4096) > 0.25, torch.blackman_window(4096).double() ** 2
    found, given = (
        torch.fft.rfft(y[..., 1024:5120].double() * taper)[..., high].abs().square().sum() for y in (net(x), x)
    )
    assert found <= 1.5 * given


@pytest.mark.parametrize("components", [1, 2, 4])
@torch.no_grad()
def test_any_number_of_components(components):
    """One component alone is denoised, too."""
    net, x = small(channels=components), windows(8, 2, components, 640)
    assert net(x).shape == net.estimate(x)[1].shape == x.shape


@pytest.mark.parametrize("edges", [[0.1], [0.2, 0.1], [0.1, 0.6], [0.1, 0.1]])
def test_edges_that_make_no_bands_are_refused(edges):
    """The error is one line that names the setting."""
    with pytest.raises(InputError, match="edges") as caught:
        nets.build("octave-dae", {"edges": edges})
    assert "\n" not in str(caught.value)
