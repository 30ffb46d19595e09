"""Synthetic fields have the stated slopes, means and variances, and depend on their seed."""

import numpy as np
import pytest

from geoae.fields import synthesis


@pytest.mark.parametrize("slope", [1.0, 3.0, 5.0])
def test_the_spectrum_has_the_slope(slope):
    """The mean spectrum of many draws is a power law with this exponent."""
    rng = np.random.default_rng(0)
    x = synthesis.draw_power_law((200, 64, 64), slope, rng)
    taper = np.hanning(64)[:, None] * np.hanning(64)
    power = np.square(np.abs(np.fft.fft2(x * taper))).mean(0)
    k = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    band = (k > 0.08) & (k < 0.35)
    found = -np.polyfit(np.log(k[band]), np.log(power[band]), 1)[0]
    assert found == pytest.approx(slope, abs=0.3)


@pytest.mark.parametrize(
    "kind",
    [
        "draw_zonal",
        "draw_winds",
        "draw_patchy",
        "draw_plates",
        "draw_fronts",
        "draw_vortices",
        "draw_skewed",
        "draw_ridges",
        "draw_waves",
        "draw_field",
    ],
)
@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_every_kind_is_finite_and_scaled(kind, shape):
    """Zero mean, unit variance (or a constant), the given shape, and the same field for the same seed."""
    for seed in range(20):
        x, again = (getattr(synthesis, kind)(shape, np.random.default_rng(seed)) for _ in range(2))
        assert x.shape == shape
        assert np.isfinite(x).all()
        np.testing.assert_array_equal(x, again)
        assert abs(x.mean()) < 1e-5
        assert x.std() == pytest.approx(1, abs=1e-4) or x.std() < 1e-4


def test_winds_are_elongated_along_one_axis():
    """In most draws they change faster along one axis than along the other, and each axis can be the faster one."""
    ratios = []
    for seed in range(40):
        x = synthesis.draw_winds((64, 64), np.random.default_rng(seed))
        ratios.append(np.log(np.square(np.diff(x, axis=0)).mean() / np.square(np.diff(x, axis=1)).mean()))
    assert np.mean(np.abs(ratios) > 0.3) > 0.7
    assert 0.2 < np.mean(np.array(ratios) > 0) < 0.8


def test_rows_are_stretched_towards_one_edge():
    """A field changes less along the row nearest to the pole than along the farthest; rows are not mixed."""
    rng = np.random.default_rng(2)
    ratios = []
    for _ in range(20):
        x = synthesis.draw_power_law((48, 64), 3.0, rng)
        change = np.square(np.diff(synthesis.stretch_towards_pole(x, rng), axis=1)).mean(1)
        ratios.append(min(change[0], change[-1]) / max(change[0], change[-1]))
    assert np.median(ratios) < 0.3
    lines = np.repeat(np.arange(48.0)[:, None], 64, axis=1)
    np.testing.assert_allclose(synthesis.stretch_towards_pole(lines, rng), lines, atol=1e-9)


def test_drift_is_slow():
    """Most changes from slice to slice are much smaller than the whole change; unit variance, seeded."""
    steps = []
    for seed in range(30):
        x, again = (synthesis.draw_drift(60, (12, 20), np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(x, again)
        assert x.shape == (60, 12, 20)
        assert x.std() == pytest.approx(1, abs=1e-3)
        steps.append(np.diff(x, axis=0).std())
    assert max(steps) < 1  # for independent slices: 1.4
    assert np.median(steps) < 0.1


def test_a_sequence_has_a_constant_part():
    """Means over the first and the last slices are similar."""
    rng = np.random.default_rng(3)
    correlations = []
    for _ in range(40):
        x = synthesis.draw_sequence(9, (32, 32), rng)
        assert x.shape == (9, 32, 32)
        assert np.isfinite(x).all()
        correlations.append(np.corrcoef(x[:4].mean(0).ravel(), x[5:].mean(0).ravel())[0, 1])
    assert np.median(correlations) > 0.8


def test_copied_planes_average_out_like_drawn_ones():
    """The mean of 65 planes of which 12 were drawn is as small as the mean of 65 drawn planes, within a third."""
    rng = np.random.default_rng(1)

    def draw(k: int) -> np.ndarray:
        return synthesis.draw_power_law((k, 48, 48), 2.0, rng)

    copied = np.mean([synthesis.draw_planes(65, draw, rng).mean(0).std() for _ in range(20)])
    fresh = np.mean([draw(65).mean(0).std() for _ in range(20)])
    assert copied == pytest.approx(fresh, rel=0.35)
    assert synthesis.draw_planes(5, draw, rng).shape == (5, 48, 48)
