"""The nets, one architecture per file. Listing them does not load torch.

Other packages add nets by the entry-point group ``geoae.nets``: name = "package.module:Class".
"""

from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from geoae.errors import InputError, UnknownNameError, one_line

if TYPE_CHECKING:
    from torch import nn

NETS = {
    "cascade-dae": "geoae.nets.cascade_dae:CascadeDAE",
    "field-dae": "geoae.nets.field_dae:FieldDAE",
    "identity": "geoae.nets.identity:Identity",
    "linear-ae": "geoae.nets.linear_ae:LinearAE",
    "octave-dae": "geoae.nets.octave_dae:OctaveDAE",
    "vae": "geoae.nets.vae:VAE",
    "window-ae": "geoae.nets.window_ae:WindowAE",
}
GROUP = "geoae.nets"
_ONE_SIZE = {"field-dae"}


def list_nets() -> list[str]:
    """List the names of all nets, including those of other installed packages; no net is loaded."""
    return sorted(NETS.keys() | entry_points(group=GROUP).names)


def has_one_window_size(name: str) -> bool:
    """Whether net `name` works for one window size only, because it learns the spectra of such windows."""
    return name in _ONE_SIZE


def build(name: str, config: dict[str, Any]) -> "nn.Module":
    """Build the net `name` from plain data.

    Raises
    ------
    UnknownNameError
        No net has this name, or the net has no setting of a name in `config`.
    InputError
        The type of a value differs from that of the default, or the net of another package cannot be used.
    """
    return build_class(find_net(name), config, name)


def find_net(name: str) -> "type[nn.Module]":
    """Find the class of net `name`; a net of geoae has priority over one in another package.

    Raises
    ------
    UnknownNameError
        No net has this name.
    InputError
        Two packages have a net of this name, or its package cannot be imported.
    """
    if name in NETS:
        module, _, attribute = NETS[name].partition(":")
        net: type[nn.Module] = getattr(import_module(module), attribute)
        return net
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise UnknownNameError(f"There is no net {name!r}. The nets are: {', '.join(list_nets())}.")
    if len(found) > 1:
        raise InputError(
            f"{len(found)} packages have a net {name!r} ({', '.join(entry.value for entry in found)}); one name must "
            "mean one net. Uninstall all but one of them."
        )
    return _load_entry(found[0])


def build_class(net: "type[nn.Module]", config: dict[str, Any], name: str = "") -> "nn.Module":
    """Build a net from its class and plain data. Errors are those of `build`; they call the net `name`."""
    name = name or net.__name__
    settings: Any = getattr(net, "Config", None)
    if not is_dataclass(settings):
        raise InputError(f"Net {name!r} has no dataclass Config: {net.__qualname__}.Config is {settings!r}.")
    known: dict[str, Any] = {f.name: f.default for f in fields(settings)}
    if unknown := sorted(set(config) - set(known)):
        raise UnknownNameError(f"Net {name!r} has no setting {', '.join(unknown)}. It has: {', '.join(sorted(known))}.")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    for key, value in values.items():
        if not _fits(value, known[key]):
            expected = f"something positive like {known[key]!r}" if known[key] else "0 or more"
            raise InputError(f"Setting {key!r} of net {name!r} is {config[key]!r}; expected {expected}.")
    config_class: Any = settings
    return net(config_class(**values))


def _load_entry(entry: Any) -> "type[nn.Module]":
    # Any: if the backport importlib_metadata is imported, entry points are of its class
    from torch import nn

    try:
        net = entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"Net {entry.name!r} ({entry.value}) cannot be imported: {one_line(error)}. Install its package again."
        ) from error
    if not (isinstance(net, type) and issubclass(net, nn.Module)):
        raise InputError(
            f"Net {entry.name!r} ({entry.value}) is {net!r}; expected a class that inherits from torch.nn.Module."
        )
    return net


def _fits(value: Any, default: Any) -> bool:
    """Whether a value has the type of the default and, if it is a number, is positive or equal to the default."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) > 0 and all(_fits(v, default[0]) for v in value)
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return isinstance(value, str) or value > 0 or value == default
