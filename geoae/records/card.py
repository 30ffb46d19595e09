"""What the card of a denoiser of records says of its data and scores."""

from pathlib import Path
from typing import Any

from geoae.readers.records.seisbench import open_set
from geoae.records.recipe import RecordRecipe
from geoae.training.card import Sections, describe_data_set, describe_split, list_data_sets


def describe_record_sources(recipe: RecordRecipe, folder: Path) -> dict[str, Any]:
    """For a denoiser of records: what is to be said of its events and its noise."""
    return {side: describe_data_set(open_set(folder / side)) for side in ("events", "noise")}


def describe_record_model(recipe: RecordRecipe, p: dict[str, Any]) -> Sections:
    """For a denoiser of records."""
    split = recipe.split
    return list_data_sets(p.get("data", {})), [f"{describe_split(split)}; scores are theirs."], (
        f"Median SI-SDR improvement on {split.n_windows} validation mixtures at -10 to 15 dB: "
        f"{p['validation_si_sdr_improvement_db']} dB (step {p['step']})."
    )  # fmt: skip
