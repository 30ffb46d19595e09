"""The card of a model: purpose, training data, scores and limits.

For each kind of model, `geoae.kinds` names two functions: one describes the data of a recipe for the model's
provenance, the other turns recipe and provenance into the sections of the card.
"""

from pathlib import Path
from typing import Any

from geoae import kinds
from geoae.model import Model
from geoae.training.card import Sections
from geoae.training.recipe import AnyRecipe, find_recipe_kind


def describe_sources(recipe: AnyRecipe, folder: Path) -> dict[str, Any]:
    """Digest, size, sources and licences of a recipe's training data, for the model's provenance."""
    found: dict[str, Any] = kinds.load_name(find_recipe_kind(recipe).sources)(recipe, folder)
    return found


def make_card(trained: Model, recipe: AnyRecipe, scores: str = "") -> str:
    """The card of a model as Markdown; `scores` replaces the line about the validation score."""
    p = trained.contract.provenance
    sections: Sections = kinds.load_name(find_recipe_kind(recipe).card)(recipe, p)
    data, held_out, score = sections
    lines = [
        f"# {trained.name}", "", trained.contract.summary, "", "## Training data", "", *data, *held_out, "",
        "## Scores", "", scores or score, "", "## Limits", "", recipe.limits or "None stated in the recipe.",
        "", "## How it was made", "", f"`{p.get('command', '')}` on {p['date']}, torch {p['torch']}, "
        f"weights {trained.digest}.", "",
    ]  # fmt: skip
    return "\n".join(lines)
