"""Short-time spectra give the signal back."""

import pytest
import torch

from geoae.nets.parts.frames import Frames


@pytest.mark.parametrize(("size", "hop"), [(8, 4), (16, 4), (128, 32)])
@pytest.mark.parametrize("time", [1, 31, 300])
def test_unchanged_spectra_give_the_signal_back(size, hop, time):
    """Every sample lies in size / hop frames, and the windows add up to one."""
    frames = Frames(size, hop)
    x = torch.randn(2, 3, time, generator=torch.Generator().manual_seed(0))
    spectra = frames.analyse(x, frames.count(time))
    assert spectra.shape == (2, frames.count(time), 3, frames.bins)
    torch.testing.assert_close(frames.synthesise(spectra, time), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("time", [1, 31, 300])
def test_hann_windows_on_both_sides_give_the_signal_back(time):
    """Their squares add up to one, too."""
    frames = Frames(128, 32, root=False)
    x = torch.randn(2, 3, time, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(frames.synthesise(frames.analyse(x, frames.count(time)), time), x, rtol=0, atol=1e-5)


def test_a_sine_is_in_its_bin():
    """Four periods in a frame are in bin 4 and, by the window, its neighbours."""
    frames = Frames(64, 16)
    x = torch.sin(2 * torch.pi * 4 * torch.arange(256) / 64)[None, None]
    power = frames.analyse(x, frames.count(256))[0, 6, 0].abs().square()
    assert int(power.argmax()) == 4
    assert float(power[3:6].sum() / power.sum()) > 0.98
