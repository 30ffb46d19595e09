"""Attributes that name other variables: what the data set does not hold is found, and left out."""

import pytest

from geoae.stores.references import drop_dangling, find_dangling, list_external


@pytest.mark.parametrize(
    ("attrs", "missing", "left"),
    [
        ({"cell_measures": "area: a volume: v"}, {"cell_measures": ["a"]}, {"cell_measures": "volume: v"}),
        ({"cell_measures": "area: areacella"}, {"cell_measures": ["areacella"]}, {}),
        ({"ancillary_variables": "u v  w"}, {"ancillary_variables": ["w"]}, {"ancillary_variables": "u v"}),
        ({"formula_terms": "a: v b: hybm"}, {"formula_terms": ["hybm"]}, {}),
        ({"grid_mapping": "crs: u v"}, {"grid_mapping": ["crs"]}, {}),
        ({"bounds": "v", "units": "K"}, {}, {"bounds": "v", "units": "K"}),
        ({"bounds": "lat_bnds"}, {"bounds": ["lat_bnds"]}, {}),
        ({"climatology": 3}, {}, {"climatology": 3}),
    ],
)
def test_names_that_are_not_held_are_left_out(attrs, missing, left):
    """Lists lose these names alone; what means nothing without one of its names goes as a whole."""
    assert find_dangling(attrs, {"u", "v"}) == missing
    assert drop_dangling(attrs, {"u", "v"}) == left


def test_names_of_other_files():
    """As CF's attribute of data sets lists them."""
    assert list_external({"external_variables": "areacella volcello"}) == {"areacella", "volcello"}
    assert list_external({}) == set()
