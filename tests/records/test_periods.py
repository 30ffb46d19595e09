"""A model of short periods and its partner of long ones: bands, regions, gaps, rates, and what outputs say of them."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import geoae
from geoae import model as models
from geoae.errors import ModelFileError, SamplingRateError
from geoae.model import Denoiser
from geoae.records.contract import format_rates
from geoae.records.infer import build_identity_denoiser, build_noise_reader, denoise_record
from geoae.records.periods import SHORTEST_S, choose_models
from tests.conftest import tiny_model


def pair(short: Denoiser, long: Denoiser, low_hz: float = 2.0) -> Denoiser:
    """`short` with the partner `long`, with the rates of the shipped models."""
    long = replace(long, contract=replace(long.contract, name="long", rate_range_hz=(0.1, 1000.0)))
    contract = replace(short.contract, rate_range_hz=(low_hz, 1000.0), partner="long")
    return replace(short, contract=contract, partner=long)


def long_model(seed: int = 1) -> Denoiser:
    return tiny_model(window=256, stride=192, seed=seed, rate_hz=1.0)


def record(n: int, rate: float = 100.0, rows: int = 2) -> np.ndarray:
    rng = np.random.default_rng(int(rate * 10))
    return rng.normal(size=(rows, n)) + 0.02 * rng.normal(size=(rows, n)).cumsum(-1)


def remove(x: np.ndarray, rate: float, model: Denoiser) -> np.ndarray:
    """The noise of a whole record."""
    noise = build_noise_reader(lambda a, b: x[:, a:b], x.shape[-1], range(len(x)), rate, model)
    return noise(0, x.shape[-1])


def power(x: np.ndarray, rate: float, low: float, high: float) -> float:
    """Power between two frequencies, without the ends of the record."""
    inner = x[..., int(20 * rate) : -int(20 * rate)] * np.hanning(x.shape[-1] - 2 * int(20 * rate))
    f = np.fft.rfftfreq(inner.shape[-1], 1 / rate)
    return float((np.abs(np.fft.rfft(inner))[..., (f >= low) & (f < high)] ** 2).sum())


@pytest.mark.parametrize("rate", [2.0, 20.0, 62.5, 100.0])
def test_each_model_removes_noise_in_its_own_band(rate):
    """Below about 0.45 Hz the noise is the partner's; above 0.55 Hz it is that of the model of short periods."""
    x = record(round(300 * rate), rate)
    nothing = build_identity_denoiser(), build_identity_denoiser(1.0)
    alone = remove(x, rate, pair(tiny_model(), nothing[1]))
    assert power(alone, rate, 0.02, 0.42) < 1e-4 * power(x, rate, 0.02, 0.42)
    assert power(alone, rate, 0.6, 1.0) > 0.01 * power(x, rate, 0.6, 1.0)
    beside = remove(x, rate, pair(nothing[0], long_model()))
    assert power(beside, rate, 0.02, 0.42) > 0.01 * power(x, rate, 0.02, 0.42)
    assert power(beside, rate, 0.6, 1.0) < 1e-4 * power(x, rate, 0.6, 1.0)
    both = remove(x, rate, pair(tiny_model(), long_model()))
    np.testing.assert_allclose(both, alone + beside, atol=1e-9 * np.abs(x).max())


@pytest.fixture(scope="module")
def whole() -> tuple[Denoiser, np.ndarray, np.ndarray]:
    """A pair of models, a record with gaps, and its noise."""
    model, x = pair(tiny_model(), long_model()), record(40_000, rows=3)
    x[0, 20_000:20_030] = x[:, 30_000:33_000] = x[1, :150] = np.nan
    return model, x, remove(x, 100.0, model)


@settings(max_examples=12)
@given(st.integers(0, 39_000), st.integers(1, 12_000))
def test_a_region_has_the_noise_of_the_whole_record(whole, start, length):
    """Windows and samples of both models are anchored to the record, also beside gaps."""
    model, x, expected = whole
    stop = min(start + length, x.shape[-1])
    noise = build_noise_reader(lambda a, b: x[:, a:b], x.shape[-1], (0, 1, 2), 100.0, model)
    np.testing.assert_allclose(noise(start, stop), expected[:, start:stop], atol=1e-5)


def test_noise_is_finite_and_bounded_around_gaps(whole):
    """Beside a gap no sample of the noise is far larger than the record."""
    _, x, noise = whole
    assert np.isfinite(noise).all()
    assert np.abs(noise).max() < 2 * np.nanmax(np.abs(x))


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [
        (100.0, SHORTEST_S, "both"), (100.0, SHORTEST_S - 1, "short"), (2.0, 400, "both"), (1000.0, 400, "both"),
        (1.99, 400, "long"), (1.0, 60, "long"), (0.1, 3600, "long"),
    ],
)  # fmt: skip
def test_the_rate_and_the_duration_choose_the_models(rate, seconds, expected):
    """Below 2 Hz the partner works alone; in short records it does not work."""
    model = pair(tiny_model(), long_model())
    main, beside = choose_models(model, round(seconds * rate), rate)
    assert {("tiny", True): "both", ("tiny", False): "short", ("long", False): "long"}[
        main.name, beside is not None
    ] == expected


@pytest.mark.parametrize("rate", [0.099, 1001.0])
def test_rates_that_neither_model_takes_are_refused(rate):
    """The message has the range of both together."""
    x = xr.DataArray(record(200), dims=("channel", "time"), attrs={"sampling_rate_hz": rate})
    with pytest.raises(SamplingRateError, match=rf"{rate:g} Hz; model 'tiny' takes 0.1 to 1000 Hz"):
        denoise_record(x, pair(tiny_model(), long_model()))


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.5, 3.0])
def test_slow_records_are_cleaned(rate):
    """Signal and noise add up, and the noise is not zero."""
    x = xr.DataArray(record(900, rate), dims=("channel", "time"), attrs={"sampling_rate_hz": rate})
    signal, noise = denoise_record(x, pair(tiny_model(), long_model()))
    np.testing.assert_allclose(signal + noise, x, atol=1e-12)
    assert float(noise.std()) > 0.01 * float(x.std())
    assert "partner='long 000000000000'" in signal.attrs["processing"]


def test_the_digests_and_the_table_of_models_have_the_partner():
    """Results depend on both models."""
    model = pair(tiny_model(), long_model())
    assert model.digests == "0" * 12 + "+" + "0" * 12
    assert model.label == f"tiny {'0' * 12} + long {'0' * 12}"
    assert tiny_model().label == f"tiny {'0' * 12}"
    assert format_rates(vars(model.contract)) == ("100", "2-1000 (+ long)")


def test_a_partner_is_a_shipped_model(tmp_path):
    """A model that names another one cannot be loaded; the message names both."""
    model = tiny_model()
    model.contract = replace(model.contract, partner="elsewhere")
    model.save(tmp_path / "m", "# m\n")
    with pytest.raises(ModelFileError, match=r"names the model 'elsewhere' to work beside it, .* A newer geoae"):
        models.load_model(tmp_path / "m")


def test_the_default_model_takes_all_periods():
    """Rates from 0.1 to 1000 Hz, with the partner that is shipped."""
    model = geoae.load_model()
    assert model.contract.partner == model.partner.name
    for rate in (0.1, 1.0, 2.0, 1000.0):
        main, _ = choose_models(model, 10_000, rate)
        assert main.contract.takes_rate(rate)
