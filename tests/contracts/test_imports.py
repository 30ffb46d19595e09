"""Who may import whom, what is loaded when, and that importing does nothing."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "geoae"
LEVELS = [
    {"nets", "losses", "windows", "scaling", "resample", "corrupt", "synthetic", "metrics", "baselines", "recipe",
     "errors", "timeaxis", "libmseed", "axes", "cf", "adapter", "blocks", "provenance", "runs", "_version", "_moved",
     "contracts", "context", "overview", "recipe_fields", "recipe_codes", "field_noise", "field_synthesis",
     "labels", "transforms", "losses_vae", "recipe_priors", "prior_data", "settings", "weights_file"},
    {"model", "readers", "writers", "catalog", "ledger", "checkpoint", "devices"},
    {"cluster", "coding", "evaluation", "field_data", "field_mixing", "field_windows", "infer", "infer_codes",
     "infer_fields", "jobqueue", "mixing", "plot", "schedulers", "training", "training_codes", "training_fields",
     "training_records", "training_vae", "validation", "latent", "invert", "plot_latent"},
    {"jobs", "api", "api_codes", "api_latent", "testing"},
    {"cli", "cli_codes", "console", "tables", "__main__"},
]  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# room -> heavy libraries that its modules may load when they are imported, and when they are used
AT_IMPORT = {"torch": {"nets", "losses", "losses_vae", "training", "training_records", "training_fields",
                       "training_codes", "training_vae", "checkpoint", "testing"}}  # fmt: skip
WHEN_USED = {
    "torch": {*AT_IMPORT["torch"], "model", "devices", "latent", "invert", "transforms", "weights_file"},
    "obspy": {"readers", "writers", "api", "jobs"},
    "h5py": {"readers"},
    "dask": {"readers", "writers", "infer", "infer_fields", "infer_codes", "jobqueue", "schedulers"},
    "distributed": {"cluster", "jobqueue", "schedulers"},
    "dask_jobqueue": {"jobqueue"},
    "zarr": {"readers", "writers", "infer"},
    "matplotlib": {"plot", "plot_latent", "invert"},
}
# each makes files or figures out of arrays, and must not know where the arrays came from
APART = [("writers", "readers"), ("readers", "writers"), ("plot", "model"), ("nets", "scaling"), ("model", "readers")]


def modules() -> dict[str, Path]:
    """Dotted name below geoae -> file; the package's own __init__ is the empty name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    return found


@lru_cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path, inside_functions: bool) -> Iterator[str]:
    """Dotted names that a file imports when it runs; what only type checkers see does not count."""
    waiting: list[ast.AST] = [parse(path)]
    while waiting:
        node = waiting.pop()
        if is_type_checking(node):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            if node.module.split(".")[0] == "geoae":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def rooms(path: Path, inside_functions: bool = True) -> set[str]:
    """Rooms of geoae that a file imports from."""
    names = (name.split(".") for name in imports(path, inside_functions))
    return {parts[1] for parts in names if parts[0] == "geoae" and len(parts) > 1 and parts[1] in LEVEL}


def room(module: str) -> str:
    return module.partition(".")[0]


def fresh(code: str, cwd: Path) -> str:
    """What a new interpreter prints; its home is empty."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_has_its_place():
    """No module is outside the table of levels."""
    assert {room(name) for name in modules() if name} <= set(LEVEL)


@pytest.mark.parametrize("name", [name for name in modules() if name])
def test_imports_go_downward(name):
    """A module imports from its own level or from those below, also inside functions."""
    path, level = modules()[name], LEVEL[room(name)]
    upward = {other for other in rooms(path) if LEVEL[other] > level}
    assert not upward, f"geoae.{name} (level {level}) imports {upward}"


@pytest.mark.parametrize(("one", "other"), APART)
def test_rooms_that_must_not_know_each_other(one, other):
    """Readers and writers, nets and scaling, figures and models meet one level further up."""
    assert not [name for name, path in modules().items() if room(name) == one and other in rooms(path)]


def test_no_two_modules_import_each_other():
    """There is no circle among the modules, neither at import nor in functions."""
    files = modules()
    graph = {
        name: {n.removeprefix("geoae.") for n in imports(path, True) if n.startswith("geoae.")} & set(files) - {name}
        for name, path in files.items()
        if name
    }
    done: set[str] = set()
    while ready := {name for name, needs in graph.items() if name not in done and needs <= done}:
        done |= ready
    assert done == set(graph), f"a circle among {set(graph) - done}"


@pytest.mark.parametrize("library", WHEN_USED)
def test_heavy_libraries_are_loaded_where_they_are_used(library):
    """At module level only where the table says so, and in functions of few rooms."""
    for name, path in modules().items():
        for inside, allowed in ((False, AT_IMPORT.get(library, set())), (True, WHEN_USED[library])):
            used = library in {i.partition(".")[0] for i in imports(path, inside)}
            # the list of nets must load none of them
            may = room(name) in allowed and (inside or name != "nets")
            assert may or not used, f"geoae.{name} imports {library}{'' if inside else ' at module level'}"


def test_readers_and_writers_never_load_torch():
    """Data goes in and out without torch, whatever they import in turn."""
    reached, waiting = set(), [n for n in modules() if room(n) in ("readers", "writers")]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        names = {n.removeprefix("geoae.") for n in imports(modules()[name], True) if n.startswith("geoae.")}
        waiting += (names & set(modules())) - reached
    assert not reached & {"losses", "training", "checkpoint"}
    assert not [n for n in reached if n.startswith("nets.")]


def test_help_loads_nothing_heavy(tmp_path):
    """`geoae --help` starts without torch, obspy, xarray, numpy, pandas, scipy or matplotlib."""
    code = """
import sys
from geoae import cli
sys.argv = ["geoae", "--help"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code
heavy = {"torch", "obspy", "xarray", "numpy", "pandas", "scipy", "matplotlib", "dask", "zarr", "h5py", "pydantic"}
print("LOADED", sorted(heavy & set(sys.modules)))
"""
    out = fresh(code, tmp_path)
    assert "denoise" in out
    assert out.strip().endswith("LOADED []")


def test_a_model_needs_no_training(tmp_path):
    """geoae.model loads neither the training loop nor torch."""
    code = "import sys, geoae.model; print({'geoae.training.loop', 'geoae.records.mixing', 'torch'} & set(sys.modules))"
    assert fresh(code, tmp_path).strip() == "set()"


def test_importing_does_nothing(tmp_path):
    """All modules of geoae: no file written, no handler on any logger, no warning filter, no thread, no variable."""
    names = [f"geoae.{name}".rstrip(".") for name in modules() if name != "__main__"]
    code = f"""
import importlib, json, logging, os, sys, threading, warnings
# what geoae's dependencies do on import is theirs
for name in ("torch", "torch.distributed", "torch.utils.data", "torch.optim.swa_utils", "torch.nn.parallel", "xarray",
             "xarray.backends", "pandas", "scipy.signal", "yaml", "pydantic", "typer", "jaxtyping",
             "safetensors.torch"):
    importlib.import_module(name)

def state():
    loggers = [logging.root, *(logging.getLogger(n) for n in list(logging.root.manager.loggerDict))]
    handlers = sum(len(l.handlers) for l in loggers)
    return [handlers, len(warnings.filters), threading.active_count(), dict(os.environ)]

before = state()
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps([before, state()]))
"""
    before, after = json.loads(fresh(code, tmp_path))
    assert after == before
    assert list(tmp_path.iterdir()) == []
