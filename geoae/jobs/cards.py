"""The card of a model: what it is for, what it was trained on, how it scored, what it is not for."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from geoae.field_data import find_files
from geoae.model import Model
from geoae.readers.seisbench import SeisBenchSet, open_set
from geoae.recipe import AnyRecipe, Recipe
from geoae.recipe_codes import CodeRecipe
from geoae.recipe_fields import FieldRecipe
from geoae.recipe_priors import PriorRecipe


def sources(recipe: AnyRecipe, folder: Path) -> dict[str, Any]:
    """Digest, size, sources and licences of what a recipe trains on, for the model's provenance."""
    if isinstance(recipe, Recipe):
        return {side: describe(open_set(folder / side)) for side in ("events", "noise")}
    if isinstance(recipe, CodeRecipe) and recipe.data.records:
        return {name: describe(open_set(folder / name)) for name in recipe.data.records}
    if isinstance(recipe, CodeRecipe):
        found = [*find_files(folder, recipe.data.files, recipe.data.exclude)]
        return {"files": {p.name: _digest(p) for p in found}}
    if isinstance(recipe, FieldRecipe) and recipe.data.files:
        held_out = (*recipe.data.exclude, *recipe.data.validation, *recipe.data.noise)
        found = [*find_files(folder, recipe.data.files, held_out)]
        found += find_files(folder, recipe.data.noise) if recipe.data.noise else []
        return {"files": {p.name: _digest(p) for p in found}}
    if isinstance(recipe, PriorRecipe):
        file = (recipe.data.models or recipe.data.image).partition(":")[0]
        return {"files": {file: _digest(folder / file)}}
    return {}


def describe(data: SeisBenchSet) -> dict[str, Any]:
    """Digest, size, sources and licences of a data set in the SeisBench form."""
    table = b"".join(p.read_bytes() for p in sorted(data.folder.glob("metadata*.csv")))
    licences = Counter(row.get("licence") or row.get("license") or "not stated" for row in data.rows)
    return {
        "metadata_sha256": hashlib.sha256(table).hexdigest(),
        "records": len(data),
        "stations": len({data.station(i) for i in range(len(data))}),
        "licences": dict(licences.most_common()),
    }


def card(trained: Model, recipe: AnyRecipe, scores: str = "") -> str:
    """The card of a model, in Markdown."""
    p = trained.contract.provenance
    told = {Recipe: _of_records, CodeRecipe: _of_codes, PriorRecipe: _of_priors}.get(type(recipe), _of_fields)
    data, held_out, scored = told(recipe, p)
    lines = [
        f"# {trained.name}", "", trained.contract.summary, "", "## Training data", "", *data, *held_out, "",
        "## Scores", "", scores or scored, "", "## Limits", "", recipe.limits or "None stated in the recipe.",
        "", "## How it was made", "", f"`{p.get('command', '')}` on {p['date']}, torch {p['torch']}, "
        f"weights {trained.digest}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _of_sets(sets: dict[str, Any]) -> list[str]:
    lines = []
    for side, facts in sets.items():
        lines += [f"{facts['records']} {side} records from {facts['stations']} stations "
                  f"(metadata SHA-256 {facts['metadata_sha256'][:12]}). Licences and sources:", ""]  # fmt: skip
        lines += [f"- {n} records: {licence}" for licence, n in facts["licences"].items()]
        lines += [""]
    return lines


def _of_records(recipe: Any, p: dict[str, Any]) -> tuple[list[str], list[str], str]:
    lines = _of_sets(p.get("data", {}))
    split = recipe.split
    held_out = (
        f"Stations with crc32(NET.STA) % {split.modulus} == {split.remainder} were not trained on; scores are theirs."
    )
    return lines, [held_out], (
        f"Median SI-SDR improvement on {split.n_windows} validation mixtures at -10 to 15 dB: "
        f"{p['validation_si_sdr_improvement_db']} dB (step {p['step']})."
    )  # fmt: skip


def _of_codes(recipe: Any, p: dict[str, Any]) -> tuple[list[str], list[str], str]:
    split, data = recipe.split, p.get("data", {})
    scored = f"Mean over {recipe.draw.n_validation} windows of signal over error, whole codes: "
    scored += f"{p.get('validation_reconstruction_db')} dB (step {p['step']})."
    if recipe.data.records:
        held_out = f"Stations with crc32(NET.STA) % {split.modulus} == {split.remainder} were not trained on."
        return _of_sets(data), [held_out], scored
    lines = [f"- {name} (SHA-256 {sha[:12]})" for name, sha in data.get("files", {}).items()]
    lines += [f"- drawn fields: {100 * recipe.draw.drawn:g} % of the windows"] if recipe.draw.drawn else []
    held_out = f"Not trained on: one slice in time of {split.modulus}" + "".join(f", {e}" for e in recipe.data.exclude)
    return [*lines, ""], [f"{held_out}."], scored


def _of_fields(recipe: Any, p: dict[str, Any]) -> tuple[list[str], list[str], str]:
    files = p.get("data", {}).get("files", {})
    lines = [f"- {name} (SHA-256 {sha[:12]})" for name, sha in files.items()]
    if getattr(getattr(recipe, "mix", None), "drawn", 0):
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


def _of_priors(recipe: Any, p: dict[str, Any]) -> tuple[list[str], list[str], str]:
    lines = [f"- {name} (SHA-256 {sha[:12]})" for name, sha in p.get("data", {}).get("files", {}).items()]
    by = recipe.hold_out.by
    where = (
        f"blocks of {recipe.hold_out.block:g} along {' and '.join(by)}" if by
        else "the last columns of the image" if recipe.data.image else "runs of neighbouring models"
    )  # fmt: skip
    held_out = f"Not trained on, and what the score is of: {100 * recipe.hold_out.share:g} %, {where}."
    score = p.get("validation_reconstruction_db")
    scored = f"Error of held-out models below their variance: {score} dB (step {p['step']})."
    return [*lines, ""], [held_out], f"{scored} `geoae.load_model(FOLDER).report()` says more."


def _digest(path: Path) -> str:
    if path.is_dir():  # a zarr store: the names and sizes of its files
        listed = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
        return hashlib.sha256(repr(listed).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
