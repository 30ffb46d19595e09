"""Contracts of denoising recordings and fields: any division, rate, units, trends and gaps. README lists them."""

from itertools import pairwise

import dask
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime

import geoae
from geoae.records.infer import build_identity_denoiser, build_noise_reader
from tests.conftest import tiny_model
from tests.support import fields
from tests.support.store_worker import EPOCH, content

few = settings(max_examples=40, suppress_health_check=list(HealthCheck))
MODEL = tiny_model()
a_few = settings(max_examples=3, suppress_health_check=list(HealthCheck))
GRID = fields.denoiser()  # the net of the shipped model, narrow and with random weights
SIZES = st.tuples(st.integers(1, 3), st.integers(12, 40), st.integers(12, 40))
START = UTCDateTime(2024, 1, 1, 0, 0, 0, 123000)
RATES = st.sampled_from([100.0, 100.0, 50.0, 62.5, 200.0, 20.0])


def recording(n: int, seed: int = 0, channels: str = "ENZ", rate: float = 100.0) -> Stream:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(size=(3, n)), axis=1) + 30 * rng.normal(size=(3, n))
    codes = ["ENZ".index(c) for c in channels]
    return Stream([trace(x[i], f"HH{'ENZ'[i]}", START, rate) for i in codes])


def trace(x, channel, start, rate=100.0) -> Trace:
    header = {"network": "XX", "station": "TEST", "channel": channel, "starttime": start, "sampling_rate": rate}
    return Trace(np.ascontiguousarray(x), header)


def cut(stream: Stream, edges: list[int]) -> Stream:
    """Split each trace into adjacent pieces, in a shuffled order."""
    pieces = []
    for t in stream:
        marks = [0, *sorted({e for e in edges if 0 < e < t.stats.npts}), t.stats.npts]
        for a, b in pairwise(marks):
            pieces.append(
                trace(t.data[a:b], t.stats.channel, t.stats.starttime + a * t.stats.delta, t.stats.sampling_rate)
            )
    return Stream([pieces[i] for i in np.random.default_rng(len(pieces)).permutation(len(pieces))])


def samples(stream: Stream) -> dict[str, np.ndarray]:
    """All samples of each id in the order of time."""
    ordered = sorted(stream, key=lambda t: t.stats.starttime)
    return {i: np.concatenate([t.data for t in ordered if t.id == i]) for i in sorted({t.id for t in stream})}


def array(stream: Stream) -> np.ndarray:
    return np.array(list(samples(stream).values()), dtype=float)


@few
@given(
    n=st.integers(1, 3000), rate=RATES, window=st.integers(16, 400), stride=st.integers(16, 400),
    edges=st.lists(st.integers(1, 2999), max_size=6), drop=st.lists(st.booleans(), min_size=7, max_size=7),
    channels=st.sampled_from(["ENZ", "Z", "NE"]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*comes back unchanged")
def test_a_identity_returns_the_input(n, rate, window, stride, edges, drop, channels):
    """A net that removes nothing keeps samples (1e-6), ids, starts and rates, for any lengths and gaps."""
    whole = cut(recording(n, 1, channels, rate), edges)
    given_ = Stream([t for i, t in enumerate(whole) if drop[i % 7] or len(whole) == 1]) or whole
    out = geoae.denoise(given_, model=build_identity_denoiser(100.0, window, min(stride, window), 1))
    assert len(out) == len(given_)
    for before, after in zip(given_, out, strict=True):
        assert before.id == after.id
        assert before.stats.starttime.ns == after.stats.starttime.ns
        assert (before.stats.sampling_rate, before.stats.npts) == (after.stats.sampling_rate, after.stats.npts)
        np.testing.assert_allclose(after.data, before.data, rtol=1e-6, atol=1e-6 * np.abs(before.data).max())


@few
@given(
    n=st.integers(2, 6000), rate=RATES, edges=st.lists(st.integers(1, 5999), max_size=12), batch=st.integers(1, 9),
    threads=st.sampled_from([1, 2]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*comes back unchanged")
def test_b_any_division_gives_the_same_samples(n, rate, edges, batch, threads):
    """A record in one piece or in many, any batch size, 1 or 2 threads: the same to 1e-5 of the rms."""
    stream = recording(n, 2, rate=rate)
    expected = array(geoae.denoise(stream, model=MODEL, threads=1))
    found = array(geoae.denoise(cut(stream, edges), model=MODEL, batch_size=batch, threads=threads))
    torch.set_num_threads(1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * array(stream).std())


@few
@given(n=st.integers(1, 5000), rate=RATES, cuts=st.lists(st.integers(1, 4999), max_size=5))
def test_b_any_blocks_give_the_same_samples(n, rate, cuts):
    """The noise of a record does not depend on the blocks."""
    x = array(recording(n, 3, rate=rate))
    noise = build_noise_reader(lambda a, b: x[:, a:b], n, (0, 1, 2), rate, MODEL)
    marks = [0, *sorted({c for c in cuts if c < n}), n]
    parts = np.concatenate([noise(a, b) for a, b in pairwise(marks)], axis=-1)
    np.testing.assert_allclose(parts, noise(0, n), rtol=0, atol=1e-5 * max(x.std(), 1))


@few
@given(n=st.integers(2, 3000), rate=RATES, dry=st.floats(0, 1), exponent=st.integers(-12, 12))
@pytest.mark.filterwarnings("ignore:.*comes back unchanged")
def test_c_signal_and_noise_add_up_to_the_input(n, rate, dry, exponent):
    """signal + noise = input to float32 rounding, for any kept fraction of the noise."""
    stream = recording(n, 4, rate=rate)
    for t in stream:
        t.data = t.data * 10.0**exponent
    signal, noise = geoae.denoise(stream, model=MODEL, dry=dry, return_noise=True)
    for x, s, r in zip(stream, signal, noise, strict=True):
        total = s.data.astype(float) + r.data
        np.testing.assert_allclose(total, x.data, rtol=0, atol=2e-7 * max(np.abs(x.data).max(), np.abs(s.data).max()))


@few
@given(exponent=st.floats(-12, 12), sign=st.sampled_from([-1, 1]), rate=RATES)
def test_d_units_and_polarity_do_not_matter(exponent, sign, rate):
    """f(a x) = a f(x) for |a| from 1e-12 to 1e12, of either sign, to 1e-4."""
    stream, scaled = recording(2500, 5, rate=rate), recording(2500, 5, rate=rate)
    a = sign * 10.0**exponent
    for t in scaled:
        t.data = t.data * a
    expected, found = array(geoae.denoise(stream, model=MODEL)), array(geoae.denoise(scaled, model=MODEL))
    np.testing.assert_allclose(found / a, expected, rtol=0, atol=1e-4 * array(stream).std())


@few
@given(offset=st.floats(-1e5, 1e5), slope=st.floats(-1e4, 1e4), rate=RATES)
def test_e_offset_and_trend_stay_and_change_nothing_else(offset, slope, rate):
    """f(x + line) - line = f(x) to 1e-3 of the rms."""
    x = array(recording(2500, 6, rate=rate))
    line = offset + slope * np.arange(2500) / 2500
    plain, moved = (
        build_noise_reader(lambda a, b, y=y: y[:, a:b], 2500, (0, 1, 2), rate, MODEL)(0, 2500) for y in (x, x + line)
    )
    np.testing.assert_allclose(moved, plain, rtol=0, atol=1e-3 * x.std())


@few
@given(
    kind=st.sampled_from(["nan", "gap", "spike"]),
    at=st.integers(0, 11999),
    row=st.integers(0, 2),
    rate=st.sampled_from([100.0, 200.0, 50.0]),
)
def test_f_damage_stays_local(kind, at, row, rate):
    """One NaN, gap or 1000x spike changes nothing further away than one window plus the net's reach."""
    x = array(recording(12000, 7, rate=rate))
    y = x.copy()
    if kind == "spike":
        y[row, at] = 1000 * x.std()
    else:
        y[row, at : at + (1 if kind == "nan" else 300)] = np.nan
    clean, hurt = (
        build_noise_reader(lambda a, b, z=z: z[:, a:b], 12000, (0, 1, 2), rate, MODEL)(0, 12000) for z in (x, y)
    )
    reach = (MODEL.contract.window + 512) * rate / 100  # 512 > frames, convolutions and resampling together
    far = np.abs(np.arange(12000) - at) > reach + 300
    np.testing.assert_allclose(hurt[:, far], clean[:, far], rtol=0, atol=1e-6 * x.std())


def test_g_the_same_input_gives_the_same_bytes(tmp_path):
    """Two runs write the same file, byte by byte."""
    recording(5000, 8).write(str(tmp_path / "in.mseed"), format="MSEED")
    a, b = (geoae.denoise(tmp_path / "in.mseed", tmp_path / name, model=MODEL) for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()
    assert a.read_bytes() != (tmp_path / "in.mseed").read_bytes()


def field(sizes: tuple[int, int, int], seed: int = 0) -> xr.DataArray:
    """A noisy field in float64, without gaps."""
    return fields.field(*sizes, seed=seed, gaps=0, dtype=np.float64) - 280.0


def denoise(x: xr.DataArray, model=GRID, **options):
    return geoae.denoise(x, model=model, threads=1, **options)


@a_few
@given(sizes=SIZES, chunks=st.tuples(st.integers(1, 3), *[st.integers(10, 40)] * 2), dry=st.floats(0, 1))
def test_h_fields_in_any_chunks_have_the_same_samples(sizes, chunks, dry):
    """In chunks, and in batches: the same to 1e-5 of the rms; and signal + noise = input."""
    x = field(sizes)
    signal, noise = denoise(x, dry=dry, return_noise=True)
    np.testing.assert_allclose(signal + noise, x, rtol=0, atol=1e-12 * float(abs(x).max()))
    lazy = denoise(x.chunk(dict(zip(x.dims, chunks, strict=True))), dry=dry, batch_size=4)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(lazy, signal, rtol=0, atol=1e-5 * float(x.std()))


def check_units_and_offset(x: xr.DataArray, a: float, offset: float, model) -> None:
    expected, rms = denoise(x, model), float(x.std())
    np.testing.assert_allclose(denoise(x * a, model) / a, expected, rtol=0, atol=1e-4 * rms)
    moved = denoise(x + offset * rms, model) - offset * rms
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-3 * rms)


@a_few
@given(sizes=SIZES, exponent=st.floats(-12, 12), offset=st.floats(-1e5, 1e5))
def test_i_units_and_offset_of_fields_do_not_matter(sizes, exponent, offset):
    """f(a x) = a f(x) for a from 1e-12 to 1e12, to 1e-4 of the rms, and f(x + b) = f(x) + b, to 1e-3."""
    check_units_and_offset(field(sizes), 10.0**exponent, offset, GRID)


def test_i_holds_for_the_shipped_model_of_fields():
    """Its weights are those that users have."""
    check_units_and_offset(field((2, 16, 20)), 1e-12, 1e5, geoae.load_model("grid"))


@pytest.mark.parametrize("kind", ["nan", "gap", "spike"])
@pytest.mark.parametrize("overview", [0, 2])
def test_j_damage_to_fields_stays_local(kind, overview):
    """It changes nothing further away than one window, or one window and that of the overview of a single slice."""
    x, model = field((1 if overview else 3, 24, 150)), fields.denoiser(overview=overview)
    hurt = x.copy(deep=True)
    size = 6 if kind == "gap" else 1
    hurt[:, 4 : 4 + size, 4 : 4 + size] = 1000 * float(x.std()) if kind == "spike" else np.nan
    clean, damaged = denoise(x, model), denoise(hurt, model)
    window = model.contract.window[0]
    reach = 4 + size + window + (window + 3) * overview
    np.testing.assert_allclose(damaged[..., reach:], clean[..., reach:], rtol=0, atol=1e-6 * float(x.std()))
    assert float(abs(damaged - clean)[..., 12:20].max()) > 1e-4 * float(x.std())


def test_k_the_same_field_gives_the_same_bytes(tmp_path, monkeypatch):
    """In memory; and in a store, if its time is set by SOURCE_DATE_EPOCH."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    x, model = field((2, 16, 20)), fields.saved(tmp_path / "tiny")
    assert denoise(x).values.tobytes() == denoise(x).values.tobytes()
    x.to_dataset().to_netcdf(tmp_path / "in.nc")
    a, b = (geoae.denoise(tmp_path / "in.nc", tmp_path / f"{name}.zarr", model=model) for name in "ab")
    assert content(a) == content(b)
