"""The nets: symmetries by construction, perfect reconstruction, and names that are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geoae import nets
from geoae.errors import InputError, UnknownNameError
from geoae.nets.parts.frames import Frames

# name -> samples of one position of the convolutions, and how far a position with dilations 1 and 2 sees beside them
DENOISERS = {
    "cascade-dae": (64, 128 + 32 + 24 * 4 + 4 * 4 + 2 * 8),
}
NAMES = sorted(DENOISERS)


def small(name: str, **config: Any) -> nn.Module:
    torch.manual_seed(0)
    return nets.build(name, {"width": 8, "dilations": [1], **config}).eval()


def windows(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


@pytest.mark.parametrize(("size", "hop"), [(128, 32), (8, 4), (64, 16)])
@given(time=st.integers(1, 700), more=st.integers(0, 5))
def test_frames_give_the_signal_back(size, hop, time, more):
    """Synthesis undoes analysis for any length, from all frames that see it or from more."""
    frames, x = Frames(size, hop), windows(time, 2, 3, time)
    count = frames.count(time) + more
    spectrum = frames.analyse(x, count)
    assert spectrum.shape == (2, count, 3, size // 2 + 1)
    torch.testing.assert_close(frames.synthesise(spectrum, time), x, atol=2e-6, rtol=0)


@given(time=st.integers(1, 700))
def test_no_frame_is_left_out(time):
    """The last frame that is counted sees the last sample, and the one after it would see nothing."""
    frames, x = Frames(128, 32), torch.zeros(1, 1, time)
    x[..., -1] = 1
    seen = frames.analyse(x, frames.count(time) + 1).abs().sum((0, 2, 3)) > 1e-6
    assert seen[-2] or time % 32 == 1  # the root of Hann is zero at its first sample
    assert not seen[-1]


def test_frames_are_no_weights():
    """The windows follow from the configuration, and are not stored in a model's file."""
    assert not Frames(128, 32).state_dict()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("time", [64, 512, 6144, 100, 1])
def test_masks_of_ones_give_the_input_back(name, time):
    """With all gates open and no turn of phases a window comes back, at lengths the net was not made for too."""
    net, x = small(name), windows(0, 2, 3, time)
    with torch.no_grad():
        for layer in (net.decoder, getattr(net, "gate_out", net.decoder)):
            layer.weight.zero_()
            layer.bias.fill_(100.0)
        one = net.config.channels * (net.config.frame // 2 + 1)
        net.decoder.bias.view(net.config.stack, -1)[:, one : 2 * one] = 0  # turns come after sizes
        torch.testing.assert_close(net(x), x, atol=3e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_net_is_odd(name):
    """f(-x) = -f(x), exactly."""
    net, x = small(name, dilations=[1, 2]), windows(1, 2, 3, 640)
    with torch.no_grad():
        torch.testing.assert_close(net(-x), -net(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks_into_a_dead_component(name):
    """Zeros in one component come out as zeros whatever the others do."""
    net, x = small(name), windows(2, 1, 3, 640)
    x[:, 1] = 0
    with torch.no_grad():
        assert (net(x)[:, 1] == 0).all()
        assert net(x)[:, 0].abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [100, 1e4])
def test_the_reach_is_what_the_dilations_say(name, size):
    """A change at one place changes nothing further away than frames and convolutions reach."""
    net, x = small(name, dilations=[1, 2], kernel=5), windows(3, 1, 3, 6400)
    position, beside = DENOISERS[name]
    reach = (1 + 2) * 2 * position + beside
    y = x.clone()
    y[..., 3200] += size
    with torch.no_grad():
        moved = (net(y) - net(x)).abs().amax((0, 1)).nonzero()
    assert 3200 - reach <= moved.min() < moved.max() <= 3200 + reach
    assert moved.max() - moved.min() > position


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_by_a_position_shifts_the_output(name):
    """Away from the ends of a window it does not matter where in it a signal lies, position by position."""
    net, x, (position, beside) = small(name), windows(4, 1, 3, 3200), DENOISERS[name]
    edge = 2 * position + beside
    with torch.no_grad():
        whole, later = net(x), net(x[..., position:])
    expected = whole[..., position + edge : -edge]
    torch.testing.assert_close(later[..., edge:-edge], expected, atol=2e-6, rtol=0)
    assert expected.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_a_batch_do_not_know_of_each_other(name):
    """A window gives the same alone and beside others."""
    net, x = small(name), windows(5, 3, 3, 640)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_learnt(name):
    """A loss of the output has a finite slope in each weight, in silence too."""
    for loud in (1.0, 0.0):
        net = small(name).train()
        net(loud * windows(6, 2, 3, 640)).square().sum().backward()
        slopes = {k: p.grad for k, p in net.named_parameters()}
        assert all(g is not None and torch.isfinite(g).all() for g in slopes.values())
        assert not loud or all(g.any() for g in slopes.values())


@pytest.mark.parametrize("components", [1, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_components(name, components):
    """One component alone has no other to compare with, and is denoised too."""
    net, x = small(name, channels=components), windows(7, 2, components, 640)
    with torch.no_grad():
        assert net(x).shape == x.shape


@pytest.mark.parametrize(
    "config",
    [{"frame": 100}, {"short": 3}, {"short": 128}, {"kernel": 4}, {"gate_kernel": 4}, {"boxes": []}, {"hints": 0}],
)
def test_sizes_that_make_no_cascade_are_refused(config):
    """Sizes that do not fit each other are one line that names the setting."""
    with pytest.raises(InputError, match=next(iter(config))) as caught:
        nets.build("cascade-dae", config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "config"), [("no-such-net", {}), ("cascade-dae", {"widht": 8})])
def test_unknown_names_are_refused_with_the_choices(name, config):
    """A typo in a net's name or setting is an error that lists what there is."""
    with pytest.raises(UnknownNameError, match=r"cascade-dae|width"):
        nets.build(name, config)


@torch.no_grad()
def test_the_leak_of_training_is_its_own():
    """With closed masks, training leaves one share of the input, and inference another."""
    net, x = small("cascade-dae", training_leak=0.2, leak=0.1), windows(5, 2, 3, 640)
    for layer in (net.decoder, net.gate_out):
        layer.weight.zero_()
        layer.bias.fill_(-100.0)
    torch.testing.assert_close(net(x), 0.1 * x)
    torch.testing.assert_close(net.train()(x), 0.2 * x)


@torch.no_grad()
def test_the_gate_closes_what_is_no_event():
    """Steady noise that half-open masks let through is closed down to the leak; without a gate it stays."""
    x = windows(6, 1, 3, 6144)
    plain, gated = (small("cascade-dae", leak=0.1, **more) for more in ({}, {"presence_high": 2.0, "most_leak": 0.3}))
    for net in (plain, gated):
        net.decoder.weight.zero_()
        net.decoder.bias.fill_(-2.0)
    assert plain(x).square().mean() > 1.3 * (0.1 * x).square().mean()
    torch.testing.assert_close(gated(x), 0.1 * x, atol=1e-5, rtol=0)


def test_a_gate_that_opens_below_its_lower_limit_is_refused():
    """An event cannot exceed less somewhere than everywhere."""
    with pytest.raises(InputError, match="presence_high is 0"):
        small("cascade-dae", presence_high=0.1)


@torch.no_grad()
def test_absent_components_change_nothing_for_the_others():
    """The gate and the leak of live components are the same, whether zeros stand beside them or not."""
    net, x = small("cascade-dae", leak=0.1, presence_high=1.0, most_leak=0.3), windows(7, 2, 3, 640)
    x[:, 1] = 0
    estimate = 0.7 * x
    alone = net.finish(x[:, [0, 2]], estimate[:, [0, 2]])
    torch.testing.assert_close(net.finish(x, estimate)[:, [0, 2]], alone, rtol=0, atol=0)
    assert (net.finish(x, estimate)[:, 1] == 0).all()
