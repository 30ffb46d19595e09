"""Make a synthetic recording as STEIM2 miniSEED: microseism, wind that rises and falls, and a few local events."""

import argparse
from itertools import pairwise

import numpy as np
from obspy import Stream, Trace, UTCDateTime
from scipy.signal import butter, sosfilt

RATE_HZ = 100
START = UTCDateTime(2024, 3, 1)
GAP_N = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--hours", type=float, default=24, help="length of a day")
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--gaps", type=int, default=0, help="of each component")
    parser.add_argument("--record-length", type=int, default=512)
    options = parser.parse_args()
    n = round(options.hours * 3600 * RATE_HZ)
    with open(options.out, "wb") as file:  # noqa: PTH123 - ObsPy writes into what open gives
        for day in range(options.days):
            stream = Stream()
            for row, component in enumerate("ENZ"):
                stream.extend(pieces(samples(n, day, row), component, START + day * n / RATE_HZ, options.gaps))
            stream.write(file, format="MSEED", encoding="STEIM2", reclen=options.record_length)


def samples(n: int, day: int, row: int) -> np.ndarray:
    """One component of one day in counts; the same numbers every time."""
    rng, shared = np.random.default_rng([day, row]), np.random.default_rng([day, 99])
    microseism = sosfilt(butter(2, (0.12, 0.35), "bandpass", fs=RATE_HZ, output="sos"), rng.normal(size=n))
    wind = sosfilt(butter(1, (1.0, 30.0), "bandpass", fs=RATE_HZ, output="sos"), rng.normal(size=n))
    wind *= 1 + 0.8 * np.sin(2 * np.pi * (np.arange(n) / n + shared.random()))
    x = 4000 * microseism + 150 * wind + 5 * rng.normal(size=n) + 800
    for p in shared.integers(0, max(n - 6000, 1), size=12):
        size, delay = 10 ** shared.uniform(2.5, 4.5), int(shared.integers(200, 1500))
        for at, share in ((p, (0.3, 0.3, 1.0)[row]), (p + delay, (1.0, 0.8, 0.4)[row])):
            t = np.arange(min(6000, n - at)) / RATE_HZ
            coda = sosfilt(butter(2, (2.0, 15.0), "bandpass", fs=RATE_HZ, output="sos"), rng.normal(size=t.size))
            x[at : at + t.size] += size * share * coda * np.exp(-t / 6)
    return np.rint(x).astype(np.int32)


def pieces(x: np.ndarray, component: str, start: UTCDateTime, gaps: int) -> list[Trace]:
    """The component as one trace, or as several traces with short gaps between them."""
    header = {"network": "XX", "station": "BENCH", "channel": f"HH{component}", "sampling_rate": RATE_HZ}
    edges = np.linspace(0, len(x), gaps + 2).astype(int)
    return [
        Trace(x[a : b - GAP_N if gaps else b], {**header, "starttime": start + a / RATE_HZ}) for a, b in pairwise(edges)
    ]


if __name__ == "__main__":
    main()
