"""Load a model folder; digest, keys and tensors are checked."""

import hashlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from geoae import kinds, nets
from geoae.errors import GeoAEError, InputError, ModelFileError
from geoae.files.together import find_file
from geoae.model import weights_file
from geoae.model.card import CARD, COMPANIONS, DEFAULT, WEIGHTS, find_model, list_shipped_models, read_bytes, read_card
from geoae.model.contract import from_json
from geoae.model.model import Model
from geoae.model.roles import make_model


def load_model(name_or_folder: str | Path | Model | None = None) -> Model:
    """Load a model by name (see `shipped`) or from its folder, checking everything it says of itself.

    Returns
    -------
    Model
        An object of the class of its kind, such as `Denoiser`. A `Model` is returned as it is.

    Raises
    ------
    InputError
        It is no name, folder or `Model`.
    UnknownNameError
        No shipped model and no folder has this name.
    ModelFileError
        The folder is incomplete or damaged, has an unknown key, or was written by a newer geoae; the differences are
        listed.
    """
    if isinstance(name_or_folder, Model):
        return name_or_folder
    if name_or_folder is not None and not isinstance(name_or_folder, str | Path):
        raise InputError(
            f"The model is a {type(name_or_folder).__name__}; give the name of a shipped model, the folder of a "
            "trained one, or what geoae.load_model or geoae.fit returned."
        )
    folder = find_model(name_or_folder or DEFAULT)
    facts = read_card(folder)
    weights = find_file(folder, WEIGHTS)
    raw = _read_checked(weights, facts["weights_sha256"])
    try:
        net = nets.build(facts["net"], facts["config"])
    except GeoAEError as error:
        raise ModelFileError(f"{folder / CARD} does not describe a net: {error} A newer geoae may read it.") from error
    weights_file.load_weights(net, raw, weights, facts["net"])
    kind = kinds.find_kind(facts["kind"])
    contract = from_json(kinds.load_name(kind.contract), facts["contract"])
    scaler = from_json(kinds.load_name(kind.scaler), facts["scaler"])
    companions = _read_companions(folder, facts["contract"].get("companions_sha256", ""))
    partner = _load_partner(folder, facts["contract"].get("partner", ""))
    return make_model(contract, facts["net"], facts["config"], net.eval(), scaler, folder=folder,
                      digest=facts["weights_sha256"][:12], companions=companions, partner=partner)  # fmt: skip


def _load_partner(folder: Path, name: str) -> Model | None:
    """Load the shipped model that a contract names as its partner."""
    if not name:
        return None
    if name not in list_shipped_models():
        raise ModelFileError(
            f"{folder / CARD} names the model {name!r} to work beside it, which does not come with this geoae "
            f"({', '.join(list_shipped_models())}). A newer geoae may have it."
        )
    partner = load_model(name)
    if partner.partner is not None:
        raise ModelFileError(f"{folder / CARD} names the model {name!r} to work beside it, which has a partner itself.")
    return partner


def _read_companions(folder: Path, sha: str) -> dict[str, NDArray[Any]]:
    if not sha:
        return {}
    from safetensors.numpy import load as load_arrays

    return dict(load_arrays(_read_checked(find_file(folder, COMPANIONS), sha)))


def _read_checked(path: Path, wanted: str) -> bytes:
    raw = read_bytes(path)
    if (sha := hashlib.sha256(raw).hexdigest()) != wanted:
        raise ModelFileError(
            f"{path} is damaged: its SHA-256 is {sha[:12]}..., model.json says {wanted[:12]}... Copy the model folder "
            "again."
        )
    return raw
