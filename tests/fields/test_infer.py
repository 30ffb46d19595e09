"""Denoising labelled fields: which arrays a model takes, and where its windows lie."""

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError
from geoae.fields.infer import build_frame, denoise_field
from tests.support import fields

MODEL = fields.tiny_model()


def plane(ny: int = 16, nx: int = 20, dtype=np.float32, **attrs: str) -> xr.DataArray:
    return xr.DataArray(np.zeros((ny, nx), dtype), dims=("y", "x"), name="u", attrs=attrs)


def test_a_frame_has_the_axes_of_the_layout():
    """Time and horizontal axes are found in any order; longitudes around the globe are periodic."""
    x = fields.field(5, 20, 30, closes=True)
    frame = build_frame(x.transpose("lon", "time", "lat"), MODEL)
    assert (frame.shape, frame.horizontal, frame.time, frame.periodic) == ((30, 5, 20), (2, 0), 1, (False, True))
    assert build_frame(fields.field(5, 20, 30), MODEL).periodic == (False, False)
    assert build_frame(x, fields.tiny_model(near=0, far=0)).time is None


@pytest.mark.parametrize(
    ("x", "dims", "words"),
    [
        (plane(dtype=complex), None, r"holds complex128; a field of real numbers was expected"),
        (plane(7, 20), ("y", "x"), r"has y 7, too few to tell noise from signal.*at least 8"),
        (plane(7, 5), ("y", "x"), r"y 7 and x 5"),
        (plane(), ("y",), r"1 horizontal dimensions were named \(y\).*works along two"),
        (plane().expand_dims(time=0), ("y", "x"), r"has no samples"),
    ],
)
def test_arrays_that_are_no_fields_are_refused(x, dims, words):
    """Complex, small and empty arrays, and a single dimension."""
    with pytest.raises(InputError, match=words):
        build_frame(x, MODEL, dims)


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        ({"units": "K"}, r"has units m s-1.*trained on K.*--force"),
        ({"dims": ("lat", "lon")}, r"dimensions y, x.*--force"),
    ],
)
def test_other_units_and_dimensions_need_force(trained, words):
    """A model that was trained on certain units or dimensions takes others only with `force`."""
    x, model = plane(units="m s-1"), fields.tiny_model(**trained)
    with pytest.raises(InputError, match=words):
        build_frame(x, model, ("y", "x"))
    assert build_frame(x, model, ("y", "x"), force=True).horizontal == (0, 1)


def test_signal_and_noise_have_the_labels_of_the_field():
    """Dims, coordinates, name and attributes are kept; `processing` names the model; the packing is dropped."""
    x = fields.field(3, 16, 20)
    x.encoding = {"scale_factor": 0.1, "grid_mapping": "crs"}
    for part in denoise_field(x, MODEL, dry=0.25):
        assert part.attrs.pop("processing").startswith("geoae")
        assert part.encoding == {"grid_mapping": "crs"}
        xr.testing.assert_identical(part.copy(data=x.values), x)
