"""Whether the type of an output holds a denoised trace."""

import numpy as np
import pytest

from geoae.jobs.records.precision import RoundingSums, find_blur

RNG = np.random.default_rng(0)
EVENT = np.exp(-((np.arange(4000) - 2000.0) ** 2) / 2e4) * np.sin(np.arange(4000.0))
NOISE = RNG.normal(size=4000)


def loss(x, exact, *, rounded, dtype=np.float64, noise=False, blocks=1) -> str:
    sums = RoundingSums(rounded)
    for a, b in zip(np.array_split(x, blocks), np.array_split(exact, blocks), strict=True):
        signal = (np.rint(b) if rounded else b).astype(dtype)
        sums.add(a, b, signal, a - signal if noise else None)
    return sums.find_loss()


@pytest.mark.parametrize("peak", [1e-200, 6e-7, 0.4, 3.0])
def test_whole_numbers_do_not_hold_small_physical_units(peak):
    """From metres per second that round to zero, up to a signal of few counts; squares may not underflow."""
    assert "rounding changes it" in loss(peak * (EVENT + NOISE), peak * EVENT, rounded=True)


@pytest.mark.parametrize("scale", [50, 1e5])
def test_whole_numbers_hold_large_numbers(scale):
    """With any offset, and the noise as well."""
    for offset in (0, -1e6):
        assert not loss(scale * (EVENT + NOISE) + offset, scale * EVENT + offset, rounded=True, noise=True)


def test_counts_are_held_down_to_their_own_resolution():
    """A recording of whole numbers may be rounded again, but not to nothing."""
    counts = np.rint(20 * (EVENT + NOISE))
    assert not loss(counts, 2.5 * EVENT, rounded=True, noise=True)
    assert loss(counts + 0.1, 2.5 * EVENT, rounded=True)
    assert loss(np.rint(NOISE), 0.2 * EVENT, rounded=True)


def test_noise_that_rounds_to_nothing_is_a_loss():
    """If it is written; and also if what was removed is less than the rounding."""
    x, exact = 1000 * EVENT + NOISE, 1000 * EVENT
    assert not loss(x, exact, rounded=True)
    assert "its noise" in loss(x, exact, rounded=True, noise=True)
    assert loss(1000 * EVENT + 0.1 * NOISE, exact, rounded=True)


def test_zeros_and_constants_are_held():
    """A trace without any signal, or from which nothing is taken, is no loss."""
    assert not loss(np.zeros(100), np.zeros(100), rounded=True)
    assert not loss(np.full(100, 7.0), np.full(100, 7.0), rounded=True)
    for scale in (100, 100 * (1 + 1e-14)):  # the second one has rounding errors of the computation
        assert not loss(100 * EVENT, scale * EVENT, rounded=True)
    assert not RoundingSums(rounded=True).find_loss()
    nothing = np.full(10, np.nan)
    assert not loss(nothing, nothing, rounded=True)


@pytest.mark.parametrize(("offset", "held"), [(0, True), (1e5, True), (2**30, False)])
def test_single_precision_and_offsets(offset, held):
    """float32 holds a signal of 100 on an offset of 1e5, but steps of 64 at 2**30 blur it."""
    x, exact = offset + 100 * (EVENT + NOISE), offset + 100 * EVENT
    for blocks in (1, 7):
        assert bool(loss(x, exact, rounded=False, dtype=np.float32, blocks=blocks)) != held


@pytest.mark.parametrize(
    ("rms", "noise_rms", "held"), [(3000, 1e4, False), (4500, 1e4, True), (1e5, 300, False), (1e5, 450, True)]
)
def test_errors_of_single_precision_have_limits(rms, noise_rms, held):
    """An error of 37 counts is lost at 1 % of the signal about its mean, and at 10 % of what was removed."""
    exact = 2.0**30 + 2.0**21 + rms * np.sqrt(2) * np.sin(np.arange(4000.0))
    exact[0] -= 4e4  # the mean is far from the first sample
    x = exact + noise_rms * NOISE
    assert bool(loss(x, exact, rounded=False, dtype=np.float32, blocks=3)) != held
    assert bool(find_blur(2.0**30, rms)) != (rms > 4000)


def test_whole_numbers_in_single_precision_lose_no_more_than_rounding():
    """Steps of 2 above 2**24 are more than a recording of whole numbers has lost already; steps of 1 are not."""
    exact = 20 * np.sin(np.arange(4000.0)) + 0.1
    for offset, held in ((2.0**24, False), (2.0**23, True)):
        x = np.rint(exact + 30 * NOISE) + offset + 1000
        assert bool(loss(x, exact + offset + 1000, rounded=False, dtype=np.float32)) != held
        assert bool(find_blur(offset, 20.0)) != held


def test_samples_that_are_not_finite_do_not_count():
    """A gap changes nothing."""
    x, exact = 50 * (EVENT + NOISE), 50 * EVENT
    x[100:200] = exact[100:200] = np.nan
    assert not loss(x, exact, rounded=True)
    assert loss(x / 1000, exact / 1000, rounded=True)


def test_blur_of_large_integers():
    """float32 has steps of 128 at 2**30, and of one half below 2**23."""
    assert "by 37 (rms), with a signal of 60" in find_blur(2.0**30, 60.0)
    assert not find_blur(2.0**30, 1e5)
    assert not find_blur(2.0**22, 1.0)
    assert not find_blur(np.nan, np.nan)


def test_filled_gaps_are_not_part_of_the_signal():
    """A fill value does not hide that the rest is rounded to zero."""
    x, exact = 1e-7 * (EVENT + NOISE), 1e-7 * EVENT
    x[1000:1500] = exact[1000:1500] = -12345.0
    assert loss(x, exact, rounded=True)
    assert loss(x, exact, rounded=True, blocks=16)
    assert loss(1e-7 * EVENT, 1e-7 * EVENT, rounded=True)
