"""Small data and recipes for trainings of denoisers of fields."""

from pathlib import Path

import numpy as np
import xarray as xr

from geoae.fields.recipe import FieldRecipe, FieldWindow

WINDOW = FieldWindow(length=32, stride=24, train_length=32, multiple=32, near=1, far=3)


def archive(seed: int = 0, n: int = 9) -> list[np.ndarray]:
    """Two fields that change little in time, one of them with land."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:40, 0:70]
    one = 280 + 10 * np.sin(y / 6) * np.cos(x / 9) + rng.normal(0, 0.5, (n, 40, 70))
    land = (one + 100).copy()
    land[:, :10, :30] = np.nan
    return [one, land]


def write(folder: Path, members: list[np.ndarray]) -> Path:
    """Write fields (time, y, x) as member0.nc, member1.nc, ..."""
    for k, x in enumerate(members):
        coords = {"time": np.arange(len(x)), "lat": np.linspace(-60, 60, 40), "lon": np.arange(70.0)}
        xr.DataArray(x, coords, ("time", "lat", "lon"), name="t").to_netcdf(folder / f"member{k}.nc")
    return folder


def recipe(target: str, **changes: object) -> FieldRecipe:
    """A recipe of 60 steps; `changes` replace whole sections."""
    facts = {
        "kind": "field", "name": "t", "summary": "for tests",
        "net": {"name": "field-dae", "config": {"width": 8, "middle": 8, "deep": 8, "blocks": 1}},
        "data": {"files": ["member*.nc"]}, "window": WINDOW.model_dump(), "mix": {"target": target, "small": 0},
        "optimize": {"steps": 60, "batch": 8, "validate_every": 30, "warmup_steps": 5, "learning_rate": 3e-3,
                     "ema_decay": 0.9, "precision": "float32"},
        "n_validation": 24,
    }  # fmt: skip
    return FieldRecipe.model_validate(facts | changes)


WIDE = {**WINDOW.model_dump(), "overview": 2}
