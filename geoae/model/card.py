"""Find model folders, read model.json, and check that it has all keys and no others."""

import json
from collections.abc import Set
from pathlib import Path
from typing import Any

from geoae import kinds
from geoae._version import __version__
from geoae.errors import ModelFileError, UnknownNameError, UnreadableFileError
from geoae.files.paths import can_reach, find_fault
from geoae.files.together import find_file
from geoae.model.contract import list_json_types, list_optional

FORMAT = 1
WEIGHTS, CARD, README = "weights.safetensors", "model.json", "card.md"
COMPANIONS = "companions.safetensors"
DEFAULT = kinds.KINDS[kinds.DEFAULT].defaults[0]
"""The model that is loaded if the user names none."""
_SHIPPED = Path(__file__).parents[1] / "weights"
_KEYS = {
    "format": int, "kind": str, "geoae": str, "net": str, "config": dict, "scaler": dict, "contract": dict,
    "weights_sha256": str,
}  # fmt: skip


def find_model(name_or_folder: str | Path) -> Path:
    """Find the folder of a shipped model, or of a model on disk.

    Raises
    ------
    UnknownNameError
        No shipped model and no folder has this name.
    UnreadableFileError
        The folder may not be entered.
    """
    for folder in (_SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if any(can_reach(find_file(folder, name)) for name in (CARD, WEIGHTS)):
            return folder
    if isinstance(fault := find_fault(name_or_folder), UnreadableFileError):
        raise fault
    known = ", ".join(list_shipped_models()) or "none"
    raise UnknownNameError(
        f"There is no model {str(name_or_folder)!r}: the shipped models are {known}; otherwise give the folder that "
        "`geoae train` wrote."
    )


def list_shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.parent.name for p in _SHIPPED.glob(f"*/{CARD}"))


def describe_model(name_or_folder: str | Path) -> dict[str, Any]:
    """Read model.json without loading weights or torch; the key `kind` is always present."""
    return read_card(find_model(name_or_folder))


def read_card(folder: Path) -> dict[str, Any]:
    """Read and check model.json in `folder`.

    Raises
    ------
    ModelFileError
        The file is missing or damaged, has a newer format, or has missing, unknown or mistyped keys, which are listed.
    """
    try:
        facts = json.loads(read_bytes(find_file(folder, CARD)))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{folder / CARD} is damaged: {error}. Copy the model folder again.") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise ModelFileError(f"{folder / CARD} is not a geoae model: it has no format number.")
    if facts["format"] > FORMAT:  # before the keys are checked: a newer format has other keys
        raise ModelFileError(
            f"{folder} has model format {facts['format']}, written by geoae {facts.get('geoae')}; geoae {__version__} "
            f"reads up to {FORMAT}. Install a newer geoae."
        )
    facts.setdefault("kind", kinds.DEFAULT)
    if not (faults := _list_faults(facts, _KEYS, "")):
        if (kind := kinds.KINDS.get(facts["kind"])) is None:
            faults = [f"kind is {facts['kind']!r} instead of one of {', '.join(kinds.KINDS)}"]
        else:
            contract = kinds.load_name(kind.contract)
            faults = _list_faults(facts["scaler"], list_json_types(kinds.load_name(kind.scaler)), "scaler.")
            faults += _list_faults(facts["contract"], list_json_types(contract), "contract.", list_optional(contract))
    if faults:
        raise ModelFileError(f"{folder / CARD} does not describe a model of format {FORMAT}: {'; '.join(faults)}.")
    return facts


def read_bytes(path: Path) -> bytes:
    """Content of a file in a model folder; raises ModelFileError if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"{path.parent} is no complete model folder: {path.name} is missing.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _list_faults(
    found: dict[str, Any], wanted: dict[str, type], prefix: str, optional: Set[str] = frozenset()
) -> list[str]:
    """Messages about keys that are missing, unknown, or of the wrong type; `prefix` goes before each key."""
    faults = [f"missing key {prefix}{k}" for k in sorted(wanted.keys() - found.keys() - optional)]
    faults += [f"unknown key {prefix}{k}" for k in sorted(found.keys() - wanted.keys())]
    for key in sorted(wanted.keys() & found.keys()):
        types = (int, float) if wanted[key] is float else wanted[key]
        if not isinstance(found[key], types) or isinstance(found[key], bool):
            faults.append(f"{prefix}{key} is {found[key]!r} instead of {wanted[key].__name__}")
    return faults
