"""Plain arrays, lists of files, Traces and arrays, and fibre recordings, in `geoae.denoise` and `encode`."""

import io
import warnings

import numpy as np
import obspy
import pandas as pd
import pytest
import xarray as xr
from obspy.io.segy.segy import SEGYFile

import geoae
from geoae.api import plain
from geoae.errors import InputError
from tests.api.test_denoise import MODEL, array, denoise, trace, walk
from tests.support.coding import tiny_coder

ROWS = np.stack([walk(2000, i) for i in range(3)])


def as_array(x, dims, **coords):
    return xr.DataArray(x, dims=dims, attrs={"sampling_rate_hz": 100.0}, coords=coords)


@pytest.mark.parametrize(
    ("given", "dims"),
    [
        (ROWS[0], ("time",)),
        (ROWS, ("channel", "time")),
        (np.stack([ROWS, ROWS[::-1]]), ("record", "channel", "time")),
        (ROWS.astype(np.int32), ("channel", "time")),
        (ROWS.astype(">f8"), ("channel", "time")),
    ],
    ids=["one", "three", "records", "int32", "big endian"],
)
def test_a_plain_array_with_its_rate_gives_an_array(given, dims):
    """The samples are those of the labelled array; signal and noise add up, and the input is not changed."""
    before = given.copy()
    signal, noise = denoise(given, rate_hz=100.0, return_noise=True)
    assert type(signal) is np.ndarray
    np.testing.assert_array_equal(signal, denoise(as_array(given, dims)).values)
    np.testing.assert_allclose(signal + noise, given, atol=1e-3)
    np.testing.assert_array_equal(given, before)
    assert signal.dtype.kind == "f"


def test_masked_samples_and_lists_of_numbers():
    """Masked samples are a gap and stay masked; a list of numbers becomes an array."""
    masked = np.ma.masked_inside(walk(), -20, 20)
    found = denoise(masked, rate_hz=100)
    np.testing.assert_array_equal(np.ma.getmaskarray(found), masked.mask)
    expected = denoise(as_array(masked.filled(np.nan), ("time",)))
    np.testing.assert_array_equal(found.compressed(), expected.values[~masked.mask])
    numbers = walk(600, dtype=np.float64)
    np.testing.assert_array_equal(denoise(numbers.tolist(), rate_hz=100), denoise(numbers, rate_hz=100))


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (ROWS, {}, "given a ndarray.*rate_hz=100.0"),
        (ROWS, {"rate_hz": 0}, "rate_hz is 0; give the sampling rate"),
        (ROWS, {"rate_hz": "100"}, "rate_hz is '100'"),
        (ROWS.T, {"rate_hz": 100}, r"shape \(2000, 3\).*transposed array, x\.T"),
        (ROWS * 1j, {"rate_hz": 100}, "samples are complex"),
        (ROWS.astype(str), {"rate_hz": 100}, "no array of numbers"),
        (np.array(3.0), {"rate_hz": 100}, "single number"),
        (ROWS, {"rate_hz": 100, "dims": "y,x"}, "dims and force are for fields"),
        (trace(walk()), {"rate_hz": 100}, "a Trace has the rate of its samples"),
        ("day.mseed", {"rate_hz": 100}, "a file has the rate of its samples"),
        (pd.Series(ROWS[0]), {}, r"given a Series.*x\.to_numpy\(\)"),
        (pd.DataFrame(ROWS.T), {}, r"given a DataFrame.*x\.to_numpy\(\)\.T"),
        (SEGYFile(), {}, "given a SEGYFile.*obspy.read"),
        (io.BytesIO(b"x"), {}, "given a BytesIO.*obspy.read"),
        ([], {}, "given a list"),
        ([trace(walk()), "day.mseed"], {}, "of one sort"),
        ([ROWS, ROWS], {}, "given a ndarray"),
    ],
)
def test_what_cannot_be_denoised_is_named(given, options, says):
    """In one line that says what to do."""
    with pytest.raises(InputError, match=says) as caught:
        denoise(given, **options)
    assert "\n" not in str(caught.value)


def test_a_list_of_traces_gives_a_list():
    """Components are denoised together, as in a Stream, in the order of the list; a tuple gives a tuple."""
    traces = [trace(row, f"HH{c}") for row, c in zip(ROWS, "ENZ", strict=True)]
    expected, removed = denoise(obspy.Stream(traces), return_noise=True)
    found, noise = denoise(traces, return_noise=True)
    assert type(found) is type(noise) is list
    assert type(denoise(tuple(traces))) is tuple
    for parts, wanted in ((found, expected), (noise, removed), (denoise(tuple(traces)), expected)):
        assert [t.id for t in parts] == [t.id for t in traces]
        for one, other in zip(parts, wanted, strict=True):
            np.testing.assert_array_equal(one.data, other.data)


def test_a_list_of_arrays_gives_a_list():
    """Each array is denoised by itself."""
    found, noise = denoise([array(), array(700)], return_noise=True)
    for one, removed, given in zip(found, noise, (array(), array(700)), strict=True):
        xr.testing.assert_identical(one, denoise(given))
        np.testing.assert_allclose(one + removed, given, atol=1e-3)
    streams = denoise([obspy.Stream([trace(row)]) for row in ROWS[:2]], return_noise=True)
    assert [len(part) for part in streams] == [2, 2]
    np.testing.assert_array_equal(streams[0][1][0].data, denoise(trace(ROWS[1])).data)
    rows = denoise([ROWS[0], ROWS[1][:700]], rate_hz=100.0)
    assert [row.shape for row in rows] == [(2000,), (700,)]


def test_a_list_of_files_is_denoised_together(tmp_path):
    """Components in separate files form one record; the files that were written come back. Also from a glob."""
    for row, c in zip(ROWS, "ENZ", strict=True):
        trace(row, f"HH{c}").write(str(tmp_path / f"{c}.mseed"), format="MSEED")
    (tmp_path / "out").mkdir()
    together = denoise(obspy.Stream([trace(row, f"HH{c}") for row, c in zip(ROWS, "ENZ", strict=True)]))
    written = denoise([tmp_path / f"{c}.mseed" for c in "ENZ"], out=tmp_path / "out")
    assert len(written) == 3
    for path, expected in zip(written, together, strict=True):
        np.testing.assert_array_equal(obspy.read(str(path))[0].data, expected.data)
    again = denoise(tmp_path.glob("?.mseed"), out=tmp_path / "out", overwrite=True)
    assert sorted(again) == sorted(written)
    assert denoise([str(tmp_path / "E.mseed")]) == [tmp_path / "E.denoised.mseed"]


@pytest.mark.parametrize("dims", [("distance", "time"), ("time", "distance"), ("fibre", "distance", "time")])
def test_rows_of_a_fibre_are_denoised_one_by_one_with_a_note(dims):
    """The note names the caller's line; dims="time" says that it is meant. Dims and coordinates are kept."""
    shape = [{"time": 900, "distance": 3, "fibre": 2}[d] for d in dims]
    x = as_array(walk(int(np.prod(shape))).reshape(shape), dims, distance=np.arange(3) * 10.0)
    said = f"The {x.size // 900} records along .*distance are denoised one by one"
    with pytest.warns(UserWarning, match=said) as caught:
        found = geoae.denoise(x, model=MODEL, threads=1)
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_purpose = denoise(x, dims="time")
        single = denoise(as_array(x.isel(distance=slice(1)).values, dims, distance=[0.0]).squeeze(), dims="time")
    xr.testing.assert_identical(found, on_purpose)
    assert found.dims == dims
    xr.testing.assert_equal(found["distance"], x["distance"])
    np.testing.assert_array_equal(single.values, found.isel(distance=0).squeeze().values)


def test_rows_of_a_dataset_are_denoised_on_purpose():
    """Variables without channels are recordings if dims="time" says so; others stay as they are."""
    x = as_array(walk(1800).reshape(2, 900), ("distance", "time"))
    data = xr.Dataset(
        {"strain": x.drop_attrs().assign_coords(time=np.arange(900) / 100.0), "depth": ("distance", [1, 2])}
    )
    found = denoise(data, dims="time")
    np.testing.assert_allclose(found["strain"].values, denoise(x, dims="time").values)
    xr.testing.assert_equal(found["depth"], data["depth"])
    with pytest.raises(InputError, match="dims='time' for recordings"):
        denoise(data)
    np.testing.assert_array_equal(denoise(x.values, rate_hz=100.0, dims="time"), denoise(x, dims="time").values)


def test_components_and_single_rows_need_no_note():
    """Named components, records of them, and an array with one row."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoise(array())
        denoise(as_array(ROWS[None], ("record", "channel", "time")))
        denoise(as_array(ROWS[:1], ("distance", "time")))
        denoise(ROWS, rate_hz=100.0)


def test_more_channels_than_a_sensor_has_are_refused():
    """The line says how many there are, and what to do; it does not list them."""
    x = as_array(np.zeros((400, 50)), ("channel", "time"), channel=[f"C{i}" for i in range(400)])
    with pytest.raises(InputError, match=r"this one has 400.*x\.rename\(channel='trace'\)") as caught:
        denoise(x)
    assert len(str(caught.value)) < 250
    with pytest.warns(UserWarning, match="The 4 records along row"):
        denoise(np.zeros((4, 600)) + walk(600), rate_hz=100.0)


def test_dims_of_a_fibre_ask_for_the_model_of_fields_on_purpose():
    """Other names than time and channel are horizontal dimensions of a field."""
    x = as_array(np.random.default_rng(0).normal(size=(16, 16)), ("distance", "time"))
    assert "grid" in geoae.denoise(x, dims=("distance", "time"), threads=1).attrs["processing"]


def test_encode_takes_a_plain_array_with_its_rate():
    """The codes are those of the labelled array; anything else is named with the way out."""
    coder = tiny_coder(1, 64)
    codes = geoae.encode(ROWS, model=coder, rate_hz=100.0, threads=1, force=True)
    xr.testing.assert_identical(
        codes, geoae.encode(as_array(ROWS, ("channel", "time")), model=coder, threads=1, force=True)
    )
    for given, options, says in (
        (ROWS, {}, "given a ndarray.*rate_hz=100.0"),
        (obspy.Stream([trace(walk())]), {}, r"given a Stream.*geoae.read\(stream\)"),
        (array(), {"rate_hz": 100.0}, "a DataArray has the rate"),
        ("day.mseed", {}, "given a str.*geoae.read"),
    ):
        with pytest.raises(InputError, match=says):
            geoae.encode(given, model=coder, **options)


def test_labels_are_undone():
    """What comes back is the array that was given."""
    masked = np.ma.array(ROWS, mask=ROWS > 0)
    found = plain.unlabel_array(plain.label_array(masked, 20), masked)
    np.testing.assert_array_equal(found.mask, masked.mask)
    np.testing.assert_array_equal(found.compressed(), masked.compressed())
    assert MODEL.name == "tiny"
