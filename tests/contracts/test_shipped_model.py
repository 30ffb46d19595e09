"""Shipped models have complete cards and recipes, and their results are better than simple methods."""

from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr

import geoae
from geoae import model
from geoae.fields.synthesis import draw_power_law
from geoae.records import damage
from geoae.records.baselines import band_pass
from geoae.records.metrics import si_sdr_db


@pytest.mark.parametrize("name", model.list_shipped_models())
def test_a_shipped_model_is_small_and_has_a_complete_card(name):
    """At most 6 MB; the card has data, licences, scores, limits and the command of the training, but no local path."""
    folder = model.find_model(name)
    assert sum(p.stat().st_size for p in folder.iterdir()) < 6e6
    card = (folder / model.README).read_text()
    for heading in ("## Training data", "## Scores", "## Limits", "## How it was made"):
        assert heading in card
    assert "Licences" in card
    assert "`geoae train recipes/" in card
    assert model.load_model(name).digest in card
    assert not any(str(p) in card + (folder / model.CARD).read_text() for p in (Path.home(), Path.cwd()))


@pytest.mark.parametrize("name", model.list_shipped_models())
def test_the_recipe_of_a_shipped_model_is_the_one_in_the_repository(name):
    """model.json repeats the recipe that the card names, word for word."""
    from geoae.training.recipe import load_recipe

    provenance = model.describe_model(name)["contract"]["provenance"]
    (file,) = (word for word in provenance["command"].split() if word.startswith("recipes/"))
    recipe = load_recipe(Path(__file__).parents[2] / file)
    assert type(recipe).model_validate(provenance["recipe"]) == recipe  # keys that came later have their defaults


@pytest.mark.parametrize("name", ["grid-codes", "seismic-codes"])
def test_shipped_codes_are_small_and_keep_smooth_windows(name):
    """At most 3 MB; the error of a plane wave is below a tenth of its deviation, and larger for short codes."""
    assert (model.find_model(name) / model.WEIGHTS).stat().st_size <= 3e6
    coder = model.load_model(name)
    places = np.meshgrid(*(np.arange(3.0 * n) / n for n in coder.contract.window), indexing="ij")
    dims = ("time",) if len(places) == 1 else ("lat", "lon")
    x = xr.DataArray(np.cos(1.5 * sum(places)) * 20 + 280, dims=dims, attrs={"sampling_rate_hz": 100.0})
    errors = [float(geoae.encode(x, model=coder, dims=dims, latent=k)["recon_error"].mean()) for k in (4, None)]
    assert errors[1] < 0.1 * float(x.std())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("snr_db", [-5, 0, 5, 10])
def test_the_default_model_beats_doing_nothing_and_the_band_pass(snr_db):
    """A local event of ObsPy's in twelve kinds of coloured noise gains 5 dB or more every time, and in the median more
    than by the band-pass (which wins where all noise lies below the 1 Hz that the event was cut at)."""
    event = obspy.read().detrend("linear").filter("bandpass", freqmin=1, freqmax=45, corners=4, zerophase=True)
    clean = np.array([t.data for t in event])
    gains = []
    for seed in range(12):
        noise = damage.draw_coloured_noise(clean.shape, 100.0, np.random.default_rng(seed))
        noisy = clean + noise * damage.noise_factor(clean, noise, snr_db)[:, None]
        stream = obspy.Stream([obspy.Trace(x, t.stats) for x, t in zip(noisy, event, strict=True)])
        denoised = np.array([t.data for t in geoae.denoise(stream, threads=1)])
        gains.append(
            [si_sdr_db(clean, x).mean() - si_sdr_db(clean, noisy).mean() for x in (denoised, band_pass(noisy))]
        )
    assert np.min(gains, axis=0)[0] > 5
    assert np.median(gains, axis=0)[0] > np.median(gains, axis=0)[1]


def test_threads_and_batches_change_no_digit_of_a_field():
    """The shipped model of fields gives the same bytes for any number of threads and batch size."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:60, 0:150]
    field = xr.DataArray(
        (280 + 10 * np.sin(y / 9) * np.cos(x / 13) + rng.normal(size=(5, 60, 150))).astype("float32"),
        dims=("time", "y", "x"),
    )
    expected = geoae.denoise(field, dims=("y", "x"), threads=1)
    for options in ({"threads": 2}, {"threads": 5}, {"threads": 1, "batch_size": 3}):
        xr.testing.assert_identical(geoae.denoise(field, dims=("y", "x"), **options), expected)


@pytest.mark.parametrize(("ny", "nx"), [(8, 8), (9, 40), (15, 30), (24, 48), (40, 30)])
@pytest.mark.parametrize("periodic", [False, True])
def test_a_clean_field_on_a_coarse_grid_is_kept(ny, nx, periodic):
    """At most a tenth of jets and waves that are few points wide is removed, on any small grid."""
    latitude, longitude = np.linspace(-80, 80, ny), np.arange(nx) * 360 / nx if periodic else np.arange(nx) * 1.0
    jets = 30 * np.exp(-(((latitude - 40) / 12) ** 2)) + 20 * np.exp(-(((latitude + 45) / 10) ** 2))
    waves = 8 * np.sin(2 * np.pi * 3 * np.arange(nx) / nx) * np.cos(np.radians(latitude))[:, None] ** 2
    field = xr.DataArray(
        jets[:, None] - 5 + waves, dims=("lat", "lon"), attrs={"units": "m s-1"},
        coords={"lat": ("lat", latitude, {"units": "degrees_north"}),
                "lon": ("lon", longitude, {"units": "degrees_east"})},
    )  # fmt: skip
    lost = field - geoae.denoise(field, threads=1)
    assert float(lost.std()) < 0.1 * float(field.std())


@pytest.mark.parametrize("size", [(12, 24), (20, 40), (35, 69), (41, 80)])
def test_a_rough_clean_field_on_a_coarse_grid_is_kept(size):
    """Means of a rough surface over coarse cells look like red noise, but at most a twentieth is removed."""
    for seed in range(3):
        fine = draw_power_law((size[0] * 4, size[1] * 4), 2.2, np.random.default_rng(seed))
        field = xr.DataArray(fine.reshape(size[0], 4, size[1], 4).mean((1, 3)), dims=("lat", "lon"))
        lost = field - geoae.denoise(field, dims=("lat", "lon"), threads=1)
        assert float(lost.std()) < 0.05 * float(field.std())
