"""Sections of the model card of a denoiser of fields: its data and its scores."""

from pathlib import Path
from typing import Any

from geoae.fields.data import find_files
from geoae.fields.recipe import FieldRecipe
from geoae.training.card import Sections, digest_files, list_files


def describe_field_sources(recipe: FieldRecipe, folder: Path) -> dict[str, Any]:
    """List the training files with their digests, for the provenance in model.json; empty if all fields are drawn."""
    data = recipe.data
    if not data.files:
        return {}
    found = [*find_files(folder, data.files, (*data.exclude, *data.validation, *data.noise))]
    found += find_files(folder, data.noise) if data.noise else []
    return digest_files(found)


def describe_field_model(recipe: FieldRecipe, p: dict[str, Any]) -> Sections:
    """Sections on data, held-out files and score, from the provenance `p`."""
    lines = list_files(p)
    if recipe.mix.drawn:
        lines.append(f"- drawn fields: {100 * recipe.mix.drawn:g} % of the training windows")
    named = recipe.data.validation
    held_out = (
        f"Not trained on, and what the score is of: {', '.join(named)}."
        if named
        else "The score is of other draws of the same data."
    )
    metric = next((k for k in p if k.startswith("validation_")), "")
    words = metric.removeprefix("validation_").removesuffix("_db").replace("_", " ")
    return [*lines, ""], [held_out], f"Median over validation windows, {words}: {p.get(metric)} dB (step {p['step']})."
