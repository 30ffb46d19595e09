"""model.json: where models are, what each says of itself, and the check that nothing is missing or unknown."""

import json
from pathlib import Path
from typing import Any

from geoae import kinds
from geoae._version import __version__
from geoae.errors import ModelFileError, UnknownNameError
from geoae.model.contract import list_json_types

FORMAT = 1
WEIGHTS, CARD, README = "weights.safetensors", "model.json", "card.md"
COMPANIONS = "companions.safetensors"
DEFAULT = kinds.KINDS[kinds.DEFAULT].defaults[0]
"""The model that is loaded where none is named."""
_SHIPPED = Path(__file__).parents[1] / "weights"
_KEYS = {
    "format": int, "kind": str, "geoae": str, "net": str, "config": dict, "scaler": dict, "contract": dict,
    "weights_sha256": str,
}  # fmt: skip


def find_model(name_or_folder: str | Path) -> Path:
    """Folder of a shipped model or of one on disk.

    Raises
    ------
    UnknownNameError
        No shipped model and no folder has that name.
    """
    for folder in (_SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if (folder / CARD).is_file() or (folder / WEIGHTS).is_file():
            return folder
    known = ", ".join(list_shipped_models()) or "none"
    raise UnknownNameError(
        f"There is no model {str(name_or_folder)!r}: the shipped models are {known}; otherwise give the folder that "
        "`geoae train` wrote."
    )


def list_shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.parent.name for p in _SHIPPED.glob(f"*/{CARD}"))


def describe_model(name_or_folder: str | Path) -> dict[str, Any]:
    """What model.json says, without loading weights or torch; the kind is always in it."""
    return read_card(find_model(name_or_folder))


def read_card(folder: Path) -> dict[str, Any]:
    """What model.json in `folder` says.

    Raises
    ------
    ModelFileError
        It is missing or damaged, has missing, unknown or mistyped keys, which are listed, or a newer format.
    """
    try:
        facts = json.loads(read_bytes(folder / CARD))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{folder / CARD} is damaged: {error}. Copy the model folder again.") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise ModelFileError(f"{folder / CARD} is not a geoae model: it has no format number.")
    if facts["format"] > FORMAT:  # before its keys are looked at: a newer format has others
        raise ModelFileError(
            f"{folder} has model format {facts['format']}, written by geoae {facts.get('geoae')}; geoae {__version__} "
            f"reads up to {FORMAT}. Install a newer geoae."
        )
    facts.setdefault("kind", kinds.DEFAULT)
    if not (faults := _faults(facts, _KEYS, "")):
        if (kind := kinds.KINDS.get(facts["kind"])) is None:
            faults = [f"kind is {facts['kind']!r} instead of one of {', '.join(kinds.KINDS)}"]
        else:
            faults = _faults(facts["scaler"], list_json_types(kinds.load_name(kind.scaler)), "scaler.")
            faults += _faults(facts["contract"], list_json_types(kinds.load_name(kind.contract)), "contract.")
    if faults:
        raise ModelFileError(f"{folder / CARD} does not describe a model of format {FORMAT}: {'; '.join(faults)}.")
    return facts


def read_bytes(path: Path) -> bytes:
    """Content of a file of a model folder; ModelFileError where it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"{path.parent} is no complete model folder: {path.name} is missing.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _faults(found: dict[str, Any], wanted: dict[str, type], where: str) -> list[str]:
    """What is missing, unknown, or of another type."""
    faults = [f"missing key {where}{k}" for k in sorted(wanted.keys() - found.keys())]
    faults += [f"unknown key {where}{k}" for k in sorted(found.keys() - wanted.keys())]
    for key in sorted(wanted.keys() & found.keys()):
        types = (int, float) if wanted[key] is float else wanted[key]
        if not isinstance(found[key], types) or isinstance(found[key], bool):
            faults.append(f"{where}{key} is {found[key]!r} instead of {wanted[key].__name__}")
    return faults
