"""Old import paths, which work for one release and warn: a table of old and new, and what reads it.

An entry is a module, `"geoae.old": "geoae.new"`, or one name of a module, `"geoae.old:name": "geoae.new:name"`. Names
come first: an old module whose content went to several places has an entry for itself, and one for each name that is
elsewhere. Where a package has taken the place of a module of the same name, only names have entries, and the package
says `__getattr__ = moved_names(__name__)`.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "geoae.invert.amortised": "geoae.invert.search.amortised",
    "geoae.invert.chains:effective_draws": "geoae.invert.chains.convergence:effective_draws",
    "geoae.invert.chains:r_hat": "geoae.invert.chains.convergence:r_hat",
    "geoae.invert.diagnose": "geoae.invert.posterior.diagnose",
    "geoae.invert.emulated": "geoae.invert.chains.emulated",
    "geoae.invert.emulator": "geoae.invert.chains.emulator",
    "geoae.invert.esmda": "geoae.invert.solvers.esmda",
    "geoae.invert.figure": "geoae.invert.posterior.figure",
    "geoae.invert.forward:Forward": "geoae.invert.forward.forward:Forward",
    "geoae.invert.forward:RUN_LIMIT_S": "geoae.invert.forward.forward:RUN_LIMIT_S",
    "geoae.invert.held_out": "geoae.invert.misfit.held_out",
    "geoae.invert.learning": "geoae.invert.chains.learning",
    "geoae.invert.map": "geoae.invert.search.modes",
    "geoae.invert.mcmc": "geoae.invert.chains.hamiltonian",
    "geoae.invert.members": "geoae.invert.forward.members",
    "geoae.invert.noise": "geoae.invert.misfit.noise",
    "geoae.invert.posterior:MODELS": "geoae.invert.posterior.posterior:MODELS",
    "geoae.invert.posterior:Posterior": "geoae.invert.posterior.posterior:Posterior",
    "geoae.invert.posterior:load": "geoae.invert.posterior.posterior:load",
    "geoae.invert.representation": "geoae.invert.misfit.representation",
    "geoae.invert.rml": "geoae.invert.solvers.rml",
    "geoae.invert.samplers": "geoae.invert.chains.samplers",
    "geoae.invert.searches": "geoae.invert.search.searches",
    "geoae.invert.starts": "geoae.invert.search.starts",
    "geoae.invert.stores": "geoae.invert.posterior.saved",
    "geoae.invert.trajectories": "geoae.invert.chains.trajectories",
    "geoae.invert.values": "geoae.invert.misfit.values",
}


class OldPaths(MetaPathFinder, Loader):
    """Finds the modules of the table that no longer have a file; Python asks it last."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module without a file, for an old path; None for all others."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module take its names from the new one."""
        _warn(module.__name__, MOVED[module.__name__])
        module.__doc__ = f"The old path of {MOVED[module.__name__]}."
        module.__dict__["__getattr__"] = moved_names(module.__name__)


def install() -> None:
    """Let Python find old paths, once."""
    if not any(isinstance(finder, OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(OldPaths())


def moved_names(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module or package that had names which are now elsewhere."""

    def find(name: str) -> Any:
        new = MOVED.get(f"{module}:{name}")
        if new is None and module in MOVED and not name.startswith("__"):  # Python itself asks for __path__
            new = f"{MOVED[module]}:{name}"
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, attribute = new.partition(":")
        found = getattr(import_module(place), attribute)
        _warn(f"{module}.{name}", f"{place}.{attribute}")
        return found

    return find


def _warn(old: str, new: str) -> None:
    message = f"{old} is {new}; the old path goes with the next release."
    warnings.warn(message, DeprecationWarning, stacklevel=3)  # of the line that imports, or asks for a name
