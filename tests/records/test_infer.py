"""Denoising labelled records keeps the labels, and refuses arrays that are no records."""

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError, SamplingRateError
from geoae.labels.timeaxis import time_coordinates
from geoae.model.denoising import denoise_block
from geoae.records import infer
from geoae.records.infer import build_identity_denoiser, denoise_record
from geoae.records.removal import RemovalOptions
from tests.conftest import tiny_model
from tests.records.test_fills import noise


def record(n: int = 900, rate: float = 100.0, dtype=np.float32, channels=("HHE", "HHN", "HHZ")) -> xr.DataArray:
    x = np.random.default_rng(0).normal(size=(len(channels), n)).cumsum(axis=1).astype(dtype)
    coords = time_coordinates(1_700_000_000_123_456_789, rate, n)
    array = xr.DataArray(x, dims=("channel", "time"), coords=coords, name="trace", attrs={"units": "m/s", "mine": [1]})
    return array.assign_coords(channel=list(channels), azimuth=("channel", [90.0, 0.0, 0.0][: len(channels)]))


@pytest.mark.parametrize(
    ("codes", "slots"),
    [
        (["HHE", "HHN", "HHZ"], [0, 1, 2]),
        (["HHZ", "HHN", "HHE"], [2, 1, 0]),
        (["BH1", "BH2", "BHZ"], [1, 0, 2]),
        (["T", "R", "Z"], [0, 1, 2]),
        (["u", "v", "w"], [0, 1, 2]),
        (["HDH"], [2]),
        (["HHN"], [1]),
        (["Z", "Z"], [2, 1]),
        (["", "", ""], [2, 1, 0]),
        ([], []),
    ],
)
def test_components_are_assigned_to_rows(codes, slots):
    """The last letter of a code decides; unknown codes take Z, and each row is used once."""
    assert infer.assign_components(codes) == slots


def test_more_than_three_components_are_refused():
    """The message lists the channels."""
    with pytest.raises(InputError, match=r"at most three components; these are 4: HHE, HHN, HHZ, HDH"):
        infer.assign_components(["HHE", "HHN", "HHZ", "HDH"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("rate", [100.0, 62.5])
def test_labels_are_kept(model, dtype, rate):
    """Dims, coords, index, name, attrs and dtype (float32 for integers) of both results are those of the input."""
    x = record(rate=rate, dtype=dtype)
    kept = x.copy(deep=True)
    for part in infer.denoise_record(x, model):
        assert part.dims == x.dims
        assert part.name == x.name
        assert part.dtype == (dtype if np.dtype(dtype).kind == "f" else np.float32)
        xr.testing.assert_identical(part.coords.to_dataset(), x.coords.to_dataset())
        assert {k: v for k, v in part.attrs.items() if k not in ("processing", "geoae_flags")} == x.attrs
        assert "model='tiny', digest='000000000000'" in part.attrs["processing"]
    xr.testing.assert_identical(x, kept)


def test_signal_and_noise_add_up(model):
    """Signal and noise are the input together, and the noise is not zero."""
    x = record(dtype=np.float64)
    signal, noise = infer.denoise_record(x, model)
    np.testing.assert_allclose(signal + noise, x, rtol=0, atol=1e-12)
    assert float(noise.std()) > 0.01 * float(x.std())


def test_dry_keeps_that_share_of_the_noise(model):
    """dry=1 returns the input; between 0 and 1 the result is the weighted mean of both."""
    x = record(dtype=np.float64)
    wet, quarter, dry = (infer.denoise_record(x, model, RemovalOptions(dry=d))[0] for d in (0, 0.25, 1))
    np.testing.assert_array_equal(dry, x)
    np.testing.assert_allclose(quarter, 0.75 * wet + 0.25 * x, atol=1e-10)


def test_records_are_denoised_one_by_one(model):
    """Each record of (record, channel, time) has the result that it has alone."""
    one = record().values
    records = xr.DataArray(np.stack([one, -2 * one, one[::-1]]), dims=("record", "channel", "time"),
                           coords={"record": [7, 8, 9], "channel": ["E", "N", "Z"]},
                           attrs={"sampling_rate_hz": 100.0})  # fmt: skip
    signal, noise = infer.denoise_record(records, model)
    assert signal.dims == records.dims
    for i in range(3):
        alone = infer.denoise_record(records[i], model)
        np.testing.assert_array_equal(signal[i], alone[0])
        np.testing.assert_array_equal(noise[i], alone[1])


def test_the_order_of_dimensions_does_not_matter(model):
    """(time, channel) gives the transpose of (channel, time); (time,) is a vertical component."""
    x = record()
    expected = infer.denoise_record(x, model)[0]
    xr.testing.assert_identical(infer.denoise_record(x.T, model)[0].T, expected)
    single = x.isel(channel=2, drop=True)
    alone = infer.denoise_record(x.isel(channel=[2]), model)[0]
    np.testing.assert_array_equal(infer.denoise_record(single, model)[0], alone[0])


def test_gaps_stay_gaps(model):
    """NaN and Inf are unchanged; nothing is removed there."""
    x = record()
    x[1, 100:200], x[0, 5] = np.nan, np.inf
    signal, noise = infer.denoise_record(x, model)
    np.testing.assert_array_equal(np.isfinite(signal), np.isfinite(x))
    assert np.isposinf(signal[0, 5])
    assert not noise.values[~np.isfinite(x.values)].any()


def test_progress_counts_every_sample_once(model):
    """The reported counts add up to the size of the array."""
    counts: list[int] = []
    infer.denoise_record(record(), model, progress=counts.append)
    assert sum(counts) == 2700


@pytest.mark.parametrize("rate", [7.9, 1001.0, 1 / 60])
def test_rates_out_of_range_are_refused(model, rate):
    """The message has the rate and the range of the model."""
    with pytest.raises(SamplingRateError, match=rf"trace is sampled at {rate:g} Hz; model 'tiny' takes 8 to 1000 Hz"):
        infer.denoise_record(record(rate=rate), model)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (xr.DataArray(np.zeros((3, 5)), dims=("channel", "sample")), "'time'"),
        (xr.DataArray(np.zeros((3, 0)), dims=("channel", "time")), "samples along 'time'"),
        (xr.DataArray(np.zeros((3, 5)), dims=("channel", "time")), "sampling_rate_hz"),
        (xr.DataArray(np.zeros((4, 5)), dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0}), "three"),
        (xr.DataArray(np.zeros((3, 5), complex), dims=("channel", "time"), attrs={"sampling_rate_hz": 1.0}), "complex"),
        (xr.DataArray([["a"] * 5], dims=("channel", "time"), attrs={"sampling_rate_hz": 1.0}), "real numbers"),
    ],
)
def test_arrays_that_are_no_records_are_refused(model, x, said):
    """No time, no samples, no rate, too many channels, no real numbers."""
    with pytest.raises(InputError, match=said):
        infer.denoise_record(x, model)


def test_frequencies_above_the_band_are_kept_or_removed():
    """At 400 Hz, with a net that removes nothing, a tone of 150 Hz is kept or removed as `above_band` asks."""
    t = np.arange(4000) / 400
    low, high = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 150 * t)
    x = xr.DataArray((low + high)[None], dims=("channel", "time"), attrs={"sampling_rate_hz": 400.0})
    kept, gone = (
        infer.denoise_record(x, build_identity_denoiser(), RemovalOptions(above_band=how))[0].values[0]
        for how in infer.ABOVE_BAND
    )
    middle = slice(400, -400)
    np.testing.assert_allclose(kept, low + high, atol=1e-6)
    np.testing.assert_allclose(gone[middle], low[middle], atol=2e-3)


@pytest.mark.parametrize("gap", [np.nan, np.inf])
def test_values_beyond_the_dtype_are_clipped(gap):
    """No finite sample becomes infinite, also beside samples that are not finite."""
    x = np.array([[1.0, gap, 1e39, -1e39]])
    noise = np.array([[0.25, 0.0, 1.0, 1.0]])
    with np.errstate(over="ignore"):  # what was removed does not fit either
        signal, _ = denoise_block(x, noise, 0.0, np.dtype(np.float32))
    limit = np.finfo(np.float32).max
    np.testing.assert_array_equal(signal, np.array([[0.75, gap, limit, -limit]], np.float32))


@pytest.mark.parametrize(("offset", "dtype"), [(0, np.float32), (2**30, np.float64)])
def test_large_integers_are_not_blurred(offset, dtype):
    """A small signal on a large offset, in an array of integers, gives float64; signal and noise add up."""
    counts = (np.random.default_rng(0).normal(size=(1, 2000)) * 50).astype(np.int32) + np.int32(offset)
    x = xr.DataArray(counts, dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0})
    signal, noise = denoise_record(x, tiny_model())
    assert signal.dtype == noise.dtype == dtype
    np.testing.assert_allclose(signal.values.astype(float) + noise.values, counts, atol=1e-3)
    assert np.abs(noise.values).max() > 1


def test_arrays_with_faults_are_named():
    """Filled gaps, steps and arrays that are too short are told, and fills come back as they came."""
    x = noise(6000)[None]
    x[0, 1000:1300] = -(2.0**31)
    x[0, 4000:] += 5000
    facts = {"dims": ("channel", "time"), "attrs": {"sampling_rate_hz": 100.0}}
    with pytest.warns(UserWarning, match="the array: ") as told:
        signal, removed = infer.denoise_record(xr.DataArray(x, **facts), build_identity_denoiser())
    assert [str(line.message) for line in told] == [
        "the array: 300 samples are taken for filled gaps and stay unchanged",
        "the array: steps of the level stay in the signal: 1",
    ]
    np.testing.assert_array_equal(signal.values[0, 1000:1300], x[0, 1000:1300])
    assert not removed.values[0, 1000:1300].any()
    with pytest.warns(UserWarning, match="the array: 5 samples are too few to tell signal from noise"):
        infer.denoise_record(xr.DataArray(x[:, :5], **facts), build_identity_denoiser())


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
@pytest.mark.parametrize("rate", [100.0, 62.5])
def test_a_high_passed_record(model, dtype, rate, monkeypatch):
    """Signal + noise = input; the signal has no offset, `dry` keeps nothing below, and blocks give one answer."""
    x = record(3000, rate).copy(data=1e5 + 100 * record(3000).values).astype(dtype)
    options = RemovalOptions(dry=0.5, sigma=True, highpass_hz=1.0, purpose="picking")
    signal, removed, sigma = infer.denoise_record(x, model, options)
    np.testing.assert_allclose(signal + removed, x, rtol=1e-7)
    assert "dry=0.5, purpose='picking', highpass=1)" in signal.attrs["processing"]
    high = infer.denoise_record(x, build_identity_denoiser(), options)[0]
    assert float(abs(high.mean())) < 0.05 * float(high.std()) < 0.05 * float(x.std())
    assert float((signal - high).std()) > 0.01 * float(high.std())  # what the model removed
    whole = infer.denoise_record(x, model, RemovalOptions(highpass_hz=1.0))[0]
    np.testing.assert_allclose(signal, (whole + high) / 2, atol=0.02 if dtype is np.int32 else 1e-8)
    monkeypatch.setattr(infer, "BLOCK_N", 700)
    for part, expected in zip(infer.denoise_record(x, model, options), (signal, removed, sigma), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6 * float(high.std()))


def test_steps_are_removed_with_a_high_pass():
    """Without one they stay. Warnings tell both."""
    x = np.random.default_rng(0).normal(size=(1, 4000))
    x[0, 2000:] += 1e4
    array = xr.DataArray(x, dims=("channel", "time"), attrs={"sampling_rate_hz": 100.0})
    with pytest.warns(UserWarning, match="steps of the level stay in the signal: 1"):
        assert infer.denoise_record(array, build_identity_denoiser())[0].max() > 9000
    with pytest.warns(UserWarning, match="steps of the level count as removed, with all below the high-pass: 1"):
        signal, removed = infer.denoise_record(array, build_identity_denoiser(), RemovalOptions(highpass_hz=1.0))
    assert float(abs(signal).max()) < 20
    np.testing.assert_allclose(signal + removed, array, atol=1e-9)


def test_too_high_a_high_pass_is_refused(model):
    """As a rate that the model does not take."""
    with pytest.raises(SamplingRateError, match="trace is sampled at 100 Hz; a high-pass at 60 Hz has to lie below"):
        infer.denoise_record(record(), model, RemovalOptions(highpass_hz=60.0))
