"""Every old module leads to a new one, with a warning."""

import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import geoae
from geoae.deprecated.modules import MODULES
from geoae.deprecated.table import MOVED


def import_quietly(module: str) -> None:
    """Import the packages above an old module, which may warn themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module(module)


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_is_found_with_a_warning(old, monkeypatch):
    """It has the public names of the new module, except those that have an entry of their own."""
    import_quietly(old.rpartition(".")[0])
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {MOVED[old]};"):
        found = import_module(old)
    new = import_module(MOVED[old])
    defined = [name for name, value in vars(new).items() if getattr(value, "__module__", None) == new.__name__]
    names = [name for name in defined if not name.startswith("_") and f"{old}:{name}" not in MOVED]
    assert names or hasattr(new, "__path__")
    for name in names:
        with pytest.warns(DeprecationWarning, match=rf"^{old}\.{name} is now {new.__name__}\.{name};"):
            assert getattr(found, name) is getattr(new, name)


def test_no_old_path_has_a_file():
    """A module with a file would hide its entry in the table."""
    package = Path(geoae.__file__).parent
    for old in MODULES:
        place = package.joinpath(*old.split(".")[1:])
        assert not place.with_suffix(".py").exists()
        assert not (place / "__init__.py").exists()
