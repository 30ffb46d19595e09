"""Old import paths lead to the new ones, and say so."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import geoae
from geoae.deprecated.paths import MOVED

MODULES = [old for old in MOVED if ":" not in old]
NAMES = [old for old in MOVED if ":" in old]


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_is_found_with_a_warning(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"^{old} is {MOVED[old]};"):
        found = import_module(old)
    new = import_module(MOVED[old])
    own = [name for name, value in vars(new).items() if getattr(value, "__module__", None) == new.__name__]
    names = [name for name in own if not name.startswith("_") and f"{old}:{name}" not in MOVED]
    assert names
    for name in names:
        with pytest.warns(DeprecationWarning, match=rf"^{old}\.{name} is {new.__name__}\.{name};"):
            assert getattr(found, name) is getattr(new, name)


@pytest.mark.parametrize("old", NAMES)
def test_an_old_name_is_found_with_a_warning(old, monkeypatch):
    """Also those in a package of the module's name."""
    module, _, name = old.partition(":")
    place, _, attribute = MOVED[old].partition(":")
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is {place}\.{attribute};"):
        found = getattr(import_module(module), name)
    assert found is getattr(import_module(place), attribute)


@pytest.mark.parametrize(
    "statement",
    [
        "from geoae.invert.map import find_mode",
        "import geoae.invert.map",
        "from geoae.invert import map",
        "from geoae.invert.forward import Forward",
    ],
)
def test_the_warning_is_of_the_line_that_imports(statement, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"{statement}\n")
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", script], capture_output=True, text=True, check=True
    )
    assert f"{script}:1: DeprecationWarning: geoae.invert." in done.stderr


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"geoae\.invert\.nothing"):
        import_module("geoae.invert.nothing")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = import_module("geoae.invert.chains").nothing


def test_no_old_path_has_a_file():
    """Else the file would be found, and the table not asked."""
    package = Path(geoae.__file__).parent
    for old in MODULES:
        place = package.joinpath(*old.split(".")[1:])
        assert not place.with_suffix(".py").exists()
        assert not (place / "__init__.py").exists()
