"""Old import paths lead to the new ones, and the warning names the line that uses them."""

import subprocess
import sys
from importlib import import_module

import pytest

from geoae.deprecated import paths


@pytest.mark.parametrize(
    ("statement", "warned"),
    [
        ("from geoae.invert.map import find_mode", ["geoae.invert.map", "geoae.invert.map.find_mode"]),
        ("import geoae.invert.map", ["geoae.invert.map"]),
        ("from geoae.invert import map", ["geoae.invert.map"]),
        ("from geoae.invert.forward import Forward", ["geoae.invert.forward.Forward"]),
        ("import geoae.latent.space", ["geoae.latent", "geoae.latent.space"]),
        ("from geoae.latent import space", ["geoae.latent", "geoae.latent.space"]),
        ("from geoae.latent.pca import pca_space", ["geoae.latent", "geoae.latent.pca", "geoae.latent.pca.pca_space"]),
        ("from geoae.plot import plot_denoised", ["geoae.plot.plot_denoised"]),
    ],
)
def test_the_warning_names_the_line_that_imports(statement, warned, tmp_path):
    """Each old module and each old name is reported, at the line of the user's script."""
    script = tmp_path / "script.py"
    script.write_text(f"{statement}\n")
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", script], capture_output=True, text=True, check=True
    )
    place = f"{script}:1: DeprecationWarning: "
    lines = [line.removeprefix(place) for line in done.stderr.splitlines() if line.startswith(place)]
    assert list(dict.fromkeys(line.partition(" is now ")[0] for line in lines)) == warned


def test_an_old_package_needs_no_entry_of_its_own(monkeypatch):
    """Python finds it because modules below it are in the table; only these warn."""
    monkeypatch.setattr(paths, "MOVED", {"geoae.former.part": "geoae.errors"})
    try:
        with pytest.warns(DeprecationWarning, match=r"^geoae\.former\.part is now geoae\.errors"):
            found = import_module("geoae.former.part")
        assert sys.modules["geoae.former"].part is found
        with pytest.warns(DeprecationWarning, match=r"^geoae\.former\.part\.InputError is now "):
            assert found.InputError is import_module("geoae.errors").InputError
        with pytest.raises(AttributeError, match=r"'geoae\.former' has no attribute 'nothing'"):
            _ = import_module("geoae.former").nothing
    finally:
        for name in ("geoae.former", "geoae.former.part"):
            sys.modules.pop(name, None)


def test_packages_that_replaced_a_module_keep_their_modules():
    """An unknown name is an AttributeError, so that `from package import module` imports the module."""
    for package in ("plot", "training", "cluster", "model", "api", "cli", "invert.chains"):
        with pytest.raises(AttributeError, match=rf"module 'geoae\.{package}' has no attribute 'nothing'"):
            _ = import_module(f"geoae.{package}").nothing


def test_unknown_paths_are_not_found():
    """A module that never existed is Python's own error."""
    with pytest.raises(ModuleNotFoundError, match=r"geoae\.invert\.nothing"):
        import_module("geoae.invert.nothing")


def test_install_adds_one_finder(monkeypatch):
    """However often it is called."""
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, paths.OldPaths)])
    for _ in range(2):
        paths.install()
    assert sum(isinstance(finder, paths.OldPaths) for finder in sys.meta_path) == 1
    assert isinstance(sys.meta_path[-1], paths.OldPaths)


@pytest.mark.parametrize(
    "name",
    ["geoae.plot.records.plot_denoised", "geoae.testing.readers.check_records_reader", "geoae.priors.pca.pca_space",
     "geoae.invert.load", "geoae.invert.forward.forward.Forward", "geoae.errors.InputError"],
)  # fmt: skip
def test_folders_and_their_modules_are_attributes(name, monkeypatch):
    """After `import geoae` alone, each loaded when it is first used."""
    import geoae

    for loaded in [module for module in sys.modules if module.startswith("geoae.")]:
        package, _, last = loaded.rpartition(".")
        if name.startswith(loaded) and hasattr(sys.modules[package], last):
            monkeypatch.delattr(sys.modules[package], last)
    found = geoae
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    assert callable(found)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = sys.modules[name.rpartition(".")[0]].nothing


def test_a_folder_costs_nothing_before_it_is_used():
    """`import geoae` loads no folder but that of old paths."""
    code = "import sys, geoae; print(sorted(name for name in sys.modules if name.count('.') == 1 and 'geoae' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['geoae._version', 'geoae.deprecated']"
