"""geoae.fit: a prior in one call, the same for the same seed, and one line for whatever cannot be learnt from."""

import dataclasses
import inspect

import numpy as np
import pytest
import xarray as xr
import yaml

import geoae
from geoae import model as models
from geoae.api.train import train
from geoae.errors import InputError, UnknownNameError
from geoae.priors.options import FitOptions
from geoae.priors.prior import Prior
from geoae.priors.report import MODELS, PCA, PRIOR

SMALL = {"hidden": 32, "depth": 1, "widths": [8], "patch": 1}


def profiles(n=400, seed=0, cells=24):
    """A step of random depth and size in a gradient: what components represent badly."""
    rng = np.random.default_rng(seed)
    z, depth = np.arange(cells), rng.uniform(4, cells - 4, (n, 1))
    return 3 + 0.02 * z + 0.6 / (1 + np.exp(-2 * (z - depth)))


def image(n=120, seed=0):
    """Stripes of two facies."""
    rng = np.random.default_rng(seed)
    wave = np.cumsum(rng.normal(size=n)) * 0.3
    return ((np.add.outer(wave, np.arange(n)) % 11) < 4).astype(np.uint8)


@pytest.fixture(scope="module")
def prior():
    return geoae.fit(profiles(), 2, steps=200, batch=32, config=SMALL, noise=0.1, seed=1, units="km/s", threads=1)


def test_a_prior_of_profiles_is_better_than_components(prior):
    """The report has a row for everything promised, beside PCA of equal size, and says which is better."""
    report = prior.report()
    error = report["RMSE of held-out models (km/s)"]
    assert error[PRIOR] < 0.9 * error[PCA]
    assert "below that of 2 principal components" in str(report)
    for words in ("active codes, of 2", "variance of codes, mean", "variogram of drawn", "condition of the decoder's",
                  "distance of codes from N(0, 1)", "Reconstructed worst"):  # fmt: skip
        assert words in str(report)
    # of few held-out codes: the variance of the many training codes below is the sharp check
    assert 0.6 < report["variance of codes, mean"][PRIOR] < 1.5
    assert report["active codes, of 2"][PRIOR] == 2
    assert 0.9 < report["variance of codes of training models, mean"][PRIOR] < 1.1
    assert len(report.worst) == 5


def test_codes_that_are_bent_are_normal_and_draw_likelier_models():
    """Waves of any phase lie on a ring: what white codes draw is often too weak or too strong."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (600, 1))
    waves = np.cos(2 * np.pi * np.arange(16) / 16 + phase) + 0.02 * rng.normal(size=(600, 16))
    off, distance = [], []
    for n in (0, 6):
        made = geoae.fit(waves, 2, steps=60, batch=32, config=SMALL | {"couplings": n}, noise=0.05, seed=1, threads=1)
        space = geoae.LatentSpace(made)
        drawn = space.decode(space.sample(400, seed=3))
        off.append(np.abs(drawn.std(axis=-1) / 0.5**0.5 - 1).mean())
        distance.append(made.report()["distance of codes from N(0, 1), most"][PRIOR])
    assert off[1] < 0.5 * off[0]
    assert distance[1] < distance[0]


def test_the_report_has_a_figure(prior, tmp_path):
    """Held-out, reconstructed and drawn models, drawn without pyplot."""
    prior.report().figure().savefig(tmp_path / "report.png", dpi=40)
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_seed_gives_the_same_prior(prior):
    """Another seed gives another one."""
    again, other = (geoae.fit(profiles(), 2, steps=20, batch=32, config=SMALL, seed=s, threads=1) for s in (1, 2))
    once = geoae.fit(profiles(), 2, steps=20, batch=32, config=SMALL, seed=1, threads=1)
    assert once.digest == again.digest != other.digest


def test_saved_interrupted_and_loaded(tmp_path):
    """A folder to save to is a model folder, and the same call again goes on from its checkpoint."""
    rows = []
    settings = {"steps": 40, "batch": 16, "config": SMALL, "threads": 1, "out": tmp_path / "m", "report": rows.append}
    made = geoae.fit(profiles(), 2, **settings)
    assert geoae.fit(profiles(), 2, **settings).digest == made.digest
    assert [row["step"] for row in rows] == [40]
    a, b = geoae.LatentSpace(made), geoae.LatentSpace(geoae.load_model(tmp_path / "m"))
    z = a.sample(3, 0)
    np.testing.assert_array_equal(a.decode(z), b.decode(z))
    assert b.name == "prior"
    with pytest.raises(InputError, match="differ in: data"):
        geoae.fit(profiles(seed=5), 2, **settings)


def test_models_with_missing_cells(tmp_path):
    """NaN cells are left out of the loss; cells that are never there decode to NaN; empty models are left out."""
    x = profiles()
    x[:, 0] = np.nan
    x[np.random.default_rng(0).random(x.shape) < 0.05] = np.nan
    x[3] = np.nan
    made = geoae.fit(x, 2, steps=40, batch=16, config=SMALL, threads=1, transform="log")
    space = geoae.LatentSpace(made)
    m = space.decode(space.sample(4, 0))
    assert np.isnan(m[:, 0]).all()
    assert np.isfinite(m[:, 1:]).all()
    assert np.isfinite(made.report()["RMSE of held-out models"][PRIOR])


def test_facies_out_of_one_image():
    """Two values make a bernoulli prior: probabilities between them, few grey cells, the fraction of the image."""
    size = {"hidden": 64, "depth": 1, "widths": [16, 8], "patch": 1, "layers": "convolutions"}
    made = geoae.fit(image(), 4, shape=(12, 10), steps=150, batch=16, config=size, threads=1, exclude=[(50, 50)])
    assert made.net.likelihood == "bernoulli"
    assert made.contract.training["excluded"] == [[50, 50]]
    report = made.report()
    assert report["facies accuracy (%)"][PRIOR] > 70
    assert report["grey cells of drawn models (%)"][PRIOR] < 15
    assert report["grey cells of drawn models (%)"][MODELS] == 0
    assert report["facies fraction (%)"].keys() == {PRIOR, PCA, MODELS}
    m = geoae.LatentSpace(made).decode(np.zeros(4))
    assert ((m >= 0) & (m <= 1)).all()


def test_all_kinds_of_input(tmp_path):
    """numpy, xarray with units, npz, zarr: the same components."""
    x = profiles(60)
    array = xr.DataArray(x, dims=("n", "z"), name="vs", attrs={"units": "km/s"})
    np.savez(tmp_path / "p.npz", vs=x)
    array.to_dataset().to_zarr(tmp_path / "p.zarr", consolidated=False)
    found = [geoae.fit(m, 2, net="pca") for m in (x, array, f"{tmp_path / 'p.npz'}:vs", f"{tmp_path / 'p.zarr'}:vs")]
    assert len({made.digest for made in found}) == 1
    assert found[1].contract.units == "km/s"
    assert "principal components" in found[0].contract.summary


def test_sensitivity_weights_what_changes_the_data():
    """With a sensitivity, models that were encoded and decoded give nearer data than without."""
    sees = np.zeros((2, 24))
    sees[0, :4], sees[1, 4:8] = 20.0, 20.0
    errors = []
    for weight in (0.0, 10.0):
        made = geoae.fit(
            profiles(), 2, steps=100, batch=32, config=SMALL, threads=1, sensitivity=sees, data_weight=weight
        )
        space, truth = geoae.LatentSpace(made), profiles(100, 1)
        errors.append(np.square((truth - space.decode(space.encode(truth))) @ sees.T).mean())
    assert errors[1] < 0.8 * errors[0]


def test_blocks_of_coordinates(prior):
    """Labels or coordinates keep neighbours together, and the contract says how many were held out."""
    places = np.random.default_rng(0).uniform(0, 100, (400, 2))
    made = geoae.fit(
        profiles(), 2, net="vae", steps=5, config=SMALL, groups=places, block=20.0, hold_out=0.2, threads=1
    )
    assert made.contract.training["n_groups"] == 25
    assert made.contract.training["held_out_groups"] == 5


@pytest.mark.parametrize(
    ("given", "settings", "error", "words"),
    [
        (profiles(5), {"latent": 9}, InputError, "5 models are too few for 9 codes"),
        (np.full((50, 8), 4.0), {"latent": 2}, InputError, "same value, 4"),
        (-profiles(50), {"transform": "log"}, InputError, "above 0"),
        ([np.zeros(3), np.zeros(4)], {}, InputError, "differ in shape"),
        (np.zeros(7), {}, InputError, r"shape \(7,\)"),
        (profiles(50), {"latent": 0}, InputError, "latent is 0"),
        (profiles(50), {"latent": 30}, InputError, "24 cells"),
        (profiles(50), {"hold_out": 1.5}, InputError, "hold_out is 1.5"),
        (profiles(50), {"net": "gan"}, InputError, '"vae" or "pca"'),
        (profiles(50), {"transform": "sqrt"}, UnknownNameError, "normal-score"),
        (profiles(50), {"groups": np.zeros(3)}, InputError, "one label for each"),
        (profiles(50), {"sensitivity": np.zeros((2, 3))}, InputError, "24 cells"),
        (np.array([["a"]]), {}, InputError, "expected numbers"),
        (None, {}, InputError, "a NoneType that is no array of numbers"),
        (profiles(50) + 0j, {}, InputError, "The models are complex"),
        (profiles(50), {"sensitivity": np.zeros((2, 24), complex)}, InputError, "The sensitivity is complex"),
        (profiles(50), {"latent": "auto"}, InputError, "latent is 'auto'; give a whole number"),
        (profiles(50), {"seed": -1}, InputError, "seed is -1"),
        (profiles(23), {"latent": 22, "net": "pca"}, InputError, "training models are too few for 22 codes"),
        (np.full((50, 4), np.inf), {}, InputError, "infinite"),
        (xr.Dataset({"vs": ("n", [1.0])}), {}, InputError, "one of vs"),
        ("profiles", {}, InputError, "FILE:NAME"),
    ],
)
def test_unusable_models_are_refused_in_one_line(given, settings, error, words):
    """What came, what was expected, what to do; before any training."""
    with pytest.raises(error, match=words) as caught:
        geoae.fit(given, **{"latent": 2, "steps": 1, "threads": 1} | settings)
    assert "\n" not in str(caught.value)


def test_a_recipe_makes_a_model_folder(tmp_path):
    """geoae train with kind: prior, from an npz file with coordinates."""
    x = profiles(200)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "p.npz", vs=x, lat=rng.uniform(0, 50, 200), lon=rng.uniform(0, 50, 200))
    plan = {
        "kind": "prior", "name": "tiny", "summary": "for tests", "units": "km/s", "data": {"models": "p.npz:vs"},
        "hold_out": {"by": ["lat", "lon"], "block": 10.0},
        "net": {"name": "vae", "config": {"ndim": 1, "shape": [24], "latent": 2, "likelihood": "learned", **SMALL}},
        "optimize": {"steps": 4, "batch": 8, "warmup_steps": 1, "validate_every": 2, "precision": "float32"},
    }  # fmt: skip
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(plan))
    said = train(tmp_path / "tiny.yml", tmp_path, tmp_path / "out", device="cpu", threads=1, workers=0)
    assert "model tiny" in said
    made = models.load_model(tmp_path / "out")
    assert made.contract.shape == (24,)
    assert made.contract.training["n_groups"] == 25
    assert made.contract.training["cpu_minutes"] >= 0
    card = (tmp_path / "out" / "card.md").read_text()
    assert "blocks of 10 along lat and lon" in card
    assert "p.npz" in card


def test_options_are_those_of_fit_with_the_same_defaults():
    """A keyword of `fit` that has to do with how is a field of `FitOptions`; what it is given, and where to, is not."""
    parameters = inspect.signature(geoae.fit).parameters
    options = {f.name: f.default for f in dataclasses.fields(FitOptions)}
    assert parameters.keys() - options.keys() == {"models", "groups", "sensitivity", "out", "report"}
    assert options.keys() <= parameters.keys()
    for name, default in options.items():
        assert parameters[name].default == default


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"latent": 0}, "latent is 0"), ({"batch": -1}, "batch is -1"), ({"patience": 0}, "patience is 0"),
     ({"latent": 2.5}, "latent is 2.5"), ({"seed": 1.5}, "seed is 1.5"), ({"hold_out": "a"}, "hold_out is 'a'"),
     ({"steps": 0}, "steps is 0"), ({"threads": 0}, "threads is 0"), ({"hold_out": 1.0}, "hold_out is 1"),
     ({"net": "gan"}, '"vae" or "pca"'), ({"likelihood": "poisson"}, "one of auto, gaussian, learned, bernoulli")],
)  # fmt: skip
def test_options_are_checked_when_they_are_made(wrong, words):
    """Each in one line, before any data are read."""
    with pytest.raises(InputError, match=words) as caught:
        FitOptions(**wrong)
    assert "\n" not in str(caught.value)


def test_options_cannot_be_changed():
    """What was checked stays as it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitOptions().latent = 0


@pytest.mark.parametrize("net", ["pca", "vae"])
@pytest.mark.parametrize("n", [20, 35, 50])
def test_few_models_make_a_prior_that_can_be_inverted(n, net):
    """At least 8 are held out, and the default number of codes leaves twice as many for training; the diagnosis says
    that intervals are rough."""
    made = geoae.fit(profiles(n), net=net, steps=2, config=SMALL, threads=1)
    training = made.contract.training
    n_held_out = len(made.companions["held_out"])
    assert 8 <= n_held_out <= n / 2
    if net == "vae":
        assert training["n_models"] + training["n_held_out"] == n
    assert 1 <= made.contract.latent <= min(20, (n - n_held_out) / 2)
    data = profiles(1, 9)[0, ::3]
    posterior = geoae.Inverse(made, lambda m: m[::3], data, 0.05).solve("laplace", n_draws=30)
    assert any(f"estimated from {n_held_out} held-out models" in line for line in posterior.diagnose().problems)
    assert "RMSE of held-out models" in str(made.report())


def test_a_share_is_a_share_of_many_models():
    """From 80 models on, a tenth are 8; an explicit number of codes comes before the held-out models."""
    held_out = [
        len(geoae.fit(profiles(n), k, net="pca").companions["held_out"]) for n, k in ((80, 2), (200, 2), (23, 20))
    ]
    assert held_out == [8, 20, 2]


def test_masked_cells_are_missing():
    """In one masked array or a list of them; what lies under the mask does not count."""
    x = profiles(60)
    x[:, 3] = 1e9
    expected = geoae.fit(np.where(x > 1e6, np.nan, x), 2, net="pca")
    masked = np.ma.masked_greater(x, 1e6)
    for given in (masked, list(masked)):
        assert geoae.fit(given, 2, net="pca").digest == expected.digest
    space = geoae.LatentSpace(expected)
    np.testing.assert_array_equal(space.encode(masked[:3], 2), space.encode(np.where(x > 1e6, np.nan, x)[:3], 2))


def test_priors_are_shown_in_one_line(prior):
    """The prior, its space and an inversion; a report is shown as its table."""
    space = geoae.LatentSpace(prior)
    inverse = geoae.Inverse(space, lambda m: m[:5], [3.0, np.nan, 3.0, 3.1, 3.1], 0.1)
    assert repr(prior) == f"Prior('prior': 1-D models as 2 codes; net vae, {prior.digest}, cpu)"
    assert repr(space) == f"LatentSpace('prior': 2 codes of models (24,) in km/s; {prior.digest})"
    assert (
        repr(inverse) == f"Inverse({space!r}, Forward(<lambda>: 2 runs), 4 data, 1 missing, with representation error)"
    )
    report = prior.report()
    assert repr(report) == str(report)


def test_fit_gives_a_prior_that_is_loaded_as_one(tmp_path):
    """Its report is the same before and after, and a LatentSpace takes either."""
    made = geoae.fit(profiles(60), 2, net="pca", out=tmp_path / "m")
    loaded = geoae.load_model(tmp_path / "m")
    assert type(made) is type(loaded) is Prior
    assert str(loaded.report()) == str(made.report())
    z = np.zeros((1, 2))
    np.testing.assert_array_equal(geoae.LatentSpace(made).decode(z), geoae.LatentSpace(tmp_path / "m").decode(z))
