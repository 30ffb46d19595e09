"""What the models that come with the package say of themselves, and that the default one does its job."""

from pathlib import Path

import numpy as np
import obspy
import pytest

import geoae
from geoae import corrupt, model
from geoae.baselines import band_pass
from geoae.metrics import si_sdr_db


@pytest.mark.parametrize("name", model.shipped())
def test_a_shipped_model_is_small_and_says_where_it_comes_from(name):
    """At most 6 MB; the card has data, licences, scores, limits and the command that remakes it; no local path."""
    folder = model.find(name)
    assert sum(p.stat().st_size for p in folder.iterdir()) < 6e6
    card = (folder / model.README).read_text()
    for heading in ("## Training data", "## Scores", "## Limits", "## How it was made"):
        assert heading in card
    assert "CC BY 4.0" in card
    assert "`geoae train recipes/" in card
    assert model.load(name).digest in card
    assert not any(str(p) in card + (folder / model.CARD).read_text() for p in (Path.home(), Path.cwd()))


def test_the_recipe_of_the_default_model_is_the_one_in_the_repository():
    """model.json repeats recipes/seismic-dae.yml, word for word."""
    from geoae.recipe import load_recipe

    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "seismic-dae.yml")
    assert model.describe("seismic")["contract"]["provenance"]["recipe"] == recipe.model_dump(mode="json")


@pytest.mark.parametrize("snr_db", [-5, 0, 5, 10])
def test_the_default_model_beats_doing_nothing_and_the_band_pass(snr_db):
    """A local event of ObsPy's in twelve kinds of coloured noise gains 5 dB or more every time, and in the median more
    than by the band-pass (which wins where all noise lies below the 1 Hz that the event was cut at)."""
    event = obspy.read().detrend("linear").filter("bandpass", freqmin=1, freqmax=45, corners=4, zerophase=True)
    clean = np.array([t.data for t in event])
    gains = []
    for seed in range(12):
        noise = corrupt.coloured_noise(clean.shape, 100.0, np.random.default_rng(seed))
        noisy = clean + noise * corrupt.noise_factor(clean, noise, snr_db)[:, None]
        stream = obspy.Stream([obspy.Trace(x, t.stats) for x, t in zip(noisy, event, strict=True)])
        denoised = np.array([t.data for t in geoae.denoise(stream, threads=1)])
        gains.append(
            [si_sdr_db(clean, x).mean() - si_sdr_db(clean, noisy).mean() for x in (denoised, band_pass(noisy))]
        )
    assert np.min(gains, axis=0)[0] > 5
    assert np.median(gains, axis=0)[0] > np.median(gains, axis=0)[1]
