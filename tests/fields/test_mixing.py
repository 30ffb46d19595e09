"""Training windows of fields depend only on seed and index, are scaled, and hold the data, noise and gaps asked for."""

import numpy as np
import pytest

from geoae.arrays import neighbours
from geoae.errors import InputError
from geoae.fields.mixing import FieldMixer, _draw_small_cut
from geoae.fields.recipe import FieldMix, FieldWindow
from tests.support.field_training import WINDOW, archive


def mixer(seed: int = 0, **mix: object) -> FieldMixer:
    return FieldMixer(archive(), FieldMix(**mix), WINDOW, seed)


@pytest.mark.parametrize("target", ["clean", "members", "blind-spot"])
def test_windows_depend_on_seed_and_index(target):
    """Windows are the same in any order, differ for another seed, are finite float32, and 0 where they do not count."""
    one, again, other = mixer(target=target), mixer(target=target), mixer(1, target=target)
    for index in (17, 3, 0):
        window = one[index]
        for a, b in zip(window, again[index], strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(window.shown, other[index].shown)
        assert window.shown.shape == (neighbours.N_CHANNELS, 32, 32)
        assert window.target.shape == window.counts.shape == (1, 32, 32)
        assert window.shown.dtype == window.target.dtype == np.float32
        assert np.isfinite(window.shown).all()
        assert np.isfinite(window.target).all()
        assert (window.target[~window.counts] == 0).all()


def test_without_noise_the_target_is_the_input():
    """Both have the same scale, at every point that counts."""
    plain = mixer(noiseless=1.0, missing=0.3)
    for index in range(20):
        shown, target, counts = plain[index]
        np.testing.assert_allclose(shown[:1][counts], target[counts], atol=1e-6)


def test_noise_has_the_level_of_the_recipe():
    """The level is relative to the standard deviation of the clean window."""
    loud = mixer(noise_level=(0.5, 0.5), missing=0, small=0, noiseless=0)
    ratio = []
    for index in range(60):
        shown, target, counts = loud[index]
        ratio.append((shown[:1] - target)[counts].std() / target[counts].std())
    assert np.median(ratio) == pytest.approx(0.5, rel=0.15)


def wide_mixer(seed: int = 0, drawn: float = 1.0, **mix: object) -> FieldMixer:
    """Mixer of windows of wide fields; the model of their overviews predicts a tenth of the field as noise."""
    window = FieldWindow(length=32, stride=24, train_length=32, near=1, far=3, overview=2)
    settings = FieldMix(wide=1.0, overview="grid", drawn=drawn, **mix)
    return FieldMixer(archive(), settings, window, seed, noise_of=lambda x: 0.1 * np.nan_to_num(x[:, :1]))


@pytest.mark.parametrize("drawn", [0.0, 1.0])
def test_windows_of_wide_fields_depend_on_seed_and_index(drawn):
    """Windows drawn before have no influence; the overview covers the slice, and there are no neighbours."""
    one, again = wide_mixer(drawn=drawn), wide_mixer(drawn=drawn)
    for index in (9, 0, 3, 1):
        window = one[index]
        for a, b in zip(window, again[index], strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.isfinite(window.shown).all()
        own, near, far, overview = window.shown[neighbours.N_VALUES :]
        np.testing.assert_array_equal(own, overview)
        assert own.any()
        assert not near.any()
        assert not far.any()


def test_an_overview_is_the_noise_that_its_model_predicts():
    """For a field without noise and gaps it is a tenth of the means of its blocks."""
    shown = [wide_mixer(missing=0, noiseless=1)[k].shown for k in range(8)]
    for own, _, _, without_overview, *_ in shown:
        predicted = (own - without_overview).reshape(16, 2, 16, 2).mean((1, 3))[2:-2, 2:-2]
        means = own.reshape(16, 2, 16, 2).mean((1, 3))[2:-2, 2:-2]
        # the mean of a window, a constant, was removed from `own` alone
        assert np.corrcoef(predicted.ravel(), means.ravel())[0, 1] > 0.9


def test_wide_fields_get_recorded_noise_too():
    """Files of noise may be smaller than the field."""
    made = wide_mixer(recorded_noise=1, noise_level=(0.5, 0.5), missing=0, noiseless=0)
    made.noise = [np.random.default_rng(1).normal(size=(3, 20, 24))]
    shown, target, counts = made[0]
    assert counts.all()
    assert (shown[:1] - target).std() > 0.05


def test_small_grids_are_parts_of_a_window():
    """They are rectangles of at least 8 points a side; a fifth is noiseless, and no noise exceeds the field."""
    small = mixer(small=1.0, missing=0, noise_level=(0.1, 5.0), drawn=1.0)
    sizes, ratio = set(), []
    for index in range(60):
        shown, target, counts = small[index]
        rows, columns = (np.flatnonzero(counts[0].any(axis)) for axis in (1, 0))
        assert counts[0, : len(rows), : len(columns)].all()
        assert counts.sum() == len(rows) * len(columns) < 32 * 32
        assert min(len(rows), len(columns)) >= 8
        sizes.add((len(rows), len(columns)))
        ratio.append((shown[:1] - target)[counts].std() / target[counts].std())
    assert len(sizes) > 40
    assert 5 <= sum(r < 1e-6 for r in ratio) <= 27  # stripes and single points miss some windows, too
    assert max(ratio) < 1.5


def test_small_grids_are_often_coarse():
    """Steps of a plane that rises evenly are those of one to six points, for single points and for means."""
    plane = np.tile(np.arange(80.0)[:, None] * 10 + np.arange(80.0), (3, 1, 1))
    steps = set()
    for index in range(60):
        rng = np.random.default_rng(index)
        cut = _draw_small_cut(plane, (10, 12), 16, rng)(plane)
        assert cut.shape == (3, 16, 16)
        assert np.isfinite(cut).sum() == 3 * 10 * 12
        across = np.diff(cut[:, :10, :12], axis=2)
        np.testing.assert_allclose(across, across[0, 0, 0])
        steps.add(round(float(across[0, 0, 0])))
    assert steps == set(range(1, 7))


def test_gaps_and_land_do_not_count():
    """Missing points are 0 and do not count."""
    gappy = mixer(missing=1.0, drawn=0.0)
    lost = 0
    for index in range(20):
        shown, _, counts = gappy[index]
        np.testing.assert_array_equal(counts[0], shown[neighbours.N_VALUES] == 1)
        assert (shown[0][~counts[0]] == 0).all()
        lost += (~counts).sum()
    assert lost > 1000


def test_one_member_is_the_input_and_another_the_target():
    """Both have the same place and time; in these data the target is 100 K warmer or colder."""
    pairs = mixer(target="members", alone=0, turned=0, zoomed=0)
    for index in range(20):
        shown, target, counts = pairs[index]
        if counts.sum() < 200:
            continue
        step = np.median((target - shown[:1])[counts])
        np.testing.assert_allclose((target - shown[:1])[counts] / step, 1, atol=0.2)


def test_members_may_share_a_change_in_time():
    """The same change is added to input and target; it differs from slice to slice."""
    one, other = archive()[0], archive(seed=1)[0]
    still, moving = (
        FieldMixer([one, other], FieldMix(target="members", alone=0, added=added), WINDOW, 0) for added in (0, 1)
    )
    changes = []
    for seed in range(20):
        (a, at, target, _), (b, _, moved, _) = (m._draw_members(np.random.default_rng(seed)) for m in (still, moving))
        change = b - a
        np.testing.assert_allclose(moved - target, change[at], atol=1e-4)
        assert np.isfinite(change).all()
        changes.append(change.std(0).max() if len(change) > 1 else np.nan)
    assert np.nanmin(changes) > 0
    assert 0.03 < np.nanmedian(changes) < 2  # standard deviation between members: 0.5


def test_hidden_points_hold_another_value():
    """Only hidden points count, about as many as in the recipe, and their input is not their target."""
    hidden = mixer(target="blind-spot", hidden=0.1, zoomed=0)
    share = []
    for index in range(20):
        shown, target, counts = hidden[index]
        share.append(counts.mean())
        if counts.any():
            assert (shown[:1][counts] != target[counts]).mean() > 0.9
    assert np.mean(share) == pytest.approx(0.1, rel=0.3)


def test_recorded_noise_is_used():
    """With a file of two values, noise has two values, and differs from slice to slice."""
    rng = np.random.default_rng(0)
    step = np.where(np.arange(40) < 20, 0.0, 100.0)
    clean, noise = [np.broadcast_to(step, (5, 40, 40)).copy()], [(rng.random((6, 20, 50)) < 0.5).astype(float)]
    mix = FieldMix(
        drawn=0, added=0, missing=0, small=0, zoomed=0, recorded_noise=1, noiseless=0, noise_level=(0.1, 0.1)
    )
    made = FieldMixer(clean, mix, WINDOW, 0, noise)
    for index in range(10):
        shown, target, _ = made[index]
        removed = (shown[0] - target[0]).round(3)
        assert len(np.unique(removed)) == 2
        assert not np.array_equal(removed, removed.T)
    simulated = FieldMixer(clean, mix.model_copy(update={"recorded_noise": 0.0}), WINDOW, 0, noise)
    assert len(np.unique((simulated[0].shown[0] - simulated[0].target[0]).round(3))) > 10


def test_members_of_different_shapes_are_refused():
    """The message states the shapes."""
    with pytest.raises(InputError, match=r"at least two members of one shape.*\(9, 40, 70\)"):
        FieldMixer(archive()[:1], FieldMix(target="members"), WINDOW, 0)
