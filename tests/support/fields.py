"""Small fields and small models of fields."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from geoae import nets
from geoae.arrays import neighbours
from geoae.arrays.scaling import FieldScaler
from geoae.fields.contract import FieldContract
from geoae.model import Denoiser


def contract(**changes) -> FieldContract:
    """Contract with windows of 32 x 32 points and ten neighbouring slices; `changes` replace its fields."""
    facts = {"name": "tiny", "summary": "for tests", "window": (32, 32), "stride": (24, 24), "multiple": 8,
             "near": 1, "far": 3}  # fmt: skip
    return FieldContract(**{**facts, **changes})


class Small(torch.nn.Module):
    """Sees five points to either side, in all channels; removes about half of everything, differently everywhere."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (
            torch.nn.Conv2d(neighbours.N_CHANNELS, 8, 5, padding=2),
            torch.nn.Conv2d(8, 1, 5, padding=2),
        )

    def forward(self, x):
        return 0.5 * x[:, :1] + self.second(torch.relu(self.first(x)))


def tiny_model(**changes) -> Denoiser:
    """A small net with random weights."""
    return Denoiser(contract(**changes), "small", {}, Small().eval(), FieldScaler(2, neighbours.N_VALUES))


def denoiser(seed: int = 0, **changes) -> Denoiser:
    """The net of the shipped model, small and with random weights: one that can be loaded."""
    torch.manual_seed(seed)
    config = {"width": 8, "middle": 8, "deep": 8, "blocks": 1}
    net = nets.build("field-dae", config)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn_like(weight) * (0.5 / max(weight[0].numel(), 1) ** 0.5))
    return Denoiser(contract(**changes), "field-dae", config, net.eval(), FieldScaler(2, neighbours.N_VALUES))


class Nothing(torch.nn.Module):
    """Gives the slice back."""

    def forward(self, x):
        return x[:, :1]


def identity(**changes) -> Denoiser:
    """The model that removes nothing."""
    return Denoiser(contract(**changes), "nothing", {}, Nothing(), FieldScaler(2, neighbours.N_VALUES))


def saved(folder: Path, **changes) -> Path:
    """Folder of `denoiser`."""
    denoiser(**changes).save(folder, "# tiny")
    return folder


def field(
    n: int = 7, ny: int = 40, nx: int = 56, seed: int = 0, closes: bool = False, gaps: float = 0.2, dtype=np.float32
) -> xr.DataArray:
    """Temperatures (time, lat, lon) that drift slowly, with noise and gaps; `closes`: once around the globe."""
    rng = np.random.default_rng(seed)
    t, y, x = np.ogrid[0:n, 0:ny, 0:nx]
    data = (
        280
        + 10 * np.sin(2 * np.pi * (3 * x / nx) + 0.1 * t) * np.cos(3 * np.pi * y / ny)
        + rng.normal(size=(n, ny, nx))
    )
    if gaps and np.dtype(dtype).kind == "f":
        data[rng.random(data.shape) < gaps] = np.nan
        data[:, 5:15, 3:20] = np.nan
    times = np.datetime64("2000-01-01", "ns") + np.arange(n) * np.timedelta64(6, "h")
    lon = np.arange(nx) * (360 / nx if closes else 1.0)
    coords = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", np.linspace(60, -60, ny), {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    attrs = {"units": "K", "long_name": "temperature"}
    return xr.DataArray(data.astype(dtype), coords, ("time", "lat", "lon"), "t2m", attrs)


def assert_close(found, expected, to=1e-5):
    """Equal to `to` standard deviations and the rounding of float32."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    scale = max(float(np.nanstd(expected)), 1e-30)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=to * scale + 4 * float(np.finfo(np.float32).eps * np.nanmax(abs(expected)))
    )
