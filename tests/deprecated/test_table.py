"""Every old name leads to a new one, with a warning."""

import warnings
from importlib import import_module

import pytest

from geoae.deprecated.modules import MODULES
from geoae.deprecated.table import MOVED, NAMES


def import_quietly(module: str) -> None:
    """Import the packages above an old module, which may warn themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module(module)


@pytest.mark.parametrize("old", NAMES)
def test_an_old_name_is_found_with_a_warning(old):
    """Also where a package has taken the place of the module."""
    module, _, name = old.partition(":")
    place, _, attribute = MOVED[old].partition(":")
    import_quietly(module)
    with pytest.warns(DeprecationWarning, match=rf"^{module}\.{name} is now {place}\.{attribute};"):
        found = getattr(import_module(module), name)
    assert found is getattr(import_module(place), attribute)


def test_the_tables_are_sorted_and_lead_nowhere_old():
    """Entries are easy to find, and none leads to another entry."""
    assert list(NAMES) == sorted(NAMES)
    assert list(MODULES) == sorted(MODULES)
    assert not set(MOVED.values()) & set(MOVED)
