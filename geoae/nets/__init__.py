"""The nets, one architecture a file. Listing them loads no torch."""

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoae.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

NETS = {
    "cascade-dae": "geoae.nets.cascade_dae:CascadeDAE",
    "field-dae": "geoae.nets.field_dae:FieldDAE",
    "identity": "geoae.nets.identity:Identity",
    "linear-ae": "geoae.nets.linear_ae:LinearAE",
    "vae": "geoae.nets.vae:VAE",
    "window-ae": "geoae.nets.window_ae:WindowAE",
}


def build(name: str, config: dict[str, Any]) -> "nn.Module":
    """Build the net `name` from plain data.

    Raises
    ------
    UnknownNameError
        No net has that name, or its configuration has a key that the net does not know.
    InputError
        A value is not of the kind of the net's default.
    """
    if name not in NETS:
        raise UnknownNameError(f"There is no net {name!r}. The nets are: {', '.join(sorted(NETS))}.")
    module, _, attribute = NETS[name].partition(":")
    net = getattr(import_module(module), attribute)
    known: dict[str, Any] = {f.name: f.default for f in fields(net.Config)}
    if unknown := sorted(set(config) - set(known)):
        raise UnknownNameError(f"Net {name!r} has no setting {', '.join(unknown)}. It has: {', '.join(sorted(known))}.")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    for key, value in values.items():
        if not _fits(value, known[key]):
            like = f"something positive like {known[key]!r}" if known[key] else "0 or more"
            raise InputError(f"Setting {key!r} of net {name!r} is {config[key]!r}; expected {like}.")
    return net(net.Config(**values))


def _fits(value: Any, like: Any) -> bool:
    if isinstance(like, tuple):
        return isinstance(value, tuple) and len(value) > 0 and all(_fits(v, like[0]) for v in value)
    kinds = (int, float) if isinstance(like, float) else (type(like),)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return isinstance(value, str) or value > 0 or value == like
