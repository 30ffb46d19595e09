"""Paths, neighbours and grids of codes have the distances and quantiles of their definitions."""

import numpy as np
import pytest
from scipy.stats import norm

from geoae.errors import InputError
from geoae.priors.places import find_nearest_codes, interpolate_codes, make_atlas


def test_a_spherical_path_turns_and_stretches_evenly():
    """Between orthogonal codes, each step turns by the same angle, and the length changes linearly."""
    a, b = np.array([2.0, 0.0, 0.0]), np.array([0.0, 4.0, 0.0])
    path = interpolate_codes(a, b, 5, "spherical")
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), [2, 2.5, 3, 3.5, 4])
    np.testing.assert_allclose(np.degrees(np.arctan2(path[:, 1], path[:, 0])), [0, 22.5, 45, 67.5, 90])


@pytest.mark.parametrize("b", [np.array([-2.0, 0.0]), np.array([6.0, 0.0]), np.zeros(2)])
def test_paths_without_a_shortest_arc_are_straight(b):
    """Opposite and equal directions, and a code of length zero."""
    a = np.array([2.0, 0.0])
    np.testing.assert_allclose(interpolate_codes(a, b, 4, "spherical"), interpolate_codes(a, b, 4, "linear"))


def test_nearest_codes_are_those_of_all_distances():
    """Indices and distances equal those of a sorted table of distances."""
    rng = np.random.default_rng(0)
    z, among = rng.normal(size=(6, 3)), rng.normal(size=(40, 3))
    indices, distances = find_nearest_codes(z, among, 4)
    table = np.linalg.norm(z[:, None] - among, axis=-1)
    np.testing.assert_array_equal(indices, np.argsort(table, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(table, axis=1)[:, :4])


def test_an_atlas_is_even_in_probability():
    """Steps along two axes have equal probability under N(0, 1); the other elements stay."""
    codes = make_atlas(np.array([5.0, 6.0, 7.0]), 4, (2, 0))
    np.testing.assert_allclose(norm.cdf(codes[:, 0, 2]), [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(norm.cdf(codes[0, :, 0]), [0.125, 0.375, 0.625, 0.875])
    assert (codes[..., 1] == 6).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: interpolate_codes(np.ones(2), np.ones(2), 1, "linear"),
        lambda: interpolate_codes(np.ones(2), np.ones(2), 3, "curved"),
        lambda: find_nearest_codes(np.ones((1, 2)), np.ones((3, 2)), 4),
        lambda: make_atlas(np.ones(2), 3, (0, 0)),
        lambda: make_atlas(np.ones(2), 3, (0, 2)),
        lambda: make_atlas(np.ones(2), 0, (0, 1)),
    ],
)
def test_impossible_requests_are_input_errors(call):
    """Too few codes, unknown kinds of paths, axes that do not exist."""
    with pytest.raises(InputError):
        call()
