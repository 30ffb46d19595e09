"""The card of a model and the description of its training data."""

from dataclasses import replace

import pytest

from geoae.errors import InputError
from geoae.jobs.cards import BEGIN, END, describe_sources, make_card, replace_scores
from tests.conftest import tiny_model, tiny_recipe


def test_a_card_has_all_sections(data):
    """Given scores replace the validation score; limits come from the recipe."""
    recipe, model = tiny_recipe(limits="Not for tsunamis."), tiny_model()
    facts = {"data": describe_sources(recipe, data), "command": "geoae train tiny.yml", "date": "2024-01-01",
             "torch": "2", "step": 8, "validation_si_sdr_improvement_db": 1.5}  # fmt: skip
    model.contract = replace(model.contract, provenance=facts)
    card = make_card(model, recipe, scores="| band | dB |")
    assert card.startswith(f"# {model.name}\n")
    titles = [line for line in card.splitlines() if line.startswith("## ")]
    assert titles == ["## Training data", "## Scores", "## Limits", "## How it was made"]
    assert "| band | dB |" in card
    assert "Not for tsunamis." in card
    assert f"`geoae train tiny.yml` on 2024-01-01, torch 2, weights {model.digest}." in card


def test_tables_replace_the_scores_of_a_card():
    """Only the section on scores changes; then the text around the tables stays, and later tables replace them."""
    card = "# name\n\n## Scores\n\nMedian 3 dB.\n\n## Limits\n\nNone.\n"
    first = replace_scores(card, "## `raw`\n\n| a |\n")
    assert first == (
        f"# name\n\n## Scores\n\nFrom `geoae evaluate`.\n\n{BEGIN}\n### `raw`\n\n| a |\n{END}\n\n## Limits\n\nNone.\n"
    )
    assert replace_scores(first, "## `raw`\n\n| a |\n") == first
    by_hand = first.replace("From `geoae evaluate`.", "By hand.").replace(END, f"{END}\n\nMore by hand.")
    assert replace_scores(by_hand, "| b |") == by_hand.replace("### `raw`\n\n| a |", "| b |")
    assert replace_scores("# name\n\n## Scores\n", "| a |").endswith(f"{BEGIN}\n| a |\n{END}\n")
    with pytest.raises(InputError, match='no section "## Scores"'):
        replace_scores("# name\n", "| a |")
