"""Errors of geoae: each is also a built-in error."""

import inspect

import pytest

from geoae import errors
from geoae.errors import GeoAEError, one_line

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, GeoAEError)]


@pytest.mark.parametrize("error", [c for c in CLASSES if c is not GeoAEError])
def test_each_error_is_a_built_in_error_too(error):
    """Callers may catch ValueError, OSError, LookupError or RuntimeError."""
    assert issubclass(error, GeoAEError)
    assert issubclass(error, ValueError | OSError | LookupError | RuntimeError)


def test_one_line_of_any_error():
    """Line breaks become spaces; an error without a message gives the name of its class."""
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ZeroDivisionError()) == "ZeroDivisionError"
