"""Data sets by name: hydroMT's form, a root from the environment, and errors that list what there is."""

import pytest

from geoae import catalog
from geoae.errors import InputError, RecipeError, UnknownNameError

TEXT = """
meta: {{version: v1, roots: {roots}}}
quakes:
  data_type: SeismicSet
  uri: quakes
  driver: {driver}
  metadata: {{licence: CC BY 4.0}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(catalog.ENVIRONMENT, raising=False)
    (tmp_path / "store" / "quakes").mkdir(parents=True)


def write(tmp_path, roots="[$MY_DATA]", driver="{name: seisbench}", name=catalog.FILE):
    (tmp_path / name).write_text(TEXT.format(roots=roots, driver=driver))
    return tmp_path / name


@pytest.mark.parametrize("driver", ["{name: seisbench, options: {}}", "seisbench"])
def test_hydromts_form_is_read(tmp_path, driver):
    """meta with roots, entries with data_type, uri, driver (a name, or a name with options) and metadata."""
    found = catalog.load_catalog(write(tmp_path, "[store]", driver))
    assert found.root == tmp_path / "store"
    assert found.entries["quakes"].driver.name == "seisbench"
    assert found.entries["quakes"].metadata["licence"] == "CC BY 4.0"


def test_the_repositorys_catalog_is_one(request):
    """data_catalog.yml loads, and every entry states its licence."""
    found = catalog.load_catalog(request.config.rootpath / catalog.FILE)
    assert {"seismic", "stead", "instance"} <= set(found.entries)
    assert all(entry.metadata["licence"] for entry in found.entries.values())


def test_a_name_counts_from_the_root_in_the_environment(tmp_path, monkeypatch):
    """$MY_DATA in `roots` is the folder that holds the data."""
    write(tmp_path)
    monkeypatch.setenv("MY_DATA", str(tmp_path / "store"))
    assert catalog.locate("quakes") == tmp_path / "store" / "quakes"


@pytest.mark.parametrize("roots", ["[store]", "store", "[./store, elsewhere]"])
def test_a_relative_root_counts_from_the_catalog(tmp_path, monkeypatch, roots):
    """Wherever it is used from, GEOAE_CATALOG's roots are relative to its file."""
    monkeypatch.setenv(catalog.ENVIRONMENT, str(write(tmp_path, roots, name="mine.yml")))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert catalog.locate("quakes") == tmp_path / "store" / "quakes"


def test_a_path_needs_no_catalog(tmp_path):
    """What is there is taken as it is, even beside a broken catalog."""
    (tmp_path / catalog.FILE).write_text("[")
    assert catalog.locate("store").samefile(tmp_path / "store")


def test_an_unknown_name_lists_the_names(tmp_path):
    """The message has all names, and the file they are from."""
    write(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no data set 'quaks'.*quakes.*data_catalog\.yml"):
        catalog.locate("quaks")


def test_without_a_catalog_the_message_says_so():
    """A name without a catalog is refused with the file that is missing."""
    with pytest.raises(UnknownNameError, match=r"there is no data_catalog\.yml here"):
        catalog.locate("quakes")


def test_an_entry_whose_path_is_missing_is_named(tmp_path, monkeypatch):
    """The path is told; where an environment variable is not set, that is what to do."""
    write(tmp_path)
    monkeypatch.delenv("MY_DATA", raising=False)
    with pytest.raises(InputError, match=r"Set the environment variable MY_DATA"):
        catalog.locate("quakes")
    monkeypatch.setenv("MY_DATA", str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"other/quakes, which is not there\. Correct its uri"):
        catalog.locate("quakes")


def test_a_named_catalog_that_is_missing_is_refused(monkeypatch):
    """GEOAE_CATALOG pointing nowhere is an error, not silence."""
    monkeypatch.setenv(catalog.ENVIRONMENT, "nowhere.yml")
    with pytest.raises(RecipeError, match=r"GEOAE_CATALOG names nowhere\.yml"):
        catalog.locate("quakes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quakes: {uri: x, data_type: y}", "quakes.driver: field required"),
        ("quakes: {uri: x, data_type: y, driver: z, colour: red}", "quakes.colour: extra"),
        ("quakes: 3", "quakes: input should be"),
        ("[1, 2]", "cannot be read as a data catalog"),
        ("quakes: [", "cannot be read as a data catalog"),
    ],
)
def test_a_broken_catalog_is_one_line(tmp_path, text, said):
    """Missing and unknown keys are named by entry; other content is no catalog."""
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(RecipeError, match=r"^[^\n]*$") as caught:
        catalog.load_catalog(tmp_path / "c.yml")
    assert said in str(caught.value)
