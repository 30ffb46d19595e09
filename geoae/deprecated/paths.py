"""Old import paths, which work for one release and warn.

The table `geoae.deprecated.table.MOVED` holds two sorts of entry: a module, `"geoae.old": "geoae.new"`, and one name of
a module, `"geoae.old:name": "geoae.new:name"`. Entries of names come first. A module whose content went to several
places has one entry for itself, and one for each name that is elsewhere.

A module or package that no longer has a file is found by `OldPaths`. Where a package has taken the place of a module of
the same name, only names have entries, and the package sets `__getattr__ = moved_names(__name__)`.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from geoae.deprecated.table import MOVED


class OldPaths(MetaPathFinder, Loader):
    """Finds modules and packages of the table. It is the last finder, so it sees only names that have no file."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Describe a module without a file for an old path; None for all other names."""
        is_package = any(old.startswith(f"{fullname}.") for old in MOVED)
        return ModuleSpec(fullname, self, is_package=is_package) if is_package or fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module take its names from the new one."""
        if new := MOVED.get(module.__name__):  # a package has no entry if only its modules have moved
            _warn(module.__name__, new)
            module.__doc__ = f"The old path of {new}."
        module.__dict__["__getattr__"] = moved_names(module.__name__)


def install() -> None:
    """Let Python find old paths. A second call changes nothing."""
    if not any(isinstance(finder, OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(OldPaths())


def moved_names(module: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a module or package whose names are now elsewhere.

    A package also gets its modules by it, each when it is first used: `geoae.plot.records` needs no import of its own.
    """

    def find_name(name: str) -> Any:
        new = MOVED.get(f"{module}:{name}")
        # Python itself looks for __path__, and imports an old module of an old package if there is no such name
        if new is None and module in MOVED and not name.startswith("__") and f"{module}.{name}" not in MOVED:
            new = f"{MOVED[module]}:{name}"
        if new is None and _has_module(module, name):
            return import_module(f"{module}.{name}")
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, attribute = new.partition(":")
        found = getattr(import_module(place), attribute)
        _warn(f"{module}.{name}", f"{place}.{attribute}")
        return found

    return find_name


def _has_module(package: str, name: str) -> bool:
    """Whether a package has a file or folder for a module; nothing is imported to find out."""
    if name.startswith("_"):
        return False
    folders = map(Path, getattr(sys.modules[package], "__path__", ()))
    return any((folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file() for folder in folders)


def _warn(old: str, new: str) -> None:
    message = f"{old} is now {new}; the old path will be removed in the next release."
    warnings.warn(message, DeprecationWarning, stacklevel=3)  # the line that imports or uses the name
