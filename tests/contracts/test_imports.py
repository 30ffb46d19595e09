"""What is loaded when, and that importing does nothing. import-linter holds which folder may import which."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "geoae"
# modules, or folders of modules, that may load a heavy library when they are imported, and when they are used
AT_IMPORT = {
    "torch": {"nets", "training", "testing.nets", "records.losses", "records.task", "fields.losses", "fields.task",
              "codes.task", "priors.losses", "priors.task", "priors.finish"},
    "dask": {"arrays.dask_tasks"},
}  # fmt: skip
WHEN_USED = {
    "torch": {*AT_IMPORT["torch"], "arrays.transforms", "model", "codes", "priors", "invert"},
    "obspy": {"readers", "writers", "files", "records", "api", "jobs"},
    "h5py": {"readers", "stores"},
    "dask": {"readers", "labels", "arrays", "fields", "codes", "stores", "cluster"},
    "distributed": {"cluster"},
    "dask_jobqueue": {"cluster"},
    "zarr": {"readers", "stores", "invert", "priors"},
    "matplotlib": {"plot", "invert.posterior"},
}


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


def is_in(module: str, places: set[str]) -> bool:
    """Whether a module is one of those named, or lies in a folder that is."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def fresh(code: str, cwd: Path) -> str:
    """What a new interpreter prints; its home is empty."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", WHEN_USED)
def test_heavy_libraries_are_loaded_where_they_are_used(library):
    """At module level only where the table says so, and in functions of few folders."""
    for name, path in modules().items():
        for inside, allowed in ((False, AT_IMPORT.get(library, set())), (True, WHEN_USED[library])):
            used = library in {i.partition(".")[0] for i in imports(path, inside)}
            # the list of nets must load none of them
            may = is_in(name, allowed) and (inside or name != "nets")
            assert may or not used, f"geoae.{name} imports {library}{'' if inside else ' at module level'}"


def test_readers_and_writers_never_load_torch():
    """Data goes in and out without torch, whatever they import in turn."""
    reached, waiting = set(), [n for n in modules() if is_in(n, {"readers", "writers"})]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        names = {n.removeprefix("geoae.") for n in imports(modules()[name], True) if n.startswith("geoae.")}
        waiting += (names & set(modules())) - reached
    assert not [n for n in reached if "torch" in {i.partition(".")[0] for i in imports(modules()[n], True)}]


def test_help_loads_nothing_heavy(tmp_path):
    """`geoae --help` starts without torch, obspy, xarray, numpy, pandas, scipy or matplotlib."""
    code = """
import sys
from geoae.cli import main
sys.argv = ["geoae", "--help"]
try:
    main()
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
