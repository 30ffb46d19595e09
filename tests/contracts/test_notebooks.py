"""The promise of the notebooks: they run from top to bottom without a warning, and are stored without output."""

import ast
import json
import re
from pathlib import Path

import pytest

import geoae

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PUBLIC_MODULES = {"geoae", "geoae.plot.records"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_without_output(path):
    """No output and no execution count are stored, so a difference in git is a difference in text or code."""
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_public_names_only(path):
    """A notebook imports only public modules and uses only public names, as a user would."""
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", code, flags=re.MULTILINE))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geoae"):
            assert node.module in PUBLIC_MODULES
            assert not any(name.name.startswith("_") for name in node.names)
        elif isinstance(node, ast.Import):
            assert {n.name for n in node.names if n.name.startswith("geoae")} <= PUBLIC_MODULES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "geoae":
            assert node.attr in geoae.__all__


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:(jupyter|nbclient|zmq|tornado|traitlets)")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs_without_a_warning(path, tmp_path, monkeypatch):
    """Every cell runs, nothing is written to stderr, and at least one figure is drawn."""
    nbformat, nbclient = (pytest.importorskip(name, reason="pip install .[tests]") for name in ("nbformat", "nbclient"))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(Path(geoae.__file__).parents[1]))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    assert any("image/png" in o.get("data", {}) for o in outputs)
