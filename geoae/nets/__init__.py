"""The nets, one architecture a file. Listing them loads no torch."""

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoae.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

NETS = {
    "identity": "geoae.nets.identity:Identity",
    "spectral-dae": "geoae.nets.spectral_dae:SpectralDAE",
}


def build(name: str, config: dict[str, Any]) -> "nn.Module":
    """Build the net `name` from plain data.

    Raises
    ------
    UnknownNameError
        No net has that name, or its configuration has a key that the net does not know.
    """
    if name not in NETS:
        raise UnknownNameError(f"There is no net {name!r}. The nets are: {', '.join(sorted(NETS))}.")
    module, _, attribute = NETS[name].partition(":")
    net = getattr(import_module(module), attribute)
    known = {f.name for f in fields(net.Config)}
    if unknown := sorted(set(config) - known):
        raise UnknownNameError(f"Net {name!r} has no setting {', '.join(unknown)}. It has: {', '.join(sorted(known))}.")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return net(net.Config(**values))  # type: ignore[no-any-return]
