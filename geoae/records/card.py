"""Sections of the model card of a denoiser of records: its data and its scores."""

from pathlib import Path
from typing import Any

from geoae.readers.records.seisbench import open_set
from geoae.records.contract import CALIBRATION
from geoae.records.recipe import RecordRecipe
from geoae.training.card import Sections, describe_data_set, describe_split, list_data_sets


def describe_record_sources(recipe: RecordRecipe, folder: Path) -> dict[str, Any]:
    """Describe the data sets of events and of noise, for the provenance in model.json."""
    return {side: describe_data_set(open_set(folder / side)) for side in ("events", "noise")}


def describe_record_model(recipe: RecordRecipe, p: dict[str, Any]) -> Sections:
    """Sections on data, held-out stations and score, from the provenance `p`."""
    split, calibrated = recipe.split, p.get(CALIBRATION)
    sigma = (
        "Sigma is not calibrated."
        if calibrated is None
        else (
            f"Sigma is calibrated on {calibrated['mixtures']} mixtures of {calibrated['stations']} of these stations."
        )
    )
    return list_data_sets(p.get("data", {})), [f"{describe_split(split)}; scores are theirs."], (
        f"Median SI-SDR improvement on {split.n_windows} validation mixtures at -10 to 15 dB: "
        f"{p['validation_si_sdr_improvement_db']} dB (step {p['step']}). This alone does not say whether triggers, "
        "onsets and amplitudes get better: `geoae evaluate --model MODELDIR --data DIR --card` puts their tables here. "
        f"{sigma}"
    )  # fmt: skip
