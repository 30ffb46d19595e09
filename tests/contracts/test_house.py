"""The plan of the house: what lies at the root, names that exist once, a test file for each module."""

import ast
from collections import defaultdict
from pathlib import Path

import grimp

from tests.contracts import layers

TOP = Path(__file__).parents[2]
PACKAGE, TESTS = TOP / "geoae", TOP / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
# modules whose tests lie in the test files of others; this list only gets shorter
WITHOUT_A_TEST_FILE = {
    "_version.py",
    "arrays/types.py",
    "cli/codes.py",
    "cli/denoise.py",
    "cli/inspect.py",
    "cli/train.py",
    "codes/card.py",
    "codes/coding.py",
    "codes/contract.py",
    "codes/mixing.py",
    "codes/model.py",
    "codes/recipe.py",
    "fields/contract.py",
    "model/card.py",
    "model/denoiser.py",
    "model/denoising.py",
    "model/loading.py",
    "model/roles.py",
    "nets/identity.py",
    "nets/linear_ae.py",
    "nets/protocols.py",
    "priors/card.py",
    "priors/contract.py",
    "priors/finish.py",
    "priors/linear.py",
    "priors/options.py",
    "priors/prior.py",
    "priors/recipe.py",
    "priors/report.py",
    "records/contract.py",
    "testing/nets.py",
    "training/card.py",
}
# doors have the names of what a person types; readers and kinds have the names that their contracts ask for
DOORS = ("api", "cli", "jobs/inspect.py")
CONTRACTS = {"sniff", "read", "scan", "contents", "training_task"}


def definitions(path: Path) -> list[str]:
    """Public classes and functions at the top of a module."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [n.name for n in ast.parse(path.read_text()).body if isinstance(n, kinds) and not n.name.startswith("_")]


def test_four_modules_lie_at_the_root():
    """What a newcomer sees first: the face, the version, the errors, the table of kinds."""
    assert {p.name for p in PACKAGE.glob("*.py")} == {"__init__.py", "_version.py", "errors.py", "kinds.py"}


def test_no_public_name_is_defined_twice():
    """A class or function is found by its name alone."""
    places = defaultdict(list)
    for path in MODULES:
        if not str(path.relative_to(PACKAGE)).startswith(DOORS):
            for name in definitions(path):
                places[name].append(str(path.relative_to(PACKAGE)))
    assert not {name: found for name, found in places.items() if len(found) > 1 and name not in CONTRACTS}


def test_no_module_is_long():
    """A module is small enough to hold in the head; at 400 lines its idea is split."""
    assert not [(p.name, n) for p in MODULES if (n := len(p.read_text().splitlines())) > 400]


def test_there_are_no_circles():
    """No module imports itself through others, neither in functions nor for type checking only."""
    graph = grimp.build_graph("geoae", exclude_type_checking_imports=False, cache_dir=None)
    needs = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules if name != "geoae"}
    done: set[str] = set()
    while ready := {name for name, own in needs.items() if name not in done and own - {"geoae"} <= done}:
        done |= ready
    assert done == set(needs), f"a circle among {sorted(set(needs) - done)}"


def test_the_table_of_layers_is_that_of_the_linter():
    """CONTRIBUTING.md shows the layers that import-linter holds; `python -m tests.contracts.layers` writes them."""
    assert layers.written((TOP / "CONTRIBUTING.md").read_text()) == layers.table()


def test_each_folder_has_its_layer():
    """No folder of the package is outside the layers."""
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()}
    assert folders == {name for names in layers.layers() for name in names} - {"kinds", "errors", "_version"}


def test_each_module_has_a_test_file_of_its_name():
    """geoae/a/b.py is tested by tests/a/test_b.py, or stands on the list."""
    lacking = set()
    for path in MODULES:
        name = path.relative_to(PACKAGE)
        if path.name == "__init__.py" or (TESTS / name.parent / f"test_{name.name}").is_file():
            continue
        lacking.add(str(name))
    assert lacking == WITHOUT_A_TEST_FILE
