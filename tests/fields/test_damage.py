"""Noise of each kind has the properties of its name, differs from slice to slice, and depends on its seed."""

import numpy as np
import pytest

from geoae.fields import damage

KINDS = [
    "draw_white_noise",
    "draw_red_noise",
    "draw_blurred_noise",
    "draw_stripes",
    "draw_speckle",
    "draw_outliers",
    "draw_noise",
]


def slices(n: int = 6) -> np.ndarray:
    y, x = np.mgrid[0:32, 0:40]
    return np.broadcast_to(280 + 10 * np.sin(y / 5.0) * np.cos(x / 7.0), (n, 32, 40)).copy()


@pytest.mark.parametrize("kind", KINDS)
def test_slices_have_independent_noise(kind):
    """Finite, the same for the same seed, and hardly correlated between slices."""
    correlation = []
    for seed in range(12):
        a, b = (getattr(damage, kind)(slices(), np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(a, b)
        assert a.shape == (6, 32, 40)
        assert np.isfinite(a).all()
        a = a - a.mean((1, 2), keepdims=True)
        correlation.append((a[0] * a[1:]).mean() / a.var())
    assert abs(np.mean(correlation)) < 0.15


def test_noise_has_unit_spread():
    """The noise level of a recipe is then the standard deviation of the noise."""
    for seed in range(20):
        assert damage.draw_noise(slices(), np.random.default_rng(seed)).std() == pytest.approx(1, rel=1e-6)


def test_speckle_grows_with_the_field():
    """Its standard deviation is larger where the field is larger."""
    x = np.broadcast_to(np.linspace(0, 1, 400), (50, 4, 400)).copy()
    spread = [
        damage.draw_speckle(x, np.random.default_rng(seed)).std((0, 1)).reshape(4, 100).mean(1) for seed in range(40)
    ]
    assert np.median([s[3] / s[0] for s in spread]) > 1.5


def test_stripes_are_lines():
    """They vary much less along the lines than across."""
    found = []
    for seed in range(30):
        x = damage.draw_stripes(slices(), np.random.default_rng(seed))[0]
        along = sorted((np.abs(np.diff(x, axis=0)).mean(), np.abs(np.diff(x, axis=1)).mean()))
        found.append(along[0] / max(along[1], 1e-12))
    assert np.median(found) < 0.2


def test_a_part_of_the_points_is_missing():
    """Every kind of gap takes some points and leaves some."""
    shares = [damage.draw_missing((3, 32, 32), np.random.default_rng(seed)).mean() for seed in range(60)]
    assert min(shares) > 0
    assert max(shares) < 0.95
    assert 0.1 < np.median(shares) < 0.6
