"""Tests of geoae.files.yaml_files."""

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from geoae.errors import RecipeError
from geoae.files.yaml_files import read_yaml, validate_yaml


class Window(BaseModel):
    """A small class of settings."""

    model_config = ConfigDict(extra="forbid")
    length_s: float
    overlap: float = 0.5

    @field_validator("overlap")
    @classmethod
    def _below_one(cls, value: float) -> float:
        if value >= 1:
            raise ValueError("Expected less than 1")
        return value


def test_content_is_read(tmp_path):
    """Numbers, lists and mappings come as Python objects; an empty file is None."""
    path = tmp_path / "x.yml"
    path.write_text("a: [1, 2.5]\nb: {c: text}\n")
    assert read_yaml(path, "recipe") == {"a": [1, 2.5], "b": {"c": "text"}}
    path.write_text("")
    assert read_yaml(path, "recipe") is None


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"a: !!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_yaml_is_one_line(tmp_path, content):
    """Broken syntax, broken text and tags that would run code are refused."""
    (tmp_path / "x.yml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"^[^\n]*x\.yml cannot be read as YAML, so it is no recipe[^\n]*$"):
        read_yaml(tmp_path / "x.yml", "recipe")


def test_missing_files_and_folders_are_named(tmp_path):
    """The message has the kind of file that was expected."""
    with pytest.raises(RecipeError, match=r"There is no recipe .*x\.yml"):
        read_yaml(tmp_path / "x.yml", "recipe")
    with pytest.raises(RecipeError, match="Is a directory"):
        read_yaml(tmp_path, "recipe")


def test_valid_settings_are_returned(tmp_path):
    """As an object of the class, with its defaults."""
    assert validate_yaml(Window, {"length_s": 30}, tmp_path / "x.yml", "recipe") == Window(length_s=30.0)


def test_all_faults_are_named_in_one_line(tmp_path):
    """Each with its key; a wrong value is repeated unless the message has it."""
    data = {"length_s": "long", "overlap": 2.0, "colour": "red"}
    with pytest.raises(RecipeError) as caught:
        validate_yaml(Window, data, tmp_path / "x.yml", "recipe")
    text = str(caught.value)
    assert text.startswith("x.yml is no recipe: ")
    assert "\n" not in text
    for part in (
        "length_s: input should be a valid number",
        "not 'long'",
        "overlap: expected less than 1",
        "colour: extra",
    ):
        assert part in text
    assert "red" not in text
    with pytest.raises(RecipeError, match="length_s: field required"):
        validate_yaml(Window, {}, tmp_path / "x.yml", "recipe")


def test_outer_keys_that_are_not_in_the_file_are_left_out(tmp_path):
    """A class around the content of the file does not show in the message."""

    class File(BaseModel):
        window: Window

    with pytest.raises(RecipeError, match=r"no recipe: length_s: field required"):
        validate_yaml(File, {"window": {}}, tmp_path / "x.yml", "recipe", 1)
