"""The promise of the documents: their commands run, and what they name exists."""

import functools
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import matplotlib
import numpy as np
import obspy
import pandas as pd
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

import geoae
from geoae.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
VERBS = ("denoise", "encode", "decode", "info", "models", "status", "train", "evaluate")
# what the README calls day.mseed: 30 s of three components that ObsPy ships
DAY = "io/mseed/tests/data/fullseed.mseed"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Every line of a shell block, comments cut off."""
    lines = "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"\s#.*$", "", line).strip())]


def options(verb: str) -> set[str]:
    shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", shown))


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "tests/benchmarks/README.md"])
def test_every_option_that_a_command_names_exists(name):
    """`geoae VERB --option` in a document is an option that `geoae VERB --help` lists."""
    for command in commands((ROOT / name).read_text()):
        plain = re.sub(r"\$\(.*?\)", "", re.sub(r"'[^']*'", "", command))  # those may hold options of other programs
        for verb, rest in re.findall(r"\bgeoae (\w+)(.*)", plain):
            assert verb in VERBS
            assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)) <= options(verb), command


def test_the_verbs_are_those_of_the_command_line():
    """The tests of this module check every verb that geoae has."""
    assert {command.callback.__name__ for command in app.registered_commands} == set(VERBS)


def test_every_option_in_the_text_exists():
    """`--option` in a sentence of the README is one that some verb lists."""
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    named = set(re.findall(r"`(--[\w-]+|-[a-z])\b", prose))
    assert named
    assert named <= set().union(*(options(verb) for verb in VERBS))


@pytest.mark.filterwarnings("ignore:.*FigureCanvasAgg is non-interactive")
def test_python_snippets_run(tmp_path, monkeypatch):
    """The README's Python runs from top to bottom, on recordings that ObsPy ships and a field that is made here."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    day = obspy.read(str(Path(obspy.__file__).parent / DAY))
    for trace, component in zip(day, "ENZ", strict=True):
        trace.stats.channel = f"HH{component}"
    day.write(str(tmp_path / "day.mseed"), format="MSEED")
    sst = 290 + np.random.default_rng(0).normal(size=(12, 16, 24)).astype("float32")
    coords = {
        "time": pd.date_range("2026-01-01", periods=12),
        "lat": np.linspace(-60, 60, 16),
        "lon": np.arange(24) * 15.0,
    }
    xr.DataArray(sst, coords, ("time", "lat", "lon"), "sst", {"units": "K"}).to_netcdf(tmp_path / "sst.nc")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in blocks(README, "python"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="obspy")
            exec(compile(snippet, "README.md", "exec"), names)
    pyplot.close("all")
    assert isinstance(names["signal"], type(names["x"]))


def test_ci_runs_the_command_of_the_documents():
    """README, CONTRIBUTING and .ci/run have the same test command."""
    printed = subprocess.run(["bash", str(ROOT / ".ci/run"), "--print"], capture_output=True, text=True, check=True)
    command = printed.stdout.strip()
    assert "\n" not in command
    assert all(
        tool in command
        for tool in (".[tests]", "ruff check .", "ruff format --check .", "mypy", "lint-imports", "pytest")
    )
    assert command in commands(README)
    assert command in commands(CONTRIBUTING)


def test_first_screen_has_both_commands():
    """The first 25 lines hold a command that denoises a shipped recording, and the test command."""
    first = "\n".join(README.splitlines()[:25])
    demo, tests = commands(first)
    assert demo.startswith("pip install . && geoae denoise ")
    assert tests.endswith("&& pytest")
    shipped = re.search(r"\)(/io/[^\"]+)\"", demo)
    assert shipped
    assert (Path(obspy.__file__).parent / shipped[1].lstrip("/")).is_file()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/benchmarks/README.md"])
def test_links_lead_to_files(name):
    """Every link into the repository names a file that exists."""
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def plan_of_the_house() -> list[tuple[int, str]]:
    """Depth and name of each line of the plan's tree, folders with a slash; several modules may share a line."""
    tree = next(block for block in blocks(CONTRIBUTING, "") if block.startswith("geoae/\n"))
    lines = [re.match(r"( *)((?:[\w./]+, )*[\w./]+)", line) for line in tree.splitlines()]
    return [(len(found[1]) // 2, name) for found in lines for name in found[2].split(", ")]


def paths_of_the_plan() -> set[str]:
    """Paths below the root that the tree names, folders with a slash."""
    parents: list[str] = []
    found = set()
    for depth, name in plan_of_the_house():
        parents[depth:] = [name] if name.endswith("/") else []
        found.add("".join(parents[:depth]) + name)
    return found


def test_the_plan_shows_every_folder():
    """CONTRIBUTING names each folder of the package and each module at its root, and nothing that is not there."""
    package = Path(geoae.__file__).parent
    named = paths_of_the_plan()
    assert not [name for name in named if not (ROOT / name).exists()]
    folders = {p.parent for pattern in ("*.py", "*.md") for p in package.rglob(pattern)}
    shown = {f for f in folders if f.parent.name != "weights"}  # one folder a model, and no code
    assert {name for name in named if name.endswith("/")} == {f"{f.relative_to(ROOT)}/" for f in shown} | {
        "geoae/weights/"
    }
    assert {f"geoae/{p.name}" for p in package.glob("*.py")} <= named


def test_every_dependency_has_its_reason():
    """CONTRIBUTING says why each dependency is there, and why those with an upper bound have one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = CONTRIBUTING[CONTRIBUTING.index("| package | for |") :]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["tests"]]:
        assert re.match(r"[\w-]+", requirement)[0] in table, requirement
    bounds = table[table.index("| package | reason |") :].partition("\n\n")[0].splitlines()[2:]
    bounded = {re.match(r"[\w-]+", r)[0] for r in project["dependencies"] if "<" in r}
    assert {row.split("|")[1].strip() for row in bounds} == bounded


def quoted() -> list[str]:
    """What stands between backticks in a sentence of the documents, recipes, notebooks and cards."""
    patterns = ("*.md", "*.yml", "recipes/**/*.*", "notebooks/*.ipynb", "geoae/weights/*/card.md", "tests/**/*.md")
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    text = "\n".join(re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL) for path in paths)
    return re.findall(r"`([^`\n]+)`", text)


def resolve(dotted: str) -> object:
    """What a dotted name stands for: a module, or an attribute of one; a deprecated name raises its warning."""
    names = dotted.split(".")
    for n in range(len(names), 0, -1):
        try:
            found = import_module(".".join(names[:n]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, names[n:], found)
    raise ModuleNotFoundError(dotted)


def test_every_name_in_the_documents_exists():
    """`geoae.name` in backticks is a module or name of the package, and no deprecated one."""
    named = {name for text in quoted() for name in re.findall(r"\bgeoae(?:\.[a-zA-Z_]\w*)+", text)}
    assert "geoae.testing" in named
    for name in sorted(named):
        resolve(name)


def test_a_missing_name_is_detected(monkeypatch):
    """A missing module, a missing attribute and a deprecated module all raise."""
    monkeypatch.delitem(sys.modules, "geoae.invert.map", raising=False)  # warns when it is imported first
    for name, error in (("geoae.nothing.there", AttributeError), ("geoae.readers.nothing", AttributeError),
                        ("geoae.invert.map", DeprecationWarning)):  # fmt: skip
        with pytest.raises(error):
            resolve(name)


def test_every_path_in_the_documents_exists():
    """`folder/file` in backticks is a path of the repository; capitals stand for a name to choose."""
    starts = re.compile(r"(?:^|\s)((?:geoae|tests|recipes|notebooks)/[\w./-]*)")
    named = {path for text in quoted() for path in starts.findall(text) if not re.search(r"[A-Z]{3}", path)}
    assert "geoae/kinds.py" in named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_citation_is_of_this_version():
    """CITATION.cff has what the Citation File Format 1.2 asks for, the version and the licence of the package."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == geoae.__version__
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]


def test_the_version_is_in_the_changes():
    """CHANGELOG has an entry for this version."""
    assert f"\n## {geoae.__version__} - " in (ROOT / "CHANGELOG.md").read_text()


def test_batch_jobs_are_shell_and_name_real_options():
    """Each batch job parses as shell, and uses only options that geoae has."""
    for job in sorted((ROOT / "recipes/hpc").glob("*.sbatch")):
        subprocess.run(["bash", "-n", str(job)], check=True)
        called = re.findall(r"^[^#\n]*\bgeoae (denoise|train) (.*)", job.read_text().replace("\\\n", " "), re.MULTILINE)
        assert called
        for verb, rest in called:
            assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)) <= options(verb)


def test_catalog_has_a_licence_for_every_set():
    """Each entry of data_catalog.yml states the licence of its data."""
    entries = yaml.safe_load((ROOT / "data_catalog.yml").read_text())
    entries.pop("meta")
    assert entries
    assert all(entry["metadata"]["licence"] for entry in entries.values())


def test_no_file_names_a_private_folder():
    """No tracked file holds the absolute path of a home or work folder."""
    private = re.compile(rb"(?<![\w.])/(?:home|Users|root|work|mnt)/\w")
    named = [p.relative_to(ROOT) for p in tracked() if private.search(p.read_bytes())]
    assert named == []
