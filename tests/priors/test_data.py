"""Training models of a prior contain no held-out and no excluded cells."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import InputError, MissingFileError
from geoae.priors import data as prior_data


@settings(max_examples=10)
@given(rows=st.integers(20, 40), columns=st.integers(30, 60), box=st.tuples(st.integers(0, 12), st.integers(0, 12)),
       share=st.floats(0.05, 0.4))  # fmt: skip
def test_cuts_touch_neither_excluded_parts_nor_the_strip(rows, columns, box, share):
    """No cell of a training model lies in an excluded box or in a held-out model; a cut depends on its number only."""
    image = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    shape = (8, 5)
    data = prior_data.cut_models(image, shape, [box], share, 20, seed=3)
    excluded = set(image[box[0] : box[0] + 8, box[1] : box[1] + 5].ravel())
    seen = {v for i in range(60) for v in data.training[i].ravel()}
    assert not seen & excluded
    assert not seen & set(data.held_out.ravel())
    assert not set(data.held_out.ravel()) & excluded
    assert data.sample.shape[1:] == shape
    np.testing.assert_array_equal(data.training[7], data.training[7])


@settings(max_examples=10)
@given(axes=st.sampled_from([(), (0,), (1,), (0, 1)]), seed=st.integers(0, 99))
def test_models_are_mirrored_along_the_named_axes_only(axes, seed):
    """Training models are those without `mirror`, reversed along some of the axes, half of them along each; held-out
    models are not reversed."""
    image = np.random.default_rng(seed).random((40, 60))
    rows = np.random.default_rng(seed).random((50, 6, 4))
    for make in (lambda mirror: prior_data.cut_models(image, (6, 4), [], 0.2, 20, seed, mirror),
                 lambda mirror: prior_data.divide_models(rows, None, 0.2, 20, seed, mirror)):  # fmt: skip
        data, plain = make(axes), make(())
        np.testing.assert_array_equal(data.held_out, plain.held_out)
        turned = np.zeros(2)
        for i in range(200):
            found = [flip for flip in ((), (0,), (1,), (0, 1))
                     if np.array_equal(np.flip(data.training[i], flip), plain.training[i])]  # fmt: skip
            assert len(found) == 1
            assert set(found[0]) <= set(axes)
            turned[list(found[0])] += 1
        assert all(60 < turned[axis] < 140 for axis in axes)
        np.testing.assert_array_equal(data.training[7], data.training[7])
        assert np.array_equal(data.sample, plain.sample) == (not axes)
        assert data.division.get("mirrored", []) == list(axes)


def test_groups_stay_on_one_side():
    """Models of one block are all trained on or all held out; the same seed gives the same division."""
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-90, 90, 500), rng.uniform(-180, 180, 500)
    labels = prior_data.label_blocks([lat, lon], 10.0)
    models = np.stack([lat, lon], 1)
    data = prior_data.divide_models(models, labels, 0.2, 1000, seed=1)
    blocks = [set(map(tuple, np.floor(x / 10))) for x in (data.training.models, data.held_out)]
    assert not blocks[0] & blocks[1]
    assert len(data.training.models) + len(data.held_out) == 500
    assert 50 < len(data.held_out) < 150
    again = prior_data.divide_models(models, labels, 0.2, 1000, seed=1)
    np.testing.assert_array_equal(again.held_out, data.held_out)


@pytest.mark.parametrize(
    ("n", "fewest", "held_out"),
    [(40, (1, 1), 4), (40, (8, 20), 8), (30, (8, 24), 6), (12, (8, 6), 6), (400, (8, 200), 40)],
)
def test_enough_models_are_held_out(n, fewest, held_out):
    """More groups than the share, until there are enough, as long as enough are left for training."""
    data = prior_data.divide_models(np.arange(4.0 * n).reshape(n, 4), np.arange(n), 0.1, 1000, 3, (), fewest)
    assert len(data.held_out) == held_out
    assert data.division["held_out_groups"] == held_out
    assert not set(data.held_out[:, 0]) & set(data.training.models[:, 0])


def test_a_pool_repeats_its_models():
    """Each pass has every model once, in a different order."""
    pool = prior_data.ModelPool(np.arange(10.0)[:, None], seed=2)
    rounds = [[float(pool[10 * r + i][0]) for i in range(10)] for r in range(3)]
    assert all(sorted(r) == list(range(10)) for r in rounds)
    assert rounds[0] != rounds[1]
    assert float(pool[3][0]) == rounds[0][3]


def test_arrays_of_files(tmp_path):
    """npz, netCDF and zarr give the same array; an unknown name raises an error that lists the names."""
    x = np.arange(6.0).reshape(2, 3)
    np.savez(tmp_path / "a.npz", vs=x)
    data = xr.Dataset({"vs": (("n", "z"), x)})
    data.to_netcdf(tmp_path / "a.nc")
    data.to_zarr(tmp_path / "a.zarr", consolidated=False)
    for file in ("a.npz", "a.nc", "a.zarr"):
        np.testing.assert_array_equal(prior_data.read_array(tmp_path, f"{file}:vs"), x)
        with pytest.raises(InputError, match="no array 'vp'; it has vs"):
            prior_data.read_array(tmp_path, f"{file}:vp")
    with pytest.raises(MissingFileError):
        prior_data.read_array(tmp_path, "b.npz:vs")
    (tmp_path / "c.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        prior_data.read_array(tmp_path, "c.npz:vs")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prior_data.cut_models(np.zeros((5, 5)), (6, 3), [], 0.1, 5, 0), "cannot be cut"),
        (lambda: prior_data.cut_models(np.zeros((9, 9)), (6, 6), [], 0.1, 5, 0), "no room"),
        (lambda: prior_data.cut_models(np.zeros((90, 90)), (6, 6), [(3,)], 0.1, 5, 0), r"\[3\] is no corner"),
        (
            lambda: prior_data.cut_models(np.zeros((90, 90)), (6, 6), [], 0.1, 5, 0, [2]),
            "axis 2; models have axes 0 to",
        ),
        (lambda: prior_data.divide_models(np.zeros((9, 6)), None, 0.1, 5, 0, [-1]), "axis -1; models have axes 0 to 0"),
        (lambda: prior_data.divide_models(np.zeros((3, 4)), None, 0.1, 5, 0), "too few"),
        (lambda: prior_data.divide_models(np.zeros((9, 4)), np.zeros(8), 0.1, 5, 0), "one label for each of the 9"),
        (lambda: prior_data.divide_models(np.zeros((9, 4)), np.zeros(9), 0.1, 5, 0), "one group"),
    ],
)
def test_models_that_cannot_be_divided_are_refused(call, words):
    """Images smaller than models, too few models, labels that do not fit."""
    with pytest.raises(InputError, match=words):
        call()
