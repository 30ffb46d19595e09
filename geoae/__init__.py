"""Clean and compress geoscience signals. Each public name is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoae._version import __version__

if TYPE_CHECKING:
    from geoae.api import denoise as denoise
    from geoae.api import info as info
    from geoae.api import models as models
    from geoae.api_latent import fit as fit
    from geoae.jobs.evaluate import evaluate as evaluate
    from geoae.jobs.train import train as train
    from geoae.latent.space import LatentSpace as LatentSpace
    from geoae.model import Model as Model
    from geoae.model import load as load_model
    from geoae.readers import read as read
    from geoae.readers import read_records as read_records

_PUBLIC = {
    "LatentSpace": "geoae.latent.space:LatentSpace",
    "Model": "geoae.model:Model",
    "denoise": "geoae.api:denoise",
    "evaluate": "geoae.jobs.evaluate:evaluate",
    "fit": "geoae.api_latent:fit",
    "info": "geoae.api:info",
    "load_model": "geoae.model:load",
    "models": "geoae.api:models",
    "read": "geoae.readers:read",
    "read_records": "geoae.readers:read_records",
    "train": "geoae.jobs.train:train",
}
__all__ = [
    "LatentSpace",
    "Model",
    "__version__",
    "denoise",
    "evaluate",
    "fit",
    "info",
    "load_model",
    "models",
    "read",
    "read_records",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'geoae' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
