"""Clean and compress geoscience signals. Each public name and each folder is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoae._version import __version__
from geoae.deprecated import paths

if TYPE_CHECKING:
    from geoae import errors as errors
    from geoae import invert as invert
    from geoae import plot as plot
    from geoae import priors as priors
    from geoae import readers as readers
    from geoae import testing as testing
    from geoae.api.codes import decode as decode
    from geoae.api.codes import encode as encode
    from geoae.api.denoise import denoise as denoise
    from geoae.api.fit import fit as fit
    from geoae.api.inspect import info as info
    from geoae.api.inspect import models as models
    from geoae.api.train import evaluate as evaluate
    from geoae.api.train import train as train
    from geoae.invert.inverse import Inverse as Inverse
    from geoae.model import Model as Model
    from geoae.model import load_model
    from geoae.priors.space import LatentSpace as LatentSpace
    from geoae.readers import read as read
    from geoae.readers import read_records as read_records
    from geoae.stores.codes import open_codes as open_codes

_PUBLIC = {
    "Inverse": "geoae.invert.inverse:Inverse",
    "LatentSpace": "geoae.priors.space:LatentSpace",
    "Model": "geoae.model:Model",
    "decode": "geoae.api.codes:decode",
    "denoise": "geoae.api.denoise:denoise",
    "encode": "geoae.api.codes:encode",
    "evaluate": "geoae.api.train:evaluate",
    "fit": "geoae.api.fit:fit",
    "info": "geoae.api.inspect:info",
    "load_model": "geoae.model:load_model",
    "models": "geoae.api.inspect:models",
    "open_codes": "geoae.stores.codes:open_codes",
    "read": "geoae.readers:read",
    "read_records": "geoae.readers:read_records",
    "train": "geoae.api.train:train",
}
__all__ = [
    "Inverse",
    "LatentSpace",
    "Model",
    "__version__",
    "decode",
    "denoise",
    "encode",
    "evaluate",
    "fit",
    "info",
    "load_model",
    "models",
    "open_codes",
    "read",
    "read_records",
    "train",
]

_FOLDERS = [
    "arrays", "cli", "cluster", "codes", "errors", "fields", "files", "invert", "jobs", "kinds", "labels", "model",
    "nets", "plot", "priors", "readers", "records", "stores", "testing", "training", "writers",
]  # fmt: skip
"""Folders and modules at the root that are attributes after `import geoae`, as in `geoae.plot.records`."""


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f"geoae.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'geoae' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, *_FOLDERS]


paths.install()
