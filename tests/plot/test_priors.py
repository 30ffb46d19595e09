"""The figure of a prior shows each group of models on one scale of values."""

import numpy as np

from geoae.plot.priors import plot_prior
from tests.support.figures import to_png

GROUPS = ("held_out", "reconstructed", "drawn", "worst", "worst_reconstructed")


def examples(*shape: int, n_worst: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=(n_worst if "worst" in key else 4, *shape)) for key in GROUPS}


def test_profiles_go_downward():
    """One panel for each group, one line for each profile, cell 0 at the top, the same range of values."""
    groups = examples(30)
    figure = plot_prior(groups, "layers", "km/s")
    assert len(figure.axes) == len(GROUPS)
    for axis, (key, models) in zip(figure.axes, groups.items(), strict=True):
        assert len(axis.lines) == len(models)
        np.testing.assert_array_equal(axis.lines[0].get_xdata(), groups[key][0])
        assert axis.get_xlabel() == "km/s"
    everything = np.concatenate(list(groups.values()))
    assert {axis.get_xlim() for axis in figure.axes} == {(everything.min(), everything.max())}
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top
    assert to_png(figure).startswith(b"\x89PNG")


def test_images_share_one_colour_scale():
    """One row for each group that is not empty; panels without a model are not drawn; NaN has no influence."""
    groups = examples(6, 9)
    groups["held_out"][0, 0, 0], groups["drawn"] = np.nan, groups["drawn"][:0]
    figure = plot_prior(groups, "channels", "")
    panels = np.array(figure.axes[:16]).reshape(4, 4)
    drawn = [[bool(axis.images) for axis in row] for row in panels]
    assert drawn == [[True] * 4, [True] * 4, [True, True, False, False], [True, True, False, False]]
    assert not any(axis.axison for axis in panels[2:, 2:].ravel())
    limits = {axis.images[0].get_clim() for axis in panels.ravel() if axis.images}
    everything = np.concatenate(list(groups.values()))
    assert limits == {(np.nanmin(everything), np.nanmax(everything))}
    assert figure.axes[16].get_ylabel() == "value"
    assert to_png(figure)
