"""geoae.encode and geoae.decode in a notebook."""

import numpy as np
import pytest

import geoae
from geoae.errors import InputError
from tests.support.coding import tiny_coder
from tests.support.fields import field


def test_codes_of_a_field_decode_to_its_shape():
    """Dimensions, coordinates and units come back; a truncated code is shorter."""
    x = field(2, 16, 24, gaps=0)
    coder = tiny_coder()
    codes = geoae.encode(x, model=coder, force=True, threads=1)
    assert codes["code"].sizes["latent"] == 8
    assert geoae.encode(x, model=coder, latent=2, force=True, threads=1)["code"].sizes["latent"] == 2
    decoded = geoae.decode(codes, model=coder, threads=1)
    assert decoded.dims == x.dims
    assert decoded.attrs["units"] == "K"
    np.testing.assert_array_equal(decoded.lat.values, x.lat.values)
    # the error that is stored for each window is that of the decoded samples
    error = float(np.sqrt(np.mean((decoded.values - x.values) ** 2)))
    stored = float(np.sqrt((codes["recon_error"] ** 2 * codes["n_valid"]).sum() / codes["n_valid"].sum()))
    assert error == pytest.approx(stored, rel=1e-3)


@pytest.mark.parametrize("given", [None, "codes.zarr", np.zeros(3)])
def test_what_are_no_codes_is_named(given):
    """`decode` takes a Dataset; stores are decoded on the command line, or opened first."""
    with pytest.raises(InputError, match=f"decode was given a {type(given).__name__}; it takes the Dataset"):
        geoae.decode(given)
    if not isinstance(given, str):
        with pytest.raises(InputError, match="The store of codes is a path"):
            geoae.open_codes(given)
