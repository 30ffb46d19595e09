"""Recipes of fields: contradictions are refused, and the message names the key."""

import pytest
import yaml

from geoae.errors import RecipeError
from geoae.fields.recipe import FieldRecipe
from geoae.training.recipe import load_recipe
from tests.support.field_training import WIDE, recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [({"data": {}}, "name files, or draw"), ({"window": {"length": 32, "stride": 40}}, "stride 40"),
     ({"mix": {"noise_level": [2, 1]}}, "low to high"), ({"window": {"length": 30, "stride": 8}}, "multiples of 8"),
     ({"window": {"length": 64, "stride": 32, "train_length": 32}}, "windows of one size"),
     ({"mix": {"wide": 0.5}}, "mix.wide needs window.overview"), ({"window": {**WIDE, "overview": -1}}, "overview"),
     ({"mix": {"target": "what"}}, "members"), ({"kind": "grid"}, "kind is 'grid'")],
)  # fmt: skip
def test_invalid_recipes_are_refused(change, words, tmp_path):
    """The message names the key."""
    facts = {**recipe("clean").model_dump(mode="json"), **change}
    (tmp_path / "r.yml").write_text(yaml.safe_dump(facts))
    with pytest.raises(RecipeError, match=words):
        load_recipe(tmp_path / "r.yml")


def test_a_recipe_survives_json():
    """Model files and checkpoints store recipes as JSON."""
    plan = recipe("members", units="K", dims=("lat", "lon"))
    assert FieldRecipe.model_validate_json(plan.model_dump_json()) == plan
