"""Inputs of recordings and fields for same_bytes.py, and what is done with them: files, stores, arrays."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import obspy
import xarray as xr

import geoae

ENCODINGS = ("FLOAT32", "FLOAT64", "INT16", "INT32", "STEIM1", "STEIM2")
FORMATS = ("AH", "GCF", "GSE2", "MSEED", "Q", "SAC", "SACXY", "SEGY", "SH_ASC", "SLIST", "SU", "TSPAIR")
SHIPPED = (
    "io/mseed/tests/data/BW.BGLD.__.EHE.D.2008.001.first_10_records", "io/gse2/tests/data/loc_RJOB20050831023349.z",
    "core/tests/data/ffbx_unrotated_gaps.mseed",
)  # fmt: skip
PLAIN: dict[str, Any] = {"device": "cpu", "threads": 1}
Item = tuple[str, Callable[[], Any]]


def recording(
    rate_hz: float = 100.0, seconds: float = 180.0, channels: str = "ENZ", seed: int = 1, start: float = 0.0
) -> obspy.Stream:
    """Counts of a sensor: coloured noise and an event in its middle."""
    rng, n, traces = np.random.default_rng(seed), round(seconds * rate_hz), []
    t = np.arange(n) / rate_hz - seconds / 2
    for code in channels:
        noise = np.convolve(rng.normal(size=n + 8), np.hanning(9), mode="valid") * 100
        event = np.where(t > 0, np.exp(-t.clip(0) / 5) * np.sin(2 * np.pi * 4 * t), 0) * 2000 * rng.uniform(0.5, 1)
        header = {"network": "XX", "station": "MADE", "channel": f"HH{code}", "sampling_rate": rate_hz,
                  "starttime": obspy.UTCDateTime(2020, 1, 1) + start}  # fmt: skip
        traces.append(obspy.Trace(np.round(noise + event).astype(np.int32), header))
    return obspy.Stream(traces)


def field(n: int = 5, ny: int = 40, nx: int = 56, seed: int = 2, closes: bool = False, first: int = 0) -> xr.DataArray:
    """Temperatures (time, lat, lon) with noise and gaps; `closes`: once around the globe."""
    rng = np.random.default_rng(seed)
    t, y, x = np.ogrid[first : first + n, 0:ny, 0:nx]
    data = 280 + 10 * np.sin(6 * np.pi * x / nx + 0.1 * t) * np.cos(3 * np.pi * y / ny) + rng.normal(size=(n, ny, nx))
    data[rng.random(data.shape) < 0.1] = np.nan
    times = np.datetime64("2000-01-01", "ns") + np.arange(first, first + n) * np.timedelta64(6, "h")
    coords = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", np.linspace(60, -60, ny), {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", np.arange(nx) * (360 / nx if closes else 1.0), {"units": "degrees_east"}),
    }
    return xr.DataArray(data.astype(np.float32), coords, ("time", "lat", "lon"), "t2m", {"units": "K"})


def command(*words: str) -> str:
    """What the `geoae` command prints, notes and errors included, called as its script calls it."""
    # not as a process each: starting those would take longer than all the work
    (entry,) = entry_points(group="console_scripts", name="geoae")
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    code: Any = 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["geoae", *words]):
        try:
            entry.load()()
        except SystemExit as done:
            code = done.code or 0
        finally:  # the command has its own
            for number, handler in handlers.items():
                signal.signal(number, handler)
    for stream in (out, err):
        stream.seek(0)
    return f"exit code {code}\n{out.read()}\n{err.read()}"


def wrote(out: str, *words: str) -> Path:
    """The output of a command that has to succeed."""
    said = command(*words)
    if not said.startswith("exit code 0"):
        raise RuntimeError(said)
    return settled(out)


def settled(out: str) -> Path:
    """The output, with fixed times of change: what is made of a store tells it by those, too."""
    for path in [Path(out), *Path(out).rglob("*")]:
        os.utime(path, (1.7e9, 1.7e9))
    return Path(out)


def formats() -> Iterator[Item]:
    """A recording in every format and encoding."""
    model = geoae.load_model("seismic")
    recording(seconds=30).write("in.mseed", "MSEED", encoding="STEIM2")

    def made(name: str, **options: Any) -> Path:
        Path(name).mkdir()
        geoae.denoise("in.mseed", name, model=model, **PLAIN, **options)
        return Path(name)

    for encoding in ENCODINGS:
        yield encoding, lambda e=encoding: made(e, encoding=e)
    for form in FORMATS:
        yield form, lambda f=form: made(f"as-{f}", format_name=f)


def recordings() -> Iterator[Item]:
    """Recordings with gaps, overlaps and other rates; options of the command."""
    one = recording()
    one.write("in.mseed", "MSEED", encoding="INT32")
    recording(200, 60).write("fast.mseed", "MSEED")
    recording(40, 180).write("slow.mseed", "MSEED", encoding="INT32")
    t = one[0].stats.starttime
    parts = [one.slice(t, t + 60), one.slice(t + 55, t + 100), one.slice(t + 100.5, t + 101), one.slice(t + 120)]
    sum(parts[1:], parts[0]).write("gaps.mseed", "MSEED")
    obspy.read().write("example.mseed", "MSEED")
    yield "noise-out", lambda: wrote("n.mseed", "denoise", "in.mseed", "-o", "s.mseed", "--noise-out", "n.mseed",
                                     "--plot", "plot.png")  # fmt: skip
    yield "signal", lambda: Path("s.mseed")
    yield "plot", lambda: Path("plot.png")
    yield "dry", lambda: wrote("dry.mseed", "denoise", "in.mseed", "-o", "dry.mseed", "--dry", "0.3", "--id", "*.HHZ")
    for rest in ("pass", "remove"):
        yield f"200-hz-{rest}", lambda r=rest: wrote(f"{r}.mseed", "denoise", "fast.mseed", "-o", f"{r}.mseed",
                                                     "--above-band", r)  # fmt: skip
    yield "40-hz", lambda: wrote("40.mseed", "denoise", "slow.mseed", "-o", "40.mseed")
    yield "beside", lambda: command("denoise", "gaps.mseed", "example.mseed", "--start-time", "2009-08-24T00:20:05")
    yield "gaps", lambda: Path("gaps.denoised.mseed")
    yield "example", lambda: Path("example.denoised.mseed")
    for place in SHIPPED:
        path, out = Path(obspy.__file__).parent / place, f"{Path(place).stem}.out"
        yield f"shipped/{path.name}", lambda p=path, o=out: wrote(o, "denoise", str(p), "-o", o)
    yield "store-of-gaps", lambda: wrote("gaps.zarr", "denoise", "gaps.mseed", "-o", "gaps.zarr",
                                         "--start-time", "2020-01-01T00:01:01")  # fmt: skip


def day(*words: str, out: str) -> Iterator[Item]:
    """A day of one component at 20 Hz."""
    recording(20, 86400, "Z").write("day.mseed", "MSEED", encoding="STEIM2")
    yield "output", lambda: wrote(out, "denoise", "day.mseed", "-o", out, *words)


def hours() -> Iterator[Item]:
    """Several files that are one record, to a file each and to a store, which is then read and told of."""
    names = [f"{i}.mseed" for i in range(4)]
    for i, part in enumerate(names):
        whole = recording(20, 4 * 1800, "EZ", seed=5)
        start = whole[0].stats.starttime + 1800 * i
        whole.slice(start, start + 1800 - 0.05).write(part, "MSEED", encoding="STEIM2")
    Path("each").mkdir()
    yield "files", lambda: wrote("each", "denoise", *names, "-o", "each")
    yield "store", lambda: wrote("all.zarr", "denoise", *names, "-o", "all.zarr", "--codes", "--latent", "8")
    yield "status", lambda: command("status", "all.zarr")
    yield "info", lambda: command("info", "all.zarr", names[0])
    yield "read", lambda: geoae.read("all.zarr")
    yield "codes", lambda: geoae.open_codes("all.zarr")
    yield "decoded", lambda: wrote("back.zarr", "decode", "all.zarr", "-o", "back.zarr")
    yield "dry-run", lambda: command("denoise", *names, "-o", "new.zarr", "--dry-run")


def fields() -> Iterator[Item]:
    """Fields from netCDF to files and stores."""
    field().to_netcdf("in.nc")
    field(1)[0].drop_vars("time").to_netcdf("alone.nc")
    field(3, first=5, seed=6).to_netcdf("later.nc")
    field(3, 36, 72, closes=True).to_netcdf("globe.nc")
    both = xr.Dataset({"t2m": field(3), "wind": (field(3, seed=7) - 280).assign_attrs(units="m s-1")})
    both["area"] = ("lat", np.cos(np.deg2rad(both.lat.values)))
    both.to_netcdf("two.nc")
    packed = {"t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}}
    field(3).to_netcdf("packed.nc", encoding=packed)
    for name in ("alone", "in", "globe", "two", "packed"):
        for kind in ("nc", "zarr"):
            yield f"{name}-{kind}", lambda n=name, k=kind: wrote(f"{n}.out.{k}", "denoise", f"{n}.nc", "-o",
                                                                 f"{n}.out.{k}")  # fmt: skip
    yield "workers-codes", lambda: wrote("w.zarr", "denoise", "two.nc", "-o", "w.zarr", "--workers", "2", "--codes",
                                         "--chunks", "time=1,lat=20", "--shard", "2", "--dry", "0.1")  # fmt: skip
    yield "append", lambda: wrote("in.out.zarr", "denoise", "later.nc", "-o", "in.out.zarr", "--append")
    yield "several", lambda: command("denoise", "in.nc", "later.nc", "-o", "both.zarr", "--var", "t2m")
    yield "several-store", lambda: Path("both.zarr")
    yield "status", lambda: command("status", "in.out.zarr", "w.zarr")
    yield "info", lambda: command("info", "in.nc", "two.nc", "globe.nc", "packed.nc", "w.zarr")
    yield "dry-run", lambda: command("denoise", "two.nc", "-o", "new.zarr", "--dry-run", "--codes")


def codes() -> Iterator[Item]:
    """Stores of codes of fields and records, and what they decode to."""
    field(5, 70, 72, closes=True).to_netcdf("in.nc")
    field(2, 70, 72, closes=True, first=5).to_netcdf("later.nc")
    recording(seconds=60).write("in.mseed", "MSEED")
    for name, more in (("in.nc", ("--workers", "2")), ("in.mseed", ("--latent", "16"))):
        yield f"{name}/encode", lambda n=name, m=more: command("encode", n, "-o", f"{n}.zarr", *m)
        yield f"{name}/codes", lambda n=name: settled(f"{n}.zarr")
        yield f"{name}/decode", lambda n=name: wrote(f"{n}-back.zarr", "decode", f"{n}.zarr", "-o", f"{n}-back.zarr")
        yield f"{name}/open", lambda n=name: geoae.open_codes(f"{n}.zarr")
    yield "append", lambda: wrote("in.nc.zarr", "encode", "later.nc", "-o", "in.nc.zarr", "--append")


def arrays() -> Iterator[Item]:
    """What a notebook does, in memory and lazily."""
    record, x = recording(seconds=60), field(4, 70, 72, closes=True)
    record.write("in.mseed", "MSEED")
    xr.Dataset({"t2m": x, "other": x + 1}).to_netcdf("two.nc")
    seismic, grid = geoae.load_model("seismic"), geoae.load_model("grid")
    lazy = x.chunk(time=2, lat=35)
    yield "stream", lambda: geoae.denoise(record, model=seismic, return_noise=True, **PLAIN)
    yield "trace", lambda: geoae.denoise(record[2], model=seismic, dry=0.5, **PLAIN)
    yield "read-record", lambda: geoae.read("in.mseed")
    yield "read-part", lambda: geoae.read("in.mseed", ids=["*.HHZ"], start_time="2020-01-01T00:00:10")
    yield "read-fields", lambda: geoae.read("two.nc")
    yield "read-records", lambda: geoae.read_records("two.nc", var="t2m")
    yield "record", lambda: geoae.denoise(geoae.read("in.mseed"), model=seismic, **PLAIN)
    yield "record-lazy", lambda: geoae.denoise(geoae.read("in.mseed").chunk(time=2000), model=seismic, **PLAIN)
    yield "field", lambda: geoae.denoise(x, model=grid, return_noise=True, **PLAIN)
    yield "field-lazy", lambda: geoae.denoise(lazy, model=grid, **PLAIN).compute(scheduler="synchronous")
    yield "dataset", lambda: geoae.denoise(geoae.read("two.nc").to_dataset().isel(time=slice(2)), **PLAIN)
    yield "tree", lambda: geoae.denoise(geoae.read("two.nc").isel(time=slice(1)), **PLAIN)
    for name, array in (("field", x), ("field-lazy", lazy), ("record", geoae.read("in.mseed"))):
        yield f"encode-{name}", lambda a=array: geoae.encode(a, **PLAIN).compute(scheduler="synchronous")
        yield f"decode-{name}", lambda a=array: geoae.decode(geoae.encode(a, latent=16, **PLAIN)).compute()
    yield "info", lambda: [vars(r) for r in (*geoae.info("in.mseed").rows, *geoae.info("two.nc").fields)]


def models() -> Iterator[Item]:
    """What comes with the package."""
    yield "names", geoae.models
    yield "models", lambda: command("models")
    yield "version", lambda: command("--version")
    for name in geoae.models():
        yield name, lambda n=name: Path(geoae.__file__).parent / "weights" / n
        yield f"{name}/loaded", lambda n=name: facts(geoae.load_model(n))


def facts(model: Any) -> list[Any]:
    """What a loaded model says of itself."""
    return [vars(model.contract), model.net_name, model.net_config, vars(model.scaler), model.digest, model.precision]
