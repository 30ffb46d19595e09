"""Priors, inversions and trainings for same_bytes.py, tiny and seeded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from same_bytes_files import PLAIN, Item, command, field, wrote

import geoae

OPTIMIZE = {"steps": 4, "batch": 4, "warmup_steps": 2, "validate_every": 4, "ema_decay": 0.9, "precision": "float32"}
FIELD_NET = {"name": "field-dae", "config": {"width": 8, "middle": 8, "deep": 8, "blocks": 1}}
FIELD_WINDOW = {"length": 32, "stride": 24, "train_length": 32, "multiple": 32, "near": 1, "far": 2}
CODE_NET = {"sizes": [2, 4], "basis": 16, "experts": 3, "rounds": 3, "width": 8, "depth": 1}
RECIPES: dict[str, dict[str, Any]] = {
    "record": {"net": {"name": "cascade-dae", "config": {"width": 8, "dilations": [1]}}, "split": {"n_windows": 4},
               "window": {"length": 1024, "stride": 768, "train_length": 1024}},
    "field": {"kind": "field", "net": FIELD_NET, "window": FIELD_WINDOW, "n_validation": 8,
              "data": {"files": ["a.nc"], "validation": ["b.nc"]}},
    "members": {"kind": "field", "net": FIELD_NET, "window": FIELD_WINDOW, "n_validation": 8,
                "data": {"files": ["a.nc", "b.nc"]}, "mix": {"target": "members"}},
    "blind-spot": {"kind": "field", "net": FIELD_NET, "window": FIELD_WINDOW, "n_validation": 8,
                   "data": {"files": ["a.nc"]}, "mix": {"target": "blind-spot"}},
    "field-codes": {"kind": "codes", "net": {"name": "window-ae", "config": {"ndim": 2, "window": 8, **CODE_NET}},
                    "data": {"files": ["*.nc"]}, "draw": {"n": 200, "n_validation": 40, "drawn": 0.2}},
    "record-codes": {"kind": "codes", "net": {"name": "window-ae", "config": {"ndim": 1, "window": 64, **CODE_NET}},
                     "data": {"records": ["events", "noise"]}, "draw": {"n": 200, "n_validation": 40}},
    "prior": {"kind": "prior", "data": {"models": "m.npz:m"}, "hold_out": {"n": 20}, "net": {"name": "vae", "config": {
        "ndim": 1, "shape": [20], "latent": 3, "layers": "dense", "hidden": 16}}},
}  # fmt: skip


def profiles(n: int = 300) -> np.ndarray:
    """Smooth models (n, 20), bent so that no linear prior holds them."""
    a, b, c = np.random.default_rng(3).normal(size=(3, n, 1))
    z = np.linspace(0, 1, 20)
    return 3 + 0.3 * z + 0.4 * np.tanh(4 * (z - 0.5 + 0.2 * a)) + 0.1 * b * np.sin(6 * z) + 0.05 * c * a * np.cos(9 * z)


def seisbench(folder: Path) -> None:
    """The sets events and noise of twelve stations, in the SeisBench format."""
    import h5py

    rng = np.random.default_rng(4)
    for name in ("events", "noise"):
        (folder / name).mkdir(parents=True)
        lines = ["trace_name,station_network_code,station_code,trace_sampling_rate_hz,trace_has_e,trace_has_n,"
                 "trace_has_z,trace_p_arrival_sample,trace_snr_db,licence,source_region,noise_kind"]  # fmt: skip
        with h5py.File(folder / name / "waveforms.hdf5", "w") as file:
            file["data_format/dimension_order"], file["data_format/component_order"] = "CW", "ENZ"
            for i in range(24):
                p, x = 1000 + 20 * i, np.cumsum(rng.normal(size=(3, 7000)), axis=1)
                if name == "events":
                    t = (np.arange(7000) - p) / 100
                    x = 1000 * np.where(t > 0, np.exp(-t.clip(0) / 3), 0) * rng.normal(size=(3, 7000)) + 0.1 * x
                file[f"data/r{i}"] = x.astype(np.float32)
                lines.append(f"r{i},XX,S{i % 12:02d},100.0,True,True,True,{p},30.0,made up,none,made up")
        (folder / name / "metadata.csv").write_text("\n".join(lines) + "\n")


def saved(model: Any, folder: str) -> Path:
    """Weights, settings and companions of a model."""
    model.save(Path(folder), "# made")
    return Path(folder)


def priors() -> Iterator[Item]:
    """Priors of profiles and facies, and their spaces of codes."""
    image = (np.random.default_rng(8).normal(size=(60, 80)).cumsum(0).cumsum(1) > 0).astype(np.float32)
    small = {"steps": 60, "seed": 1, "threads": 1}
    made: dict[str, Any] = {}
    makers = {
        "pca": lambda: geoae.fit(profiles(), 4, net="pca", units="km/s", transform="log"),
        "vae": lambda: geoae.fit(profiles(), 4, transform="normal-score", config={"hidden": 32}, **small),
        "bent": lambda: geoae.fit(profiles(), 3, config={"hidden": 16, "couplings": 2}, mirror=(0,), **small),
        "facies": lambda: geoae.fit(image, 4, shape=(12, 12), config={"hidden": 16}, **small),
    }
    for name, make in makers.items():
        yield name, lambda n=name, m=make: saved(made.setdefault(n, m()), n)
        yield f"{name}/space", lambda n=name: spaces(geoae.LatentSpace(n, "float64"))
        yield f"{name}/report", lambda n=name: str(made[n].report())


def spaces(space: Any) -> list[Any]:
    """What a space of codes gives back."""
    z = space.sample(3, seed=4)
    m = space.decode(z)
    return [z, m, space.encode(m, refine=2), space.jacobian(z), space.jvp(z, z[::-1]), space.vjp(z, m),
            space.log_prior(z), space.held_out_codes, *space.neighbours(z),
            space.interpolate(z[0], z[1]), *space.atlas(3)]  # fmt: skip


def inversion() -> Iterator[Item]:
    """Posteriors by every method, of a bent and of a linear forward model."""
    prior = geoae.fit(profiles(), 4, config={"hidden": 32}, steps=100, seed=1, threads=1)
    matrix = np.tril(np.ones((20, 20)))[3::4] / 20
    truth = profiles()[17]
    rng = np.random.default_rng(9)

    def inverse(kind: str) -> Any:
        if kind == "linear":
            return geoae.Inverse(prior, matrix, matrix @ truth + 0.01 * rng.normal(size=5), 0.01, seed=3)
        data = matrix @ truth**2 + 0.05
        more = {} if kind == "runs" else {"jacobian": lambda m: 2 * matrix * m}
        return geoae.Inverse(
            prior, lambda m: matrix @ m**2, data, np.full(5, 0.05), n_representation=20, seed=3, **more
        )

    ways: dict[str, dict[str, Any]] = {
        "map": {}, "laplace": {"n_draws": 40}, "rml": {"n_draws": 6}, "esmda": {"n_members": 20, "n_steps": 2},
        "mcmc-emulated": {"n_chains": 2, "n_warmup": 10, "n_draws": 20, "n_learn": 60},
        "mcmc-hmc": {"n_chains": 2, "n_warmup": 10, "n_draws": 10},
        "mcmc-emcee": {"n_chains": 2, "n_warmup": 5, "n_draws": 20},
    }  # fmt: skip

    def solved(kind: str, way: str) -> dict[str, Any]:
        method, _, sampler = way.partition("-")
        p = inverse(kind).solve(method, **ways[way], **({"sampler": sampler} if sampler else {}))
        found = {"codes": p.codes, "predicted": p.predicted, "models": p.sample(3), "mean": p.mean(),
                 "info": {k: repr(v) for k, v in p.info.items() if k != "seconds"}}  # fmt: skip
        spread = {} if method == "map" else {"interval": list(p.interval()), "diagnosis": str(p.diagnose())}
        return {**found, **spread, "store": p.save(f"{kind}-{way}.zarr")}

    for kind in ("linear", "bent", "runs"):
        for way in ways:
            if kind == "bent" or way in ("map", "laplace", "esmda"):
                yield f"{kind}/{way}", lambda k=kind, w=way: solved(k, w)
    for method, more in (("laplace", {"n_draws": 40, "naive": True}), ("esmda", {"n_members": 20})):
        yield f"calibrate/{method}", lambda m=method, o=more: calibrated(inverse("bent").calibrate(3, m, **o))


def calibrated(found: Any) -> dict[str, Any]:
    """All numbers of a calibration."""
    return {"printed": str(found), **{name: repr(vars(one)) for name, one in found.results.items()}}


def training() -> Iterator[Item]:
    """A few steps of every kind of training; what comes out is used and scored."""
    seisbench(Path("data"))
    for name, seed in (("a", 10), ("b", 11)):
        field(12, 48, 64, seed=seed).fillna(280).to_netcdf(f"data/{name}.nc")
    np.savez("data/m.npz", m=profiles().astype(np.float32))
    yield "info", lambda: command("info", "data/events")
    yield "read", lambda: geoae.read_records("data/events")[:2]
    for name, plan in RECIPES.items():
        text = {"name": f"tiny-{name}", "summary": "For comparison.", "limits": "All.", "optimize": OPTIMIZE, **plan}
        Path(f"{name}.yml").write_text(yaml.safe_dump(text))
        yield name, lambda n=name: wrote(n, "train", f"{n}.yml", "--data", "data", "-o", n, "--workers", "0")
    yield "workers", lambda: wrote("w", "train", "record.yml", "--data", "data", "-o", "w", "--steps", "2")
    yield "resumed", lambda: wrote("w", "train", "record.yml", "--data", "data", "-o", "w")
    yield "called", lambda: geoae.train(Path("prior.yml"), "data", Path("p"), workers=0, **PLAIN)
    yield "evaluate", lambda: command("evaluate", "--data", "data", "--model", "record", "-n", "4", "-o", "scores")
    yield "scores", lambda: Path("scores")
