"""Recipes are data: a typo, a wrong type or a missing file is one line that names the key."""

import pytest
import yaml

from geoae.errors import RecipeError
from geoae.records.recipe import RecordRecipe
from geoae.training.recipe import load_recipe
from tests.conftest import tiny_recipe


def write(path, **changes):
    plan = tiny_recipe().model_dump(mode="json")
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = plan
        for section in sections:
            place = place[section]
        place[last] = value
    path.write_text(yaml.safe_dump(plan))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimize__learning_rat": 1e-3}, "optimize.learning_rat: extra inputs are not permitted"),
        ({"colour": "red"}, "colour: extra"),
        ({"optimize__steps": "many"}, "optimize.steps: input should be a valid integer"),
        ({"optimize__batch": 0}, "optimize.batch: input should be greater than 0"),
        ({"optimize__optimizer": "sgd"}, "optimize.optimizer: input should be 'adamw' or 'muon'"),
        ({"optimize__onset_weight": -1}, "optimize.onset_weight: input should be greater than or equal to 0"),
        ({"mix__distant": -0.1}, "mix.distant: input should be greater than or equal to 0"),
        ({"mix__gaps": 1.5}, "mix.gaps: input should be less than or equal to 1"),
        ({"split__remainder": 4}, "remainder 4 must be below modulus 4"),
        ({"net__config": [1, 2]}, "net.config: input should be a valid dictionary"),
    ],
)
def test_a_fault_is_named_in_one_line(tmp_path, change, said):
    """The message names the path of unknown keys, wrong types and impossible values."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path / "r.yml", **change))
    assert said in str(caught.value)
    assert str(caught.value).startswith("r.yml is no recipe: ")
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once(tmp_path):
    """One message names both typos."""
    with pytest.raises(RecipeError, match=r"optimize\.bacth.*mix\.gpas"):
        load_recipe(write(tmp_path / "r.yml", mix__gpas=0.1, optimize__bacth=4))


def test_a_missing_key_is_named(tmp_path):
    """A setting without a default is required."""
    (tmp_path / "r.yml").write_text("name: x\nsummary: y\n")
    with pytest.raises(RecipeError, match=r"net: field required.*optimize: field required.*window: field required"):
        load_recipe(tmp_path / "r.yml")


def test_a_missing_file_is_named(tmp_path):
    """The path is in the message."""
    with pytest.raises(RecipeError, match=r"There is no recipe .*nowhere\.yml"):
        load_recipe(tmp_path / "nowhere.yml")


@pytest.mark.parametrize("text", ["name: [unclosed", "a: b: c", "!!python/object/apply:os.system ['true']", "\x00"])
def test_broken_yaml_is_refused_in_one_line(tmp_path, text):
    """Also YAML that would run code."""
    (tmp_path / "r.yml").write_text(text)
    with pytest.raises(RecipeError, match="cannot be read as YAML") as caught:
        load_recipe(tmp_path / "r.yml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"just words", b"[1, 2]", b"\xff\xfe\x00bad"])
def test_other_content_is_refused_in_one_line(tmp_path, content):
    """An empty file, a list, plain words and binary data are not recipes."""
    (tmp_path / "r.yml").write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yml")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_recipe(tmp_path):
    """A folder instead of a file is refused."""
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)


def test_a_recipe_survives_json():
    """The JSON that checkpoints and model cards store gives the same recipe."""
    recipe = tiny_recipe(mix={"gaps": 0.5})
    assert RecordRecipe.model_validate_json(recipe.model_dump_json()) == recipe
