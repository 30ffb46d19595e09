"""What the card of a prior says of its data and scores."""

from pathlib import Path
from typing import Any

from geoae.priors.recipe import PriorRecipe
from geoae.training.card import Sections, digest_file, list_files


def describe_prior_sources(recipe: PriorRecipe, folder: Path) -> dict[str, Any]:
    """For a prior: the file of its models or image, with its digest."""
    file = (recipe.data.models or recipe.data.image).partition(":")[0]
    return {"files": {file: digest_file(folder / file)}}


def describe_prior_model(recipe: PriorRecipe, p: dict[str, Any]) -> Sections:
    """For a prior."""
    by = recipe.hold_out.by
    where = (
        f"blocks of {recipe.hold_out.block:g} along {' and '.join(by)}" if by
        else "the last columns of the image" if recipe.data.image else "runs of neighbouring models"
    )  # fmt: skip
    held_out = f"Not trained on, and what the score is of: {100 * recipe.hold_out.share:g} %, {where}."
    score = f"Error of held-out models below their variance: {p.get('validation_reconstruction_db')} dB "
    score += f"(step {p['step']}). `geoae.load_model(FOLDER).report()` says more."
    return [*list_files(p), ""], [held_out], score
