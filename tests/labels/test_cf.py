"""Tests of geoae.labels.cf: roles of dimensions by metadata, two-dimensional coordinates and names, in any order."""

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import InputError
from geoae.labels.cf import GridLayout, find_time_coordinate, grid_layout, list_fields, promote_coordinates

SIZES = {"time": 3, "level": 2, "lat": 8, "lon": 12}
DAYS = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]").astype("datetime64[ns]")
# one way of saying each of time, level, latitude and longitude a row: name, values, attributes
STYLES = {
    "axis": [("d0", "T"), ("d1", "Z"), ("d2", "Y"), ("d3", "X")],
    "standard_name": [("d0", "time"), ("d1", "air_pressure"), ("d2", "latitude"), ("d3", "longitude")],
    "units": [("d0", "days since 2000-01-01"), ("d1", "hPa"), ("d2", "degrees_north"), ("d3", "degrees_east")],
    "": [("time", ""), ("level", ""), ("lat", ""), ("lon", "")],
}


def coordinates(style: str, step: float = 30.0) -> dict:
    values = [np.arange(3.0), np.array([850.0, 500.0]), np.linspace(70, -70, 8), np.arange(12) * step]
    return {
        name: (name, v, {style: said} if style else {}) for (name, said), v in zip(STYLES[style], values, strict=True)
    }


def field(**coords) -> xr.DataArray:
    """A field of the default dimensions, with other coordinates where given; None leaves one out."""
    own = {"time": DAYS, "level": [850.0, 500.0], "lat": np.linspace(70, -70, 8), "lon": np.arange(12) * 30.0}
    own = {k: v for k, v in {**own, **coords}.items() if v is not None}
    return xr.DataArray(
        np.zeros(tuple(SIZES.values()), "f4"), dims=list(SIZES), coords=own, name="t", attrs={"units": "K"}
    )


@settings(max_examples=100)
@given(
    style=st.sampled_from(sorted(STYLES)), order=st.permutations(range(4)), flips=st.sets(st.sampled_from(range(4))),
    step=st.sampled_from([30.0, 10.0]), shift=st.integers(0, 11),
)  # fmt: skip
def test_order_and_direction_change_nothing(style, order, flips, step, shift):
    """Order of dimensions, direction of coordinates, first longitude and kind of metadata do not matter."""
    names = [name for name, _ in STYLES[style]]
    around = step == 30 and style != "axis"  # an axis alone may be in metres
    x = xr.DataArray(np.zeros((3, 2, 8, 12)), dims=names, coords=coordinates(style, step))
    x = x.isel({names[3]: np.roll(np.arange(12), shift * around)})
    x = x.isel({names[i]: slice(None, None, -1) for i in flips}).transpose(*(names[i] for i in order))
    layout = grid_layout(x)
    assert layout.horizontal == tuple(names[2:])
    assert sorted(layout.batch) == sorted(names[:2])
    assert layout.batch == tuple(d for d in x.dims if d in names[:2])
    assert layout.periodic == (False, around)
    assert (layout.time, layout.level, layout.member, layout.curvilinear) == (names[0], names[1], None, False)


def test_a_layout_is_plain_data():
    """Units come from the attributes; layouts of similar fields are equal."""
    expected = GridLayout(("lat", "lon"), ("time", "level"), (False, True), "K", "time", "level")
    assert grid_layout(field()) == expected
    assert hash(grid_layout(field())) == hash(expected)
    assert grid_layout(field().drop_attrs()).units is None


@pytest.mark.parametrize(
    ("y", "x"),
    [
        ("y", "x"), ("latitude", "longitude"), ("rlat", "rlon"), ("j", "i"), ("nlat", "nlon"), ("Y", "X"),
        ("lat_0", "lon_0"),
        ("south_north", "west_east"), ("eta_rho", "xi_rho"), ("yt", "xt"), ("northing", "easting"), ("row", "col"),
        ("azimuth", "range"), ("scanline", "ground_pixel"), ("along_track", "across_track"), ("yc", "xc"),
        ("lines", "pixels"),
    ],
)  # fmt: skip
def test_names_that_models_and_sensors_use(y, x):
    """Without metadata, names decide; other dimensions are batches."""
    for dims in ((y, x), (x, y), ("station", y, x), (x, "band", y)):
        layout = grid_layout(xr.DataArray(np.zeros((3,) * len(dims)), dims=dims))
        assert layout.horizontal == (y, x)
        assert layout.batch == tuple(d for d in dims if d not in (y, x))


@pytest.mark.parametrize(
    ("dim", "kind"),
    [("member", "member"), ("number", "member"), ("realization", "member"), ("isobaricInhPa", "level"),
     ("depth", "level"), ("plev", "level"), ("bottom_top", "level"), ("t", "time"), ("valid_time", "time"),
     ("month", "time")],
)  # fmt: skip
def test_kinds_of_batches(dim, kind):
    """Time, level and member are recognised by name too."""
    layout = grid_layout(xr.DataArray(np.zeros((2, 3, 4)), dims=(dim, "y", "x")))
    assert {k: getattr(layout, k) for k in ("time", "level", "member")} == {
        k: dim if k == kind else None for k in ("time", "level", "member")
    }


def test_metadata_counts_before_names():
    """A coordinate with metadata has priority over the name of a dimension."""
    x = xr.DataArray(np.zeros((3, 4, 5)), dims=("x", "a", "b"), coords={
        "a": ("a", np.arange(4.0), {"axis": "Y"}),
        "b": ("b", np.arange(5.0), {"standard_name": "projection_x_coordinate"}),
    })  # fmt: skip
    assert grid_layout(x).horizontal == ("a", "b")
    assert grid_layout(x).batch == ("x",)


def test_coordinates_of_other_names_count():
    """A coordinate along a dimension counts, even if it has another name."""
    x = xr.DataArray(np.zeros((8, 12)), dims=("p", "q"), coords={
        "lat": ("p", np.linspace(70, -70, 8), {"units": "degrees_north"}),
        "lon": ("q", np.arange(12) * 30.0, {"units": "degrees_east"}),
    })  # fmt: skip
    assert grid_layout(x).horizontal == ("p", "q")
    assert grid_layout(x).periodic == (False, True)
    with pytest.raises(InputError, match="coordinate lat does not rise or fall"):
        grid_layout(x.isel(p=[0, 2, 1, 3]))


def curvilinear(lon: np.ndarray, dims=("p", "q"), attrs=True) -> xr.DataArray:
    lat = np.linspace(-60, 60, lon.shape[0])[:, None] + np.zeros_like(lon)
    said = [{"units": u} if attrs else {} for u in ("degrees_north", "degrees_east")]
    coords = {"nav_lat": (dims, lat, said[0]), "nav_lon": (dims, lon, said[1])}
    return xr.DataArray(np.zeros((3, *lon.shape)), dims=("time", *dims), coords=coords)


@pytest.mark.parametrize("attrs", [True, False])
@pytest.mark.parametrize("dims", [("p", "q"), ("nj", "ni"), ("ni", "nj")])
def test_curvilinear_grids_have_index_dimensions(dims, attrs):
    """Two-dimensional latitude and longitude mark the horizontal dimensions, by units or by name."""
    lon = np.arange(12) * 5.0 + np.arange(8)[:, None]
    layout = grid_layout(curvilinear(lon, dims, attrs))
    assert layout.horizontal == (tuple(reversed(dims)) if dims[0] == "ni" else dims)
    assert (layout.batch, layout.curvilinear, layout.periodic) == (("time",), True, (False, False))


def test_a_moving_grid():
    """Latitude and longitude that change with time still mark the two other dimensions."""
    lon = np.broadcast_to(np.arange(5) * 2.0, (3, 4, 5))
    coords = {"XLAT": (("Time", "a", "b"), lon * 0, {"units": "degree_north"}),
              "XLONG": (("Time", "a", "b"), lon, {"units": "degree_east"})}  # fmt: skip
    layout = grid_layout(xr.DataArray(np.zeros((3, 4, 5)), dims=("Time", "a", "b"), coords=coords))
    assert (layout.horizontal, layout.curvilinear) == (("a", "b"), True)


def test_a_rotated_pole():
    """The dimensions are those of the rotated grid; additional true latitudes change nothing."""
    x = xr.DataArray(np.zeros((4, 5)), dims=("rlat", "rlon"), coords={
        "rlat": ("rlat", np.arange(4.0), {"standard_name": "grid_latitude", "units": "degrees"}),
        "rlon": ("rlon", np.arange(5.0), {"standard_name": "grid_longitude", "units": "degrees"}),
        "lat": (("rlat", "rlon"), np.ones((4, 5)), {"standard_name": "latitude"}),
        "lon": (("rlat", "rlon"), np.ones((4, 5)), {"standard_name": "longitude"}),
    })  # fmt: skip
    layout = grid_layout(x)
    assert (layout.horizontal, layout.curvilinear, layout.periodic) == (("rlat", "rlon"), True, (False, False))


@settings(max_examples=60)
@given(
    n=st.integers(4, 720), start=st.integers(-180, 360), missing=st.sampled_from([0, 0, 1, -1, 2]), single=st.booleans()
)
def test_longitudes_are_periodic_if_n_steps_are_360_degrees(n, start, missing, single):
    """A missing column is none; a repeated one is told; precision and the position of the jump do not matter."""
    count = max(n - missing, 3)
    lon = (start + np.arange(count) * 360 / n + 180) % 360 - 180
    lon = lon.astype(np.float32 if single else np.float64)
    x = xr.DataArray(np.zeros((2, count)), dims=("lat", "lon"), coords={"lon": lon})
    if missing == -1:  # 0 and 360 are one place, whether the coordinate runs on or not
        for coord in (lon, start + np.arange(count) * 360 / n):
            layout = grid_layout(x.assign_coords(lon=("lon", coord, {"units": "degrees_east"})))
            assert (layout.periodic, layout.repeats) == ((False, True), (0, 1))
    else:
        layout = grid_layout(x)
        assert layout.periodic[1] == (count == n)
        assert layout.repeats == (0, 0)


@pytest.mark.parametrize(("extra", "closes"), [(0, True), (1, True), (2, True), (3, False), (-2, False)])
def test_curvilinear_longitudes_may_be_periodic(extra, closes):
    """One or two columns may be repeated, as in ocean models."""
    angle = np.arange(40 + extra) * 9.0
    lon = angle + 3 * np.sin(np.deg2rad(angle)) + np.arange(8)[:, None]
    layout = grid_layout(curvilinear((lon + 180) % 360 - 180))
    assert layout.periodic == (False, closes)
    assert layout.repeats == (0, max(extra, 0) if closes else 0)


@pytest.mark.parametrize("attrs", [{"units": "m"}, {"units": "radians"}, {"standard_name": "projection_x_coordinate"}])
def test_only_degrees_of_longitude_are_periodic(attrs):
    """360 metres are not periodic."""
    x = xr.DataArray(np.zeros((4, 12)), dims=("y", "x"), coords={"x": ("x", np.arange(12) * 30.0, attrs)})
    assert grid_layout(x).periodic == (False, False)


def test_dims_has_priority():
    """`dims` sets the horizontal dimensions and their order, even against the rules."""
    layout = grid_layout(field(), ("level", "lat"))
    assert (layout.horizontal, layout.batch) == (("level", "lat"), ("time", "lon"))
    assert grid_layout(xr.DataArray(np.zeros((2, 3))), ("dim_1", "dim_0")).horizontal == ("dim_1", "dim_0")
    assert grid_layout(field(), ["lat", "lon"]).periodic == (False, True)


@pytest.mark.parametrize(
    ("dims", "said"),
    [(("y", "x"), "t has no dimension y, x; it has time 3, level 2, lat 8, lon 12"),
     (("lat", "lat"), "each horizontal"), ((), "each horizontal")],
)  # fmt: skip
def test_wrong_dimensions_are_refused(dims, said):
    """Unknown dimensions, and a dimension that is named twice."""
    with pytest.raises(InputError, match=said):
        grid_layout(field(), dims)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (xr.DataArray(np.zeros((2, 3)), name="h"), r"h: .*no rule finds them \(dim_0 2, dim_1 3\).*--dims dim_0,dim_1"),
        (xr.DataArray(np.zeros((2, 3)), dims=("time", "lat")), "only lat was found"),
        (xr.DataArray(np.zeros(3), dims="x"), "at least two"),
        (xr.DataArray(np.zeros((2, 3, 4)), dims=("y", "x", "lon")), "both x, lon|both x and lon"),
    ],
)
def test_unclear_dimensions_are_an_error(x, said):
    """The error lists the dimensions, and the option that sets them."""
    with pytest.raises(InputError, match=said):
        grid_layout(x)


def test_a_list_of_points_is_no_grid():
    """Latitude and longitude along one dimension."""
    coords = {"lat": ("cell", np.arange(5.0)), "lon": ("cell", np.arange(5.0))}
    with pytest.raises(InputError, match=r"no grid.*cell 5.*Interpolate"):
        grid_layout(xr.DataArray(np.zeros((3, 5)), dims=("time", "cell"), coords=coords))


@pytest.mark.parametrize(
    ("coords", "said"),
    [
        (
            {"lat": [10, 20, 15, 30, 40, 50, 60, 70]},
            r"t: coordinate lat .*: 20 at position 1 is followed by 15\. .*sortby",
        ),
        ({"lat": [70, 60, 50, 50, 40, 30, 20, 10]}, r"lat has 50 twice, at positions 2 and 3\. .*drop_duplicates"),
        ({"lat": [70, 60, np.nan, 50, 40, 30, 20, 10]}, "lat has no value at position 2"),
        ({"time": DAYS[[0, 1, 1]]}, "time has 2020-01-02 twice, at positions 1 and 2"),
        ({"time": DAYS[[1, 0, 2]]}, "time does not rise or fall steadily: 2020-01-02 at position 0"),
        ({"time": [cftime.DatetimeNoLeap(2000, 1, d) for d in (1, 2, 2)]}, "time has 2000-01-02 .*twice"),
        ({"time": [DAYS[0], DAYS[1], np.datetime64("NaT", "ns")]}, "time has no value at position 2"),
    ],
)
def test_coordinates_out_of_order_are_named(coords, said):
    """The error has the coordinate, the position and a remedy."""
    with pytest.raises(InputError, match=said):
        grid_layout(field(**coords))


def test_levels_and_text_may_be_in_any_order():
    """Only horizontal coordinates and the time must be steady."""
    x = field(level=[500.0, 500.0])
    assert grid_layout(x).level == "level"
    named = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords={"y": ["b", "a"]})
    assert grid_layout(named).horizontal == ("y", "x")


def test_auxiliary_variables_are_no_fields():
    """Bounds, grid mappings, areas, flags, dates and text are left out."""
    plane = (("lat", "lon"), np.zeros((2, 3)))
    data = xr.Dataset(
        {"t": (*plane, {"grid_mapping": "crs", "cell_measures": "area: cell_area"}),
         "n": (plane[0], np.zeros((2, 3), int)), "crs": ((), 0), "cell_area": plane,
         "lat_bnds": (("lat", "nv"), np.zeros((2, 2))), "flag": (*plane, {"flag_values": [0, 1]}),
         "when": (plane[0], np.zeros((2, 3), "M8[ns]")), "sure": (plane[0], np.zeros((2, 3), bool))},
        {"lat": ("lat", [0.0, 1.0], {"bounds": "lat_bnds"})},
    )  # fmt: skip
    assert list_fields(data) == ["t", "n"]


def test_positions_among_the_variables_become_coordinates():
    """A latitude without a longitude stays a variable."""
    plane = ("a", "b")
    data = xr.Dataset({"t": (plane, np.zeros((2, 3))), "lat": (plane, np.zeros((2, 3)), {"units": "degrees_north"})})
    assert list(promote_coordinates(data).data_vars) == ["t", "lat"]
    both = promote_coordinates(data.assign(lon=(plane, np.zeros((2, 3)), {"units": "degrees_east"})))
    assert list(both.data_vars) == ["t"]
    assert grid_layout(both["t"]).horizontal == plane


def test_the_time_of_a_single_field():
    """It is a scalar coordinate; for a forecast with several times, the valid time."""
    x = field().isel(time=0)
    assert find_time_coordinate(x) == "time"
    assert find_time_coordinate(x.assign_coords(valid_time=DAYS[1])) == "valid_time"
    assert find_time_coordinate(x.drop_vars("time")) is None
