"""Short-time spectra with perfect reconstruction: Hann windows or their roots, for analysis and synthesis."""

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Complex, Float
from torch import Tensor, nn


class Frames(nn.Module):
    """Spectra of frames of `size` samples, one every `hop`; `hop` is a half or a quarter of `size`.

    Frame k begins at sample k * hop - (size - hop), so that every sample lies in size / hop frames. Analysis and
    synthesis windows are square roots of a Hann window, or Hann windows with `root` False, whose side lobes are lower;
    then `hop` is a quarter of `size`. Their products add up to a constant, so that unchanged spectra give the signal
    (Griffin & Lim, 1984, doi:10.1109/TASSP.1984.1164317).
    """

    window: Tensor

    def __init__(self, size: int, hop: int, root: bool = True):
        super().__init__()
        self.size, self.hop, self.bins = size, hop, size // 2 + 1
        self.overlap = size // hop
        hann = torch.hann_window(size)
        self.register_buffer("window", hann.sqrt() if root else hann, persistent=False)
        # mean square of the window times the number of frames around a sample
        self.scale = 1 / (self.overlap * (0.5 if root else 0.375))

    def count(self, time: int) -> int:
        """Number of frames that contain at least one of `time` samples."""
        return -(-(time + self.size - self.hop) // self.hop)

    def analyse(self, x: Float[Tensor, "batch channel time"], count: int) -> Complex[Tensor, "batch frame channel bin"]:
        """Spectra of the first `count` frames."""
        left = self.size - self.hop
        frames = F.pad(x, (left, count * self.hop - x.shape[-1])).unfold(-1, self.size, self.hop)
        return torch.fft.rfft((frames.transpose(1, 2) * self.window).contiguous())

    def synthesise(
        self, spectrum: Complex[Tensor, "batch frame channel bin"], time: int
    ) -> Float[Tensor, "batch channel time"]:
        """Overlap-add; the first `time` samples."""
        frames = torch.fft.irfft(spectrum, n=self.size) * (self.window * self.scale)
        parts = frames.unflatten(-1, (self.overlap, self.hop))
        last = self.overlap - 1
        out = sum(F.pad(parts[..., q, :], (0, 0, 0, 0, q, last - q)) for q in range(self.overlap))
        left = self.size - self.hop
        return torch.as_tensor(out).transpose(1, 2).flatten(2)[..., left : left + time]
