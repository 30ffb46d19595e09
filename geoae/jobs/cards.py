"""The card of a model: purpose, training data, scores and limits.

For each kind of model, `geoae.kinds` names two functions: one describes the data of a recipe for the model's
provenance, the other turns recipe and provenance into the sections of the card.
"""

from pathlib import Path
from typing import Any

from geoae import kinds
from geoae.errors import InputError
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


def replace_scores(card: str, tables: str) -> str:
    """Replace the text of the section on scores of a card by the tables of `geoae evaluate`.

    Raises
    ------
    InputError
        The card has no section "## Scores".
    """
    before, heading, rest = card.partition("\n## Scores\n")
    if not heading:
        raise InputError('The card has no section "## Scores"; add that line where the scores belong.')
    _, next_heading, after = rest.partition("\n## ")
    # the tables' headings are one level below that of the section
    lowered = "\n".join(f"#{line}" if line.startswith("#") else line for line in tables.strip().splitlines())
    return f"{before}{heading}\nFrom `geoae evaluate`.\n\n{lowered}\n{next_heading}{after}"
