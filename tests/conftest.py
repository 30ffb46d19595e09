"""Seeded synthetic data, tiny models, and the rule that skips GPU tests where there is none."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from geoae import nets
from geoae.model import Denoiser
from geoae.records.contract import RecordContract
from geoae.records.recipe import RecordRecipe
from geoae.records.scaling import RecordScaler

torch.set_num_threads(1)
# how long an example takes is the machine's affair; the same examples every time, or new ones:
# pytest --hypothesis-profile explore
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))


def tiny_model(window: int = 512, stride: int = 384, seed: int = 0, rate_hz: float = 100.0) -> Denoiser:
    """A small net with random weights: it removes about half of everything, differently everywhere."""
    torch.manual_seed(seed)
    config = {"width": 16, "dilations": [1, 2]}
    net = nets.build("cascade-dae", config)
    contract = RecordContract("tiny", "for tests", rate_hz, (8.0, 1000.0), window, stride, 32)
    return Denoiser(contract, "cascade-dae", config, net.eval(), RecordScaler(), "0" * 12)


@pytest.fixture(scope="session")
def model() -> Denoiser:
    return tiny_model()


def tiny_recipe(**changes: dict) -> RecordRecipe:
    """A recipe that trains in a second; `changes` are merged into its sections."""
    plan = {
        "name": "tiny", "summary": "for tests",
        "net": {"name": "cascade-dae", "config": {"width": 8, "dilations": [1]}},
        "window": {"length": 1024, "stride": 768, "train_length": 1024}, "split": {"n_windows": 8},
        "optimize": {"steps": 8, "batch": 4, "warmup_steps": 2, "validate_every": 4, "ema_decay": 0.9,
                     "precision": "float32"},
    }  # fmt: skip
    for section, values in changes.items():
        plan[section] = {**plan.get(section, {}), **values} if isinstance(values, dict) else values
    return RecordRecipe.model_validate(plan)


def write_seisbench(folder: Path, rows: list[dict], waveforms: list[np.ndarray]) -> Path:
    """A data set in the SeisBench format: waveforms (3, n) in the order E N Z."""
    import h5py

    folder.mkdir(parents=True)
    names = sorted({k for row in rows for k in row})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["trace_name", *names])
        writer.writeheader()
        writer.writerows({"trace_name": f"r{i}", **row} for i, row in enumerate(rows))
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        for i, x in enumerate(waveforms):
            file[f"data/r{i}"] = x.astype(np.float32)
        file["data_format/dimension_order"], file["data_format/component_order"] = "CW", "ENZ"
    return folder


def ricker_event(n: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """P and S wavelets with a decaying coda, three components."""
    t = (np.arange(n) - p) / 100.0
    x = np.zeros((3, n))
    for delay, size in ((0.0, (0.3, 0.3, 1.0)), (5.0, (1.0, 0.8, 0.4))):
        envelope = np.where(t > delay, np.exp(-(t - delay) / 3), 0)
        for row in range(3):
            carrier = np.convolve(rng.normal(size=n), np.hanning(9), mode="same")
            x[row] += size[row] * envelope * carrier
    return x


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with events/ and noise/ of 12 made-up stations: enough for both sides of the split."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("data")
    stations = [{"station_network_code": "XX", "station_code": f"S{i:02d}"} for i in range(12)]
    rate = {"trace_sampling_rate_hz": 100.0}
    rows, waves = [], []
    for i in range(24):
        p = 1000 + int(rng.integers(0, 500))
        has = {"trace_has_e": True, "trace_has_n": i % 5 != 0, "trace_has_z": True}
        about = {"trace_snr_db": 30.0, "licence": "made up", "source_region": "none"}
        rows.append({**stations[i % 12], **rate, **has, **about, "trace_p_arrival_sample": p})
        x = ricker_event(7000, p, rng) + 1e-3 * rng.normal(size=(3, 7000))
        x[1] *= i % 5 != 0
        waves.append(x * 1000)
    write_seisbench(folder / "events", rows, waves)
    rows = [{**stations[(i + 6) % 12], **rate, "trace_has_e": True, "trace_has_n": True, "trace_has_z": True,
             "noise_kind": "made up", "licence": "made up"} for i in range(24)]  # fmt: skip
    write_seisbench(folder / "noise", rows, [np.cumsum(rng.normal(size=(3, 7000)), axis=1) for _ in rows])
    return folder
