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
    "geoae.invert.amortised:Amortised": "geoae.invert.search.amortised:CodePredictor",
    "geoae.invert.amortised:learn": "geoae.invert.search.amortised:train_predictor",
    "geoae.invert.amortised:prior_runs": "geoae.invert.search.amortised:run_prior",
    "geoae.invert.chains:effective_draws": "geoae.invert.chains.convergence:effective_draws",
    "geoae.invert.chains:r_hat": "geoae.invert.chains.convergence:r_hat",
    "geoae.invert.diagnose": "geoae.invert.posterior.diagnose",
    "geoae.invert.emulated": "geoae.invert.chains.emulated",
    "geoae.invert.emulated:emulated": "geoae.invert.chains.emulated:sample_emulated",
    "geoae.invert.emulator": "geoae.invert.chains.emulator",
    "geoae.invert.esmda": "geoae.invert.solvers.esmda",
    "geoae.invert.esmda:ensemble": "geoae.invert.solvers.esmda:update_ensemble",
    "geoae.invert.figure": "geoae.invert.posterior.figure",
    "geoae.invert.forward:Forward": "geoae.invert:Forward",
    "geoae.invert.forward:RUN_LIMIT_S": "geoae.invert.forward.forward:RUN_LIMIT_S",
    "geoae.invert.held_out": "geoae.invert.misfit.held_out",
    "geoae.invert.learning": "geoae.invert.chains.learning",
    "geoae.invert.learning:begin": "geoae.invert.chains.learning:start_walkers",
    "geoae.invert.map": "geoae.invert.search.modes",
    "geoae.invert.map:STEPS": "geoae.invert.search.modes:N_STEPS",
    "geoae.invert.map:damped": "geoae.invert.search.modes:solve_damped",
    "geoae.invert.mcmc": "geoae.invert.chains.hamiltonian",
    "geoae.invert.mcmc:Coordinates": "geoae.invert.chains.coordinates:Coordinates",
    "geoae.invert.mcmc:Wanted": "geoae.invert.chains.settings:ChainSettings",
    "geoae.invert.mcmc:hamiltonian": "geoae.invert.chains.hamiltonian:sample_hamiltonian",
    "geoae.invert.mcmc:walkers": "geoae.invert.chains.walkers:sample_walkers",
    "geoae.invert.members": "geoae.invert.forward.members",
    "geoae.invert.noise": "geoae.invert.misfit.noise",
    "geoae.invert.noise:decomposed": "geoae.invert.misfit.noise:thin_svd",
    "geoae.invert.posterior:MODELS": "geoae.invert.posterior.draws:N_MODELS",
    "geoae.invert.posterior:Posterior": "geoae.invert:Posterior",
    "geoae.invert.posterior:load": "geoae.invert:load",
    "geoae.invert.representation": "geoae.invert.misfit.representation",
    "geoae.invert.rml": "geoae.invert.solvers.rml",
    "geoae.invert.rml:draws": "geoae.invert.solvers.rml:draw_perturbed",
    "geoae.invert.samplers": "geoae.invert.chains.samplers",
    "geoae.invert.samplers:MANY": "geoae.invert.chains.samplers:MAX_EMULATED",
    "geoae.invert.samplers:chosen": "geoae.invert.chains.samplers:choose_sampler",
    "geoae.invert.searches": "geoae.invert.search.searches",
    "geoae.invert.searches:PATIENT": "geoae.invert.search.searches:N_STEPS_LONG",
    "geoae.invert.searches:SEARCHES": "geoae.invert.search.searches:N_SEARCHES",
    "geoae.invert.searches:Wish": "geoae.invert.search.searches:SearchPlan",
    "geoae.invert.starts": "geoae.invert.search.starts",
    "geoae.invert.starts:Runs": "geoae.invert.misfit.runs:Runs",
    "geoae.invert.starts:candidates": "geoae.invert.search.starts:starting_points",
    "geoae.invert.starts:ridge": "geoae.invert.search.starts:fit_ridge",
    "geoae.invert.stores": "geoae.invert.posterior.saved",
    "geoae.invert.stores:read": "geoae.invert.posterior.saved:read_draws",
    "geoae.invert.stores:save": "geoae.invert.posterior.saved:save_draws",
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
