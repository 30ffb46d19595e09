"""Describe the training data and the score of a prior, for its card."""

from pathlib import Path
from typing import Any

from geoae.priors.recipe import PriorRecipe
from geoae.training.card import Sections, digest_file, list_files


def describe_prior_sources(recipe: PriorRecipe, folder: Path) -> dict[str, Any]:
    """The file of models or the image, with its digest, for provenance."""
    file = (recipe.data.models or recipe.data.image).partition(":")[0]
    return {"files": {file: digest_file(folder / file)}}


def describe_prior_model(recipe: PriorRecipe, provenance: dict[str, Any]) -> Sections:
    """Lines about the training data, about what was held out, and about the score."""
    names = recipe.hold_out.by
    groups = (
        f"blocks of {recipe.hold_out.block:g} along {' and '.join(names)}" if names
        else "the last columns of the image" if recipe.data.image else "runs of neighbouring models"
    )  # fmt: skip
    held_out = f"Not trained on, and what the score is of: {100 * recipe.hold_out.share:g} %, {groups}."
    score = f"Error of held-out models below their variance: {provenance.get('validation_reconstruction_db')} dB "
    score += f"(step {provenance['step']}). `geoae.load_model(FOLDER).report()` says more."
    return [*list_files(provenance), ""], [held_out], score
