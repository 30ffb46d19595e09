"""Inversion for codes: posteriors that include the uncertainty from what the decoder cannot represent.

Each public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoae.deprecated.paths import moved_names

if TYPE_CHECKING:
    from geoae.invert.calibrate import Calibration as Calibration
    from geoae.invert.calibrate import Coverage as Coverage
    from geoae.invert.forward.forward import Forward as Forward
    from geoae.invert.inverse import Inverse as Inverse
    from geoae.invert.posterior.diagnose import Diagnosis as Diagnosis
    from geoae.invert.posterior.posterior import Posterior as Posterior
    from geoae.invert.posterior.posterior import load_posterior as load

_PUBLIC = {
    "Calibration": "geoae.invert.calibrate:Calibration",
    "Coverage": "geoae.invert.calibrate:Coverage",
    "Diagnosis": "geoae.invert.posterior.diagnose:Diagnosis",
    "Forward": "geoae.invert.forward.forward:Forward",
    "Inverse": "geoae.invert.inverse:Inverse",
    "Posterior": "geoae.invert.posterior.posterior:Posterior",
    "load": "geoae.invert.posterior.posterior:load_posterior",
}
__all__ = ["Calibration", "Coverage", "Diagnosis", "Forward", "Inverse", "Posterior", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        return moved_names(__name__)(name)
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
