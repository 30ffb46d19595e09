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

BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"
"""Lines of a card between which the tables of `geoae evaluate` stand."""


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
    """Put the tables of `geoae evaluate` into the section on scores of a card.

    They replace what stands between the lines ``<!-- scores: begin -->`` and ``<!-- scores: end -->``. A card without
    these lines gets them, and the tables, in place of the whole section.

    Raises
    ------
    InputError
        The card has no section "## Scores".
    """
    before, heading, rest = card.partition("\n## Scores\n")
    if not heading:
        raise InputError('The card has no section "## Scores"; add that line where the scores belong.')
    section, next_heading, after = rest.partition("\n## ")
    # the tables' headings are one level below that of the section
    lowered = "\n".join(f"#{line}" if line.startswith("#") else line for line in tables.strip().splitlines())
    above, begin, marked = section.partition(BEGIN)
    _, end, below = marked.partition(END)
    above, below = (above, below) if begin and end else ("\nFrom `geoae evaluate`.\n\n", "\n")
    return f"{before}{heading}{above}{BEGIN}\n{lowered}\n{END}{below}{next_heading}{after}"
