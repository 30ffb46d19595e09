"""The verbs in Python: each gives back the kind of thing it was given, and user mistakes get errors of geoae's own."""

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import obspy
import pytest
import torch
import xarray as xr
from obspy import Stream, Trace, UTCDateTime

import geoae
from geoae.errors import (
    DoubtWarning,
    GeoAEError,
    InputError,
    MissingFileError,
    OptionError,
    SamplingRateError,
    UnknownNameError,
)
from geoae.labels.timeaxis import time_coordinates
from tests.conftest import tiny_model

START = UTCDateTime(2024, 1, 1)
MODEL = tiny_model()


def walk(n=2000, seed=0, dtype=np.float32):
    rng = np.random.default_rng([seed, n])
    return (1000 * np.cumsum(rng.normal(size=n)) / np.sqrt(n) + 50 * rng.normal(size=n)).astype(dtype)


def trace(x, channel="HHZ", rate=100.0, **more) -> Trace:
    ids = {"network": "XX", "station": "AB", "channel": channel, "starttime": START, "sampling_rate": rate}
    return Trace(x, {**ids, **more})


def denoise(x, **options):
    return geoae.denoise(x, model=MODEL, threads=1, **options)


def array(n=2000, **more) -> xr.DataArray:
    x = np.array([walk(n, i) for i in range(3)])
    coords = xr.Coordinates({"channel": ["HHE", "HHN", "HHZ"]})
    return xr.DataArray(x, dims=("channel", "time"), coords=coords, name="trace", **more).assign_coords(
        time_coordinates(START.ns, 100.0, n)
    )


def test_a_trace_gives_a_trace():
    """Stats are kept, the processing line names version, model and digest, and the input is left as it was."""
    given = trace(walk(dtype=np.int32), calib=2.5, processing=["something"], extra={"a": 1})
    samples, stats = given.data.copy(), given.stats.copy()
    found = denoise(given)
    assert type(found) is Trace
    np.testing.assert_array_equal(given.data, samples)
    assert given.stats == stats
    assert found.data.dtype == np.float32
    line = found.stats.processing.pop()
    assert all(word in line for word in (geoae.__version__, "tiny", MODEL.digest))
    found.stats.pop("mseed", None)
    found.stats.pop("geoae_flags", None)
    assert found.stats == stats


def test_a_stream_gives_a_stream():
    """In its order, with masks where there were masks, and text as it was; noise on request."""
    masked = np.ma.masked_inside(walk(2000, 3), -20, 20)
    text = trace(np.frombuffer(b"locked", "S1"), "LOG", rate=1.0)
    given = Stream([trace(walk()), text, trace(masked, "BHZ"), trace(walk(500, 4, np.float64), "HHN")])
    signal, noise = denoise(given, return_noise=True)
    assert type(signal) is Stream
    assert [t.id for t in signal] == [t.id for t in noise] == [t.id for t in given]
    assert signal[1].data.tobytes() == b"locked"
    np.testing.assert_array_equal(signal[2].data.mask, masked.mask)
    for i in (0, 2, 3):
        assert signal[i].stats.processing[-1].startswith("geoae")
        np.testing.assert_allclose(np.ma.filled(signal[i].data + noise[i].data - given[i].data, 0), 0, atol=1e-3)


def test_traces_that_cannot_be_denoised_are_unchanged():
    """With one warning each; the others are denoised."""
    dead = trace(np.full(2000, 3, np.int32), "HHE")
    slow = trace(walk(2000, 1, np.float64), "VHZ", rate=0.1)
    huge = trace(1e300 * walk(dtype=np.float64), "HHN")
    with pytest.warns(UserWarning, match="comes back unchanged") as caught:
        found = denoise(Stream([dead, slow, huge, trace(walk())]))
    assert [str(w.message).split(":")[0] for w in caught] == ["XX.AB..HHE", "XX.AB..VHZ", "XX.AB..HHN"]
    for before, after in zip((dead, slow, huge), found[:3], strict=True):
        np.testing.assert_array_equal(after.data, before.data)
    assert np.abs(found[3].data - walk()).max() > 1


def test_an_array_gives_an_array():
    """Dims, coordinates and attributes are kept; provenance is added; a time axis or an attribute tells the rate."""
    given = array(attrs={"units": "m/s"})
    found = denoise(given)
    assert type(found) is xr.DataArray
    assert found.dims == given.dims
    assert found.attrs["units"] == "m/s"
    assert "tiny" in found.attrs["processing"]
    xr.testing.assert_equal(found["time"], given["time"])
    bare = xr.DataArray(given.values, dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0})
    np.testing.assert_allclose(
        denoise(bare.assign_coords(channel=given.channel.values)).values, found.values, atol=1e-3
    )


def test_a_tree_gives_a_tree():
    """Every array with a time axis at any node is denoised; the rest and the attributes stay."""
    inner = array(500).to_dataset().assign(depth=3.0).assign_attrs(note="x")
    tree = xr.DataTree.from_dict({"/a": array().to_dataset(), "/c/b": inner})
    signal, noise = denoise(tree, return_noise=True)
    assert [node.path for node in signal.subtree] == [node.path for node in tree.subtree]
    assert signal["c/b"].attrs == {"note": "x"}
    assert float(signal["c/b"]["depth"]) == 3
    for name in ("a", "c/b"):
        total = signal[name]["trace"] + noise[name]["trace"]
        np.testing.assert_allclose(total.values, tree[name]["trace"].values, atol=1e-3)


def test_a_variable_without_a_name_stays_so():
    """xarray reads it so from files of xdas."""
    clean = denoise(xr.Dataset({None: array(), "other": ("x", [1.0])}))
    assert set(clean.data_vars) == {None, "other"}
    np.testing.assert_array_equal(clean[None].values, denoise(array()).values)


def test_a_path_gives_a_path(tmp_path):
    """The file written; problems become warnings, and options are those of the command line."""
    Stream([trace(walk()), trace(np.zeros(2000, np.float32), "HHE")]).write(str(tmp_path / "x"), format="MSEED")
    with pytest.warns(UserWarning, match="HHE: dead"):
        path = denoise(tmp_path / "x", out=tmp_path / "y", noise_out=str(tmp_path / "n"), ids="*")
    assert path == tmp_path / "y"
    assert len(obspy.read(str(path))) == 2
    assert (tmp_path / "n").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoise(str(tmp_path / "x"), ids="*Z")
    with pytest.raises(InputError, match="no option colour"):
        denoise(tmp_path / "x", colour="red")
    with pytest.raises(InputError, match="noise_out"):
        denoise(tmp_path / "x", return_noise=True)
    with pytest.raises(MissingFileError):
        denoise(tmp_path / "missing")


def test_keywords_are_those_of_the_command_line(tmp_path):
    """`format` and `ids`; `id` is taken too, and `format_name` with a warning that points to the call."""
    Stream([trace(walk()), trace(walk(seed=1), "HHE")]).write(str(tmp_path / "x"), format="MSEED")
    found = denoise(tmp_path / "x", out=tmp_path / "a", format="sac", ids="*Z")
    with pytest.warns(DeprecationWarning, match="format_name is now called format") as caught:
        old = denoise(tmp_path / "x", out=tmp_path / "b", format_name="SAC", id="*Z")
    assert found.read_bytes() == old.read_bytes()
    assert obspy.read(str(found))[0].stats._format == "SAC"
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(InputError, match="id and ids are the same option"):
        denoise(tmp_path / "x", id="*Z", ids="*E")
    seen = []
    denoise(tmp_path / "x", out=tmp_path / "c", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4000, 4000)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "NoneType"),
        (np.zeros((3, 100)), "xarray.DataArray"),
        (xr.Dataset(), "no record and no field"),
        ([trace(walk()), 7], "of one sort"),
        (7, "int"),
        (UTCDateTime(0), "UTCDateTime"),
        (Stream(), "empty"),
        (xr.DataTree(), "holds no arrays"),
        (xr.DataArray(np.zeros((3, 100)), dims=("channel", "time")), "sampling rate"),
        (xr.DataArray(np.zeros((3, 100)), dims=("channel", "x")), "time"),
        (xr.DataArray(np.zeros((3, 0)), dims=("channel", "time"), attrs={"sampling_rate_hz": 1.0}), "samples"),
        (xr.DataArray(np.zeros((4, 9)), dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0}), "three"),
        (Stream([trace(np.array([None, 1, 2], object))]), "object"),
        (trace(np.zeros(10, complex)), "complex"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_wrong_arguments_raise_errors_of_geoae(given, said):
    """Each says in one line what came and what to do."""
    with pytest.raises(GeoAEError, match=said) as caught:
        denoise(given)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit(tmp_path):
    """File options with data in memory, unknown models and devices, rates the model does not take."""
    with pytest.raises(InputError, match="out go with the path"):
        denoise(trace(walk()), out=tmp_path / "x")
    with pytest.raises(UnknownNameError):
        geoae.denoise(trace(walk()), model="none")
    with pytest.raises(InputError, match="no device"):
        denoise(trace(walk()), device="tpu")
    with pytest.raises(InputError, match="from 0 to 1"):
        denoise(trace(walk()), dry=-0.1)
    with pytest.raises(SamplingRateError):
        denoise(xr.DataArray(np.zeros(100), dims="time", attrs={"sampling_rate_hz": 0.1}))


def test_importing_geoae_is_light():
    """Public names come when they are used; a name that there is not says so."""
    code = "import sys, geoae; print({'torch', 'obspy', 'xarray', 'numpy'} & set(sys.modules), sorted(dir(geoae))[0])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set() Inverse"
    for name in dir(geoae):
        assert getattr(geoae, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = geoae.nothing


def test_sigma_has_the_form_of_the_signal():
    """Of a Trace, an array with names, and a plain one; after the noise, if that is asked for, too."""
    data, model = walk(dtype=np.float64), replace(MODEL, contract=replace(MODEL.contract, sigma_factor=1.5))
    given = trace(data)
    signal, sigma = geoae.denoise(given, model=model, return_sigma=True)
    assert (type(sigma), sigma.stats.starttime, sigma.id) == (Trace, given.stats.starttime, given.id)
    assert sigma.data.shape == data.shape
    assert (sigma.data > 0).all()
    np.testing.assert_array_equal(signal.data, denoise(given).data)
    labelled = xr.DataArray(data[None], dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0})
    parts = geoae.denoise(labelled, model=model, return_noise=True, return_sigma=True)
    assert [part.dims for part in parts] == [labelled.dims] * 3
    np.testing.assert_allclose(parts[2].values[0], sigma.data, rtol=1e-5)
    data[500:600] = np.nan
    plain = geoae.denoise(data, rate_hz=100.0, model=model, return_sigma=True)[1]
    np.testing.assert_array_equal(np.isnan(plain), np.isnan(data))
    with pytest.raises(InputError, match="sigma_out=FILE"):
        denoise("a.mseed", return_sigma=True)


@pytest.mark.parametrize("given", [trace(walk()), xr.DataArray(walk(), dims="time", attrs={"sampling_rate_hz": 100.0})])
def test_sigma_that_is_not_calibrated_is_told(given):
    """One DoubtWarning, of sigma alone."""
    with pytest.warns(DoubtWarning, match="sigma is not calibrated: model 'tiny' has no factor") as told:
        denoise(given, return_sigma=True)
    assert len(told) == 1
    denoise(given)


class RemovesAll(torch.nn.Module):
    """Takes everything for noise."""

    def forward(self, x):
        return torch.zeros_like(x)


def test_lost_transients_are_told_and_kept():
    """A DoubtWarning and an attribute name the window; with keep_doubtful=False the transient is gone, and told."""
    t = np.arange(6000)
    data = np.random.default_rng(0).normal(size=6000) + 300 * np.exp(-np.square((t - 3500) / 250)) * np.sin(t / 8)
    model = replace(MODEL, net=RemovesAll())
    x = xr.DataArray(data, dims="time", attrs={"sampling_rate_hz": 100.0}, name="x")
    found = {}
    for keep in (True, False):
        with pytest.warns(DoubtWarning, match=r"x [\d.]+ s to [\d.]+ s") as told:
            found[keep] = geoae.denoise(x, model=model, keep_doubtful=keep)
        assert ("stays in the signal" in str(told[0].message)) is keep
        assert "x transient: " in found[keep].attrs["geoae_flags"]
    assert np.abs(found[True]).max() > 200
    assert np.abs(found[False] - x).max() > 200
    with pytest.warns(DoubtWarning, match=r"XX\.AB"):
        kept = geoae.denoise(trace(data, "HHZ"), model=model)
    assert kept.stats.geoae_flags[0].startswith("transient: 2024-01-01T00:00:")


def test_a_high_pass_and_purposes_are_for_recordings():
    """Fields, purposes beside a share, and too high a frequency are refused in one line."""
    field = xr.DataArray(np.zeros((16, 16)), dims=("lat", "lon"), name="t")
    for name, value in (("highpass", 1.0), ("purpose", "picking")):
        with pytest.raises(InputError, match=f"{name} is for recordings, and this is a field. Leave it out."):
            geoae.denoise(field, **{name: value})
    with pytest.raises(OptionError, match="purpose and dry both say how much of the noise is kept"):
        denoise(trace(walk()), purpose="picking", dry=0.0)
    with pytest.raises(OptionError, match="model 'tiny' has none"):
        denoise(trace(walk()), purpose="picking")
    given = trace(walk(dtype=np.int32))
    with pytest.warns(UserWarning, match="a high-pass at 50 Hz has to lie below half of that, 50 Hz; it comes back"):
        assert denoise(given, highpass=50.0) == given
    signal, noise = denoise(given, highpass=1.0, return_noise=True)
    np.testing.assert_allclose(signal.data + noise.data, given.data, atol=1e-3)
    assert abs(signal.data.mean()) < 0.02 * np.ptp(given.data)
