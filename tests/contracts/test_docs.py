"""The promise of the documents: what they say can be typed, and what they name is there."""

import re
import shutil
import subprocess
import tomllib
import warnings
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
from geoae.cli.main import app

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
        plain = re.sub(r"\$\(.*?\)", "", re.sub(r"'[^']*'", "", command))  # options of other programs stand in there
        for verb, rest in re.findall(r"\bgeoae (\w+)(.*)", plain):
            assert verb in VERBS
            assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)) <= options(verb), command


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
    """README, CONTRIBUTING and .ci/run say the same words."""
    printed = subprocess.run(["bash", str(ROOT / ".ci/run"), "--print"], capture_output=True, text=True, check=True)
    command = printed.stdout.strip()
    assert "\n" not in command
    assert all(tool in command for tool in (".[tests]", "ruff check .", "ruff format --check .", "mypy", "pytest"))
    assert command in commands(README)
    assert command in commands(CONTRIBUTING)


def test_first_screen_has_both_commands():
    """Within 25 lines: what it is, the command that shows it, the command that tests it."""
    first = "\n".join(README.splitlines()[:25])
    demo, tests = commands(first)
    assert demo.startswith("pip install . && geoae denoise ")
    assert tests.endswith("&& pytest")
    shipped = re.search(r"\)(/io/[^\"]+)\"", demo)
    assert shipped
    assert (Path(obspy.__file__).parent / shipped[1].lstrip("/")).is_file()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/benchmarks/README.md"])
def test_links_lead_somewhere(name):
    """Every link into the repository names a file that is there."""
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def test_the_plan_shows_every_room():
    """CONTRIBUTING names each module and dependency that there is, and no module that there is not."""
    plan = blocks(CONTRIBUTING, "")[0]
    house = plan[plan.index("geoae/") : plan.index("tests/")]
    named = set(re.findall(r"\b(\w+\.py)\b", house))
    there = {p.name for p in Path(geoae.__file__).parent.rglob("*.py") if p.name not in ("__init__.py", "_version.py")}
    assert named - {"__init__.py"} == there
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = CONTRIBUTING[CONTRIBUTING.index("| package | for |") :]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["tests"]]:
        assert re.match(r"[\w-]+", requirement)[0] in table, requirement


def test_the_version_is_in_the_changes():
    """CHANGELOG has an entry for this version."""
    assert f"\n## {geoae.__version__} - " in (ROOT / "CHANGELOG.md").read_text()


def test_batch_jobs_are_shell_and_name_real_options():
    """Each batch job parses, and hands geoae only options that it has."""
    for job in sorted((ROOT / "recipes/hpc").glob("*.sbatch")):
        subprocess.run(["bash", "-n", str(job)], check=True)
        called = re.findall(r"^[^#\n]*\bgeoae (denoise|train) (.*)", job.read_text().replace("\\\n", " "), re.MULTILINE)
        assert called
        for verb, rest in called:
            assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)) <= options(verb)


def test_catalog_has_a_licence_for_every_set():
    """Each entry of data_catalog.yml says under which licence its data come."""
    entries = yaml.safe_load((ROOT / "data_catalog.yml").read_text())
    entries.pop("meta")
    assert entries
    assert all(entry["metadata"]["licence"] for entry in entries.values())


def test_no_file_names_a_folder_of_somebodys_machine():
    """No absolute path of a home or work folder in anything that is kept."""
    private = re.compile(rb"(?<![\w.])/(?:home|Users|root|work|mnt)/\w")
    named = [p.relative_to(ROOT) for p in tracked() if private.search(p.read_bytes())]
    assert named == []
