"""What the card of a model with codes says of its data and scores."""

from pathlib import Path
from typing import Any

from geoae.codes.recipe import CodeRecipe
from geoae.fields.data import find_files
from geoae.readers.records.seisbench import open_set
from geoae.training.card import Sections, describe_data_set, describe_split, digest_files, list_data_sets, list_files


def describe_code_sources(recipe: CodeRecipe, folder: Path) -> dict[str, Any]:
    """For a model with codes: its sets of records, or its files with their digests."""
    if recipe.data.records:
        return {name: describe_data_set(open_set(folder / name)) for name in recipe.data.records}
    return digest_files(find_files(folder, recipe.data.files, recipe.data.exclude))


def describe_code_model(recipe: CodeRecipe, p: dict[str, Any]) -> Sections:
    """For a model with codes."""
    score = f"Mean over {recipe.draw.n_validation} windows of signal over error, whole codes: "
    score += f"{p.get('validation_reconstruction_db')} dB (step {p['step']})."
    if recipe.data.records:
        return list_data_sets(p.get("data", {})), [f"{describe_split(recipe.split)}."], score
    lines = list_files(p)
    lines += [f"- drawn fields: {100 * recipe.draw.drawn:g} % of the windows"] if recipe.draw.drawn else []
    excluded = "".join(f", {e}" for e in recipe.data.exclude)
    return [*lines, ""], [f"Not trained on: one slice in time of {recipe.split.modulus}{excluded}."], score
