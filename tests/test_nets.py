"""The nets: symmetries by construction, perfect reconstruction, and names that are refused."""

import numpy as np
import pytest
import torch

from geoae import nets
from geoae.errors import UnknownNameError


@pytest.mark.parametrize("time", [32, 64, 512, 6144])
def test_a_mask_of_ones_gives_the_input_back(time):
    """Analysis and synthesis are each other's inverse at any multiple of 32 samples."""
    net = nets.build("spectral-dae", {"width": 8, "dilations": [1]})
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, time))).float()
    torch.testing.assert_close(net.synthesise(net.analyse(x), time), x, atol=2e-6, rtol=0)


def test_the_net_is_odd():
    """f(-x) = -f(x), exactly."""
    net = nets.build("spectral-dae", {"width": 8, "dilations": [1, 2]}).eval()
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 640))).float()
    with torch.no_grad():
        torch.testing.assert_close(net(-x), -net(x), rtol=0, atol=0)


def test_nothing_leaks_into_a_dead_component():
    """Zeros in one component come out as zeros whatever the others do."""
    net = nets.build("spectral-dae", {"width": 8, "dilations": [1]}).eval()
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 3, 640))).float()
    x[:, 1] = 0
    with torch.no_grad():
        assert (net(x)[:, 1] == 0).all()
        assert net(x)[:, 0].abs().max() > 0


def test_the_reach_is_what_the_dilations_say():
    """A change at one place changes nothing further away than frames and convolutions reach."""
    net = nets.build("spectral-dae", {"width": 8, "dilations": [1, 2], "kernel": 5}).eval()
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 3, 6400))).float()
    y = x.clone()
    y[..., 3200] += 100
    with torch.no_grad():
        moved = (net(y) - net(x)).abs().amax((0, 1)).nonzero()
    reach = (1 + 2) * 2 * 32 + 2 * 64 + 32
    assert 3200 - reach <= moved.min() < moved.max() <= 3200 + reach


@pytest.mark.parametrize(("name", "config"), [("no-such-net", {}), ("spectral-dae", {"widht": 8})])
def test_unknown_names_are_refused_with_the_choices(name, config):
    """A typo in a net's name or setting is an error that lists what there is."""
    with pytest.raises(UnknownNameError, match=r"spectral-dae|width"):
        nets.build(name, config)
