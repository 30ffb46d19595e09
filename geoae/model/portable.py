"""Models in graphs of dask: sent to other processes as a name or folder, and loaded there when they are first used."""

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from geoae.errors import ModelFileError
from geoae.model import weights_file
from geoae.model.card import find_model, list_shipped_models
from geoae.model.loading import load_model
from geoae.model.model import Model


class PortableModel:
    """A model that is pickled in a few bytes, so that it fits into every graph.

    A shipped model is sent by its name, and a model from a folder by the path of the folder. Other models are sent as a
    whole. A scheduler, which only passes graphs on, loads nothing.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def model(self) -> Model:
        """The model."""
        return self._model

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the present weights."""
        return weights_file.pack_weights(self._model.net)[1]

    @cached_property
    def _is_as_loaded(self) -> bool:
        """Whether its folder gives the same model: weights that were changed after they were loaded are not there."""
        m = self._model
        if m.folder is None or not self.weights.startswith(m.digest):
            return False
        named, partner = getattr(m.contract, "partner", ""), m.partner
        return named == (partner.name if partner else "") and (partner is None or PortableModel(partner)._is_as_loaded)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        m = self._model
        beside = PortableModel(m.partner).__dask_tokenize__() if m.partner else ()
        return m.name, self.weights, m.device, m.precision, *beside

    def __reduce__(self) -> Any:
        m = self._model
        if m.folder is None or not self._is_as_loaded:
            import cloudpickle

            alone = replace(m, pool=None, threads=1, partner=m.partner and replace(m.partner, pool=None, threads=1))
            return _SentModel, (cloudpickle.dumps(alone),)
        is_shipped = m.name in list_shipped_models() and find_model(m.name).resolve() == m.folder.resolve()
        place = m.name if is_shipped else str(m.folder.resolve())
        return _SentModel, ((place, m.digests, m.device, m.precision),)


class _SentModel:
    """A model as it arrives in another process; loaded there once, when it is first used."""

    def __init__(self, sent: bytes | tuple[str, str, str, str]) -> None:
        self._sent = sent

    @property
    def model(self) -> Model:
        """The model."""
        return _unpack_once(self._sent) if isinstance(self._sent, bytes) else _load_once(*self._sent)

    def __dask_tokenize__(self) -> bytes | tuple[str, str, str, str]:
        return self._sent


@lru_cache(maxsize=4)
def _load_once(place: str, digest: str, device: str, precision: str) -> Model:
    model = load_model(place if place in list_shipped_models() else Path(place))
    if model.digests != digest:
        raise ModelFileError(
            f"{model.folder} holds model {model.digests} where the task runs; {digest} was expected. Copy it there too."
        )
    return model.to(device, precision)


@lru_cache(maxsize=4)
def _unpack_once(sent: bytes) -> Model:
    import cloudpickle

    model: Model = cloudpickle.loads(sent)
    return model
