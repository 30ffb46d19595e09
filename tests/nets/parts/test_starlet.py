"""Starlet bands of planes with gaps sum up to the plane, and gaps do not change them."""

import pytest
import torch

from geoae.nets.parts.starlet import WHITE, extract_stripes, fill_gaps, split_bands


def draw_gappy(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random planes, and weights that are 0 in 40 % of the points."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(3, 1, 48, 56, generator=draw), (torch.rand(3, 1, 48, 56, generator=draw) > 0.4).float()


def test_gaps_are_filled_from_their_surroundings():
    """Known values stay, filled values lie in their range; without known values, the result and its weights are 0."""
    x, weight = draw_gappy()
    full, known = fill_gaps(x * weight, weight)
    assert torch.equal(torch.where(weight > 0, full, 0), x * weight)
    assert (known == 1).all()
    assert full.abs().max() <= x.abs().max()
    none, known = fill_gaps(x * 0, weight * 0)
    assert not none.any()
    assert not known.any()


def test_bands_sum_up_to_the_plane():
    """With gaps and without; the values in a gap do not change bands outside the gap."""
    x, weight = draw_gappy()
    for count in (weight, torch.ones_like(weight)):
        bands, rest = split_bands(x, count)
        torch.testing.assert_close(bands.sum(1, keepdim=True) + rest, x, rtol=0, atol=1e-5)
    bands, _ = split_bands(x, weight)
    other, _ = split_bands(torch.where(weight > 0, x, 1e3), weight)
    assert ((bands - other).abs() * weight).max() < 1e-4


def test_white_noise_has_the_tabulated_bands():
    """Away from the edges, to 6 %; the last band is too wide for the plane."""
    x = torch.randn(40, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    bands, _ = split_bands(x, torch.ones_like(x))
    found = bands[..., 40:-40, 40:-40].std((0, 2, 3)).numpy()
    assert found[:5] == pytest.approx(WHITE[:5], rel=0.06)


def test_constants_have_no_detail():
    """With gaps, too."""
    x, weight = draw_gappy()
    bands, rest = split_bands(torch.full_like(x, 3.0), weight)
    assert bands.abs().max() < 1e-5
    torch.testing.assert_close(rest, torch.full_like(rest, 3.0))


def test_stripes_tell_rows_from_columns():
    """Stripes along x are in the first plane."""
    rows = torch.randn(1, 1, 64, 1, generator=torch.Generator().manual_seed(2)).expand(1, 1, 64, 64)
    for x, place in ((rows, 0), (rows.mT, 1)):
        found = extract_stripes(x, torch.ones_like(x)).std((0, 2, 3))
        assert found[place] > 5 * found[1 - place]
