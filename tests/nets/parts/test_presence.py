"""What was let through of the noise is closed, events stay, no band gains energy, and the floor depends on the peak."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoae.nets.parts.presence import PresenceGate, find_leak, find_level

N = 6144
P = 3000


def noise(seed: int = 0, n: int = N) -> torch.Tensor:
    return torch.randn(1, 3, n, generator=torch.Generator().manual_seed(seed))


def event(peak: float, hz: float = 6.0, seconds: float = 4.0) -> torch.Tensor:
    """A wave that begins at sample P and decays, at 100 Hz."""
    t = torch.arange(N) - P
    wave = torch.sin(2 * torch.pi * hz * t / 100) * torch.exp(-t.clamp(min=0) / (100 * seconds)) * (t >= 0)
    return (peak * wave).expand(1, 3, -1)


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_a_burst_like_the_noise_is_closed():
    """A second of noise that was let through is no event: its power is that of the noise around it."""
    x, let_through = noise(), torch.zeros(1, 3, N)
    let_through[..., 2000:2100] = x[..., 2000:2100]
    assert rms(PresenceGate(2.0, 0.3)(x, 0.5 * let_through)) < 1e-3


def test_an_event_stays_as_it_is():
    """A signal well above noise of standard deviation 1 passes, and what is far off is closed."""
    clean, remains = event(8.0), torch.zeros(1, 3, N)
    remains[..., 500:560] = noise(1)[..., 500:560]
    x = clean + noise()
    out = PresenceGate(2.0, 0.3)(x, clean + 0.5 * remains)
    torch.testing.assert_close(out[..., P : P + 800], clean[..., P : P + 800], atol=0.5, rtol=0)
    assert rms(out[..., : P - 200]) < 1e-3


def test_weak_parts_of_an_event_stay_between_the_limits():
    """Evidence between both limits counts where it is part of a stretch that exceeds the higher one."""
    gate = PresenceGate(2.0, 0.3)
    evidence = torch.tensor([[0.0, 0.5, 0.4, 0.0, 0.0, 0.0, 0.5, 3.0, 0.4, 0.0, 0.0]])
    assert gate.find_events(evidence)[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0]


@given(evidence=st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_events_are_the_stretches_with_one_value_above(evidence):
    """The same as a loop over the stretches."""
    found, is_open, start = PresenceGate(2.0, 0.3).find_events(torch.tensor([evidence])), [False] * len(evidence), None
    values = torch.tensor(evidence).tolist()
    for i, value in enumerate([*values, 0.0]):
        if value > np.float32(0.3):
            start = i if start is None else start
        elif start is not None:
            if max(values[start:i]) > 2.0:
                is_open[max(start - 1, 0) : i + 1] = [True] * (min(i + 1, len(values)) - max(start - 1, 0))
            start = None
    assert found[0].bool().tolist() == is_open


def test_no_band_gains_energy():
    """An image at 25 Hz of a wave of 2 Hz, which is not in the input, is limited to what the input has there.

    It is 26 dB above that. A line spectrum spreads over three bands, of which each keeps the power of the input.
    """
    t = torch.arange(N) / 100
    wave = (100 * torch.sin(2 * torch.pi * 2 * t)).expand(1, 3, -1)
    x = wave + 0.1 * noise()
    image = (3 * torch.sin(2 * torch.pi * 25 * t)).expand(1, 3, -1)
    out = PresenceGate(0.01, 0.001)(x, wave + image)
    power = [torch.fft.rfft(y * torch.hann_window(N)).abs().square() for y in (x, out)]
    band = slice(int(24 * N / 100), int(26 * N / 100))
    assert float(power[1][..., band].sum()) <= 1.5 * float(power[0][..., band].sum())
    low = slice(0, int(4 * N / 100))
    assert float(power[1][..., low].sum()) == pytest.approx(float(power[0][..., low].sum()), rel=0.02)


@given(time=st.integers(1, 500), seed=st.integers(0, 99))
def test_windows_of_any_length_give_finite_numbers(time, seed):
    """So do windows of zeros, and the sign of the input is the sign of the output."""
    x = noise(seed, time)
    gate = PresenceGate(2.0, 0.3)
    out = gate(x, 0.7 * x)
    assert out.shape == x.shape
    assert out.isfinite().all()
    torch.testing.assert_close(gate(-x, -0.7 * x), -out, rtol=0, atol=0)
    assert (gate(0 * x, 0 * x) == 0).all()


def test_a_gap_does_not_count_as_quiet():
    """The level of the noise is that of the samples outside of a gap, where the input is zero."""
    power = torch.tensor([[[0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]]])
    assert float(find_level(power, 0.25)) == 2.0
    assert float(find_level(torch.zeros(1, 1, 4), 0.25)) == 0.0


def test_the_leak_rises_with_the_peak():
    """From the least to the most, so that the noise that is left stays below the peak; the same for all components."""
    removed = noise()
    leaks = [float(find_leak(event(peak), removed, 0.1, 0.3, 35.0)) for peak in (0.0, 1.0, 20.0, 200.0)]
    assert leaks[:2] == pytest.approx([0.1, 0.1])
    assert leaks[1] < leaks[2] < leaks[3]
    assert leaks[3] == pytest.approx(0.3)
    one = event(200.0) * torch.tensor([1.0, 0.0, 0.0])[:, None]
    assert find_leak(one, removed, 0.1, 0.3, 35.0).shape == (1, 1, 1)
    assert float(find_leak(one, removed, 0.1, 0.3, 35.0)) == pytest.approx(0.3)
