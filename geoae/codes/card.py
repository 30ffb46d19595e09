"""Describe the training data and the score of a model with codes, for its card."""

from pathlib import Path
from typing import Any

from geoae.codes.recipe import CodeRecipe
from geoae.fields.data import find_files
from geoae.readers.records.seisbench import open_set
from geoae.training.card import Sections, describe_data_set, describe_split, digest_files, list_data_sets, list_files


def describe_code_sources(recipe: CodeRecipe, folder: Path) -> dict[str, Any]:
    """Data sets of records, or files of fields, with their digests, for provenance."""
    if recipe.data.records:
        return {name: describe_data_set(open_set(folder / name)) for name in recipe.data.records}
    return digest_files(find_files(folder, recipe.data.files, recipe.data.exclude))


def describe_code_model(recipe: CodeRecipe, provenance: dict[str, Any]) -> Sections:
    """Lines about the training data, about what was held out, and about the score."""
    score = f"Mean over {recipe.draw.n_validation} windows of signal over error, whole codes: "
    score += f"{provenance.get('validation_reconstruction_db')} dB (step {provenance['step']})."
    if recipe.data.records:
        return list_data_sets(provenance.get("data", {})), [f"{describe_split(recipe.split)}."], score
    lines = list_files(provenance)
    lines += [f"- drawn fields: {100 * recipe.draw.drawn:g} % of the windows"] if recipe.draw.drawn else []
    excluded = "".join(f", {pattern}" for pattern in recipe.data.exclude)
    return [*lines, ""], [f"Not trained on: one slice in time of {recipe.split.modulus}{excluded}."], score
