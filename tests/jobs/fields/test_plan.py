"""Plan of a store of denoised fields."""

import pytest
import xarray as xr

from geoae.errors import InputError
from geoae.jobs.fields.plan import (
    choose_code_prefix,
    find_time_axis,
    list_field_settings,
    make_field_template,
    plan_field_store,
)
from geoae.jobs.options import FieldOptions
from tests.support.fields import field, tiny_model


def test_time_axis_and_code_prefix():
    """The axis counts from the first dimension; a single field needs no prefix."""
    x = field(3)
    assert find_time_axis(x, ()) == 0
    assert find_time_axis(x.transpose("lat", "lon", "time"), ("lat", "lon")) == 2
    assert find_time_axis(x[0].drop_vars("time"), ()) is None
    assert (choose_code_prefix(x, [x]), choose_code_prefix(x, [x, x])) == ("", "t2m_")


def test_chunks_are_those_requested():
    """From the first new time on; unknown dimensions are named."""
    x, model = field(6), tiny_model()
    options = FieldOptions(chunks={"time": 2, "lat": 8}, append=True)
    (part,) = plan_field_store([x], xr.Dataset(), options, 2, model, 0.0).parts
    assert part.variables[0].shape == (4, 40, 56)
    assert part.variables[0].chunks[:2] == (2, 8)
    with pytest.raises(InputError, match="There is no dimension depth to chunk; there are lat, lon, time"):
        plan_field_store([x], xr.Dataset(), FieldOptions(chunks={"depth": 2}), 0, model, 0.0)


def test_settings_name_what_changes_samples():
    """Another fraction of noise or other units give other settings; the template keeps coordinates and dtype."""
    x, model = field(2), tiny_model()
    settings = list_field_settings(model, [x], FieldOptions(), 0.0)
    assert settings == list_field_settings(model, [x], FieldOptions(shard=4), 0.0)
    assert settings != list_field_settings(model, [x], FieldOptions(), 0.5)
    assert settings != list_field_settings(model, [x.assign_attrs(units="C")], FieldOptions(), 0.0)
    template = make_field_template(x, model, 0.0)
    xr.testing.assert_equal(template.coords.to_dataset(), x.coords.to_dataset())
    assert (template.dtype, float(abs(template).max())) == (x.dtype, 0.0)
