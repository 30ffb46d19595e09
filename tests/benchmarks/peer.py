"""WaveDenoiser 0.2.0 over a miniSEED file with 50 % overlap: read, denoise, write; for an environment that has it."""

import sys

import numpy as np
import obspy
import torch
from wavedenoiser.wavedenoiser import Denoiser

WINDOW, BATCH = 5700, 8  # samples its net was made for; the batch size that was fastest


def main(source: str, out: str, threads: int) -> None:
    torch.set_num_threads(threads)
    stream, net = obspy.read(source).sort(), Denoiser()
    x = np.array([trace.data for trace in stream], dtype=np.float32)
    starts = [*range(0, x.shape[-1] - WINDOW, WINDOW // 2), x.shape[-1] - WINDOW]
    weight = np.maximum(np.minimum(np.arange(1, WINDOW + 1), np.arange(WINDOW, 0, -1)) / (WINDOW / 2), 1e-3)
    total, weights = np.zeros(x.shape), np.zeros(x.shape[-1])
    with torch.no_grad():
        for first in range(0, len(starts), BATCH):
            batch = starts[first : first + BATCH]
            cleaned = net.predict(np.stack([x[:, s : s + WINDOW] for s in batch])).numpy()
            for s, one in zip(batch, cleaned, strict=True):
                total[:, s : s + WINDOW] += one * weight
                weights[s : s + WINDOW] += weight
    for trace, data in zip(stream, (total / weights).astype(np.float32), strict=True):
        trace.data = data
    stream.write(out, format="MSEED", encoding="FLOAT32")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
