"""Synthetic data sets in the SeisBench format, for mixtures of events and noise."""

import csv
from pathlib import Path

import h5py
import numpy as np

from geoae.records.mixtures import Mixtures

STATIONS = [f"XX.S{i:02d}" for i in range(24)]


P_S = 30.0


def write_set(folder: Path, records, order="ENZ"):
    """Write (name, station, rate, data E N Z, P sample or "", has) records as waveforms.hdf5 and metadata.csv."""
    folder.mkdir(parents=True)
    fields = ["trace_name", "station_network_code", "station_code", "trace_sampling_rate_hz", "trace_p_arrival_sample"]
    fields += ["trace_component_order", "trace_has_e", "trace_has_n", "trace_has_z"]
    with h5py.File(folder / "waveforms.hdf5", "w") as file, (folder / "metadata.csv").open("w", newline="") as out:
        file["data_format/component_order"], file["data_format/dimension_order"] = order, "CW"
        rows = csv.writer(out)
        rows.writerow(fields)
        for name, station, rate, data, p, has in records:
            file[f"data/{name}"] = np.asarray([data["ENZ".index(c)] for c in order], dtype=np.float32)
            rows.writerow([name, *station.split("."), rate, p, order, *has])


def draw_event(rng, rate=100, seconds=80, noise=0.001):
    """A decaying oscillation from 30 s on, with weak noise; (3, time)."""
    time = np.arange(int(seconds * rate)) / rate - P_S
    envelope = np.where(time >= 0, np.exp(-np.clip(time, 0, None) / 6), 0)
    carrier = np.sin(2 * np.pi * rng.uniform(3, 8, (3, 1)) * time)
    return 1000 * (envelope * carrier + noise * rng.normal(size=(3, time.size)))


def make_white_mixtures(n: int = 12) -> Mixtures:
    """White events from P on, and white noise; events of six stations."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(n, 3, 6000)) * (np.arange(6000) >= 1500)
    meta = tuple({"event": f"{i}", "station": f"XX.S{i % 6}", "noise": "", "noise_station": ""} for i in range(n))
    return Mixtures(clean, rng.normal(size=(n, 3, 6000)), np.full(n, 1500), "raw", meta)
