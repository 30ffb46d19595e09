"""The net of fields: what it must not do whatever its weights are."""

import numpy as np
import pytest
import torch
from torch import nn

from geoae import nets
from geoae.arrays.neighbours import N_CHANNELS, N_VALUES, OVERVIEW
from geoae.fields.synthesis import draw_power_law
from geoae.nets.field_dae import BANDS, MASKS, _split_noise

SMALL = {"width": 8, "middle": 8, "deep": 8, "blocks": 1}


def net(tail: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    made = nets.build("field-dae", SMALL).eval()
    nn.init.normal_(made.tail.weight, std=tail)
    for guess in (made.filter.guess, made.agreement.guess):
        nn.init.normal_(guess[2].weight, std=tail)
    return made


def stack(y: int = 32, x: int = 40, seed: int = 0) -> torch.Tensor:
    """Scaled planes with gaps: values are 0 where their weight is 0."""
    torch.manual_seed(seed)
    values, weights = torch.randn(2, N_VALUES, y, x), (torch.rand(2, N_VALUES, y, x) > 0.3).float()
    return torch.cat([values * weights, weights], 1)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (8, 136), (128, 16)])
def test_any_multiple_of_eight(size):
    """One plane of the same size, finite."""
    with torch.no_grad():
        out = net()(stack(*size))
    assert out.shape == (2, 1, *size)
    assert out.isfinite().all()


def test_without_masks_and_corrections_the_slice_comes_back():
    """Everything that is taken away goes through the last layer."""
    made, x = nets.build("field-dae", SMALL), stack()
    nn.init.constant_(made.tail.bias[: 4 * MASKS], -40)
    parts = _split_noise(x, made.filter, made.agreement)
    taken = torch.cat([parts.stopped, parts.own, parts.far, parts.stripes, parts.overview_noise], 1).sum(
        1, keepdim=True
    )
    torch.testing.assert_close(made(x), x[:, :1] + 0.05 * taken, rtol=0, atol=1e-5)


def test_all_masks_leave_the_smoothest_part():
    """What the filter stops, bands and rest of a slice without gaps and neighbours sum up to it."""
    made, x = nets.build("field-dae", SMALL), torch.zeros(1, N_CHANNELS, 64, 64)
    x[:, 0], x[:, N_VALUES] = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)), 1
    with torch.no_grad():
        made.tail.bias[: 4 * MASKS] = 40
        made.tail.bias[4 * (MASKS - 3) : 4 * (MASKS - 1)] = -40  # stripes
        left = made(x)
    assert left.std() < 0.08
    assert left.mean() == pytest.approx(float(x[:, 0].mean()), abs=0.05)


def test_untrained_it_filters_white_noise():
    """The first guess of the gains is a Wiener filter for white noise: smooth surfaces stay, noise goes."""
    draw = torch.Generator().manual_seed(3)
    t = torch.linspace(-1, 1, 64)
    surface = torch.cos(3 * t)[:, None] * torch.sin(4 * t + 1) * 3
    x = torch.zeros(1, N_CHANNELS, 64, 64)
    x[:, 0], x[:, N_VALUES] = surface + 0.3 * torch.randn(64, 64, generator=draw), 1
    with torch.no_grad():
        out = nets.build("field-dae", SMALL)(x)
    assert (out[0, 0] - surface).std() < 0.15


def test_windows_of_a_batch_do_not_know_of_each_other():
    """Each alone gives what it gives beside others."""
    made, x = net(), stack()
    with torch.no_grad():
        torch.testing.assert_close(made(x)[1:], made(x[1:]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("plane", range(N_CHANNELS))
def test_every_plane_is_looked_at(plane):
    """Changing one changes the answer."""
    made, x = net(), stack()
    changed = x.clone()
    changed[:, plane] += 0.5 if plane < N_VALUES else 0.25
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
            assert made(torch.cat([scale * x[:, :N_VALUES], x[:, N_VALUES:]], 1)).isfinite().all()
        assert made(torch.zeros_like(x)).isfinite().all()


def test_an_overview_that_shows_no_noise_changes_nothing():
    """One that equals the slice, and none at all, beside windows that have one."""
    made, x = net(), stack()
    x[:, N_VALUES:] = 1
    x[0, OVERVIEW], x[0, N_VALUES + OVERVIEW] = 0, 0
    with torch.no_grad():
        alone = made(x[:1])
        torch.testing.assert_close(made(x)[:1], alone, rtol=1e-5, atol=1e-6)
        shown = _split_noise(
            torch.cat([x[:, :OVERVIEW], x[:, :1], x[:, N_VALUES:]], 1), made.filter, made.agreement
        ).overview_noise
    assert not shown.any()


@pytest.mark.parametrize("share", [1.0, 0.0, -1.5])
def test_how_much_of_the_far_mean_is_in_the_slice_is_found_under_red_noise(share):
    """Of the bands that the noise leaves visible, within a tenth; what lies in gaps does not count."""
    rng = np.random.default_rng(7)
    far, noise = (draw_power_law((64, 64), slope, rng) for slope in (3.0, 2.0))
    made, x = nets.build("field-dae", SMALL), torch.zeros(1, N_CHANNELS, 64, 64)
    own = share * far + 0.3 * noise + rng.normal(scale=0.02, size=(64, 64))
    there = torch.from_numpy(rng.random((64, 64)) > 0.2).float()
    x[0, 0], x[0, 2] = (torch.from_numpy(plane).float() for plane in (own, far))
    x[0, 0] *= there
    x[0, N_VALUES], x[0, N_VALUES + 2] = there, 1
    known = _split_noise(x, made.filter, made.agreement).filter_input[0, 2 + N_VALUES :]
    shares, sure = known[:BANDS], known[BANDS : 2 * BANDS]
    assert shares[2:5].numpy() == pytest.approx(share, abs=0.15)
    assert (sure[2:5] > 0.85).all() if share > 0 else (sure[2:5] < 0.5).all()


def test_without_neighbours_nothing_is_alike():
    """Zeros, not what is left of a division by zero."""
    x = stack()
    x[:, 1:3], x[:, N_VALUES + 1 : N_VALUES + 3] = 0, 0
    made = net()
    assert (
        not _split_noise(x, made.filter, made.agreement).filter_input[:, 2 + N_VALUES : 2 + N_VALUES + 2 * BANDS].any()
    )
