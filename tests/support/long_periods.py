"""Data sets of long periods."""

from pathlib import Path

import numpy as np

from geoae.records.teleseisms import draw_teleseism
from tests.conftest import write_seisbench


def write_long_sets(folder: Path) -> Path:
    """Write a distant event, whole and in part, and a regional one; noise of the sea floor and of land; at 1 Hz."""
    rng = np.random.default_rng(2)
    rows, waves = [], []
    for i, (kind, n) in enumerate([("teleseism", 1500), ("teleseism", 200), ("regional", 400)]):
        x = 1e-3 * rng.normal(size=(3, n))
        x[:, 100:] += draw_teleseism(n - 100, 1.0, rng)
        rows.append({"station_network_code": "XX", "station_code": f"S{i}", "trace_sampling_rate_hz": 1.0,
                     "trace_npts": n, "event_kind": kind, "trace_p_arrival_sample": 100})  # fmt: skip
        waves.append(x)
    write_seisbench(folder / "events", rows, waves)
    rows = [{"station_network_code": "XX", "station_code": f"N{i}", "trace_sampling_rate_hz": 1.0, "noise_kind": kind}
            for i, kind in enumerate(["ocean bottom", "ambient"])]  # fmt: skip
    write_seisbench(folder / "noise", rows, [rng.normal(size=(3, n)) for n in (2000, 120)])
    return folder
