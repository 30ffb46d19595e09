"""Shares of noise that are kept for a purpose."""

from dataclasses import replace

import pytest

from geoae.errors import ModelFileError, OptionError
from geoae.model import Denoiser
from geoae.records.purposes import find_share
from tests.conftest import tiny_model


def make_model(**purposes: object) -> Denoiser:
    """A small net with purposes."""
    model = tiny_model()
    model.contract = replace(model.contract, purposes=purposes)
    return model


def test_a_purpose_has_the_share_of_the_contract():
    """It may be below zero."""
    model = make_model(picking=0.2, viewing=-0.04)
    assert (find_share(model, "picking"), find_share(model, "viewing")) == (0.2, -0.04)


def test_unknown_purposes_are_refused():
    """The message lists those of the model."""
    with pytest.raises(OptionError, match=r"'peaking'; model 'tiny' has these: picking, viewing"):
        find_share(make_model(picking=0.2, viewing=0.0), "peaking")
    with pytest.raises(OptionError, match=r"model 'tiny' has none; leave it out, or choose a share with --dry"):
        find_share(make_model(), "picking")


@pytest.mark.parametrize("share", ["0.2", 1.5, True, None])
def test_shares_are_small_numbers(share):
    """Others in model.json are errors of that file."""
    with pytest.raises(ModelFileError, match=r"purpose 'picking' of model 'tiny' keeps .* from -1 to 1"):
        make_model(picking=share)
