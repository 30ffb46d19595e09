"""Contracts: the input that a model takes, as stored in model.json. Each kind of model has its own dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar, get_origin, get_type_hints

T = TypeVar("T")
OPTIONAL = {"optional": True}
"""Metadata of the fields of a contract that older model files lack; they have a default."""


class AnyContract(Protocol):
    """Fields that the contracts of all kinds share; a contract is a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the model, for `--model`."""

    @property
    def summary(self) -> str:
        """What the model does, in one line."""

    @property
    def provenance(self) -> dict[str, Any]:
        """Training data with digests and licences, recipe, scores, and the command that trained the model."""


def list_json_types(dataclass: type) -> dict[str, type]:
    """Fields of a dataclass with the types of their values in JSON, where tuples are lists.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> list_json_types(make_dataclass("Window", [("length", int), ("taper", tuple[float, ...])]))
    {'length': <class 'int'>, 'taper': <class 'list'>}
    """
    hints = get_type_hints(dataclass)
    types = {f.name: get_origin(hints[f.name]) or hints[f.name] for f in fields(dataclass)}
    return {name: list if type_ is tuple else type_ for name, type_ in types.items()}


def list_optional(dataclass: type) -> set[str]:
    """Names of the fields of a dataclass that model files may lack, see `OPTIONAL`."""
    return {f.name for f in fields(dataclass) if f.metadata.get("optional")}


def from_json(dataclass: type[T], facts: dict[str, Any]) -> T:
    """Build a dataclass from JSON: the inverse of `dataclasses.asdict`, with lists as tuples."""
    return dataclass(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()})


def format_no_rates(contract: Mapping[str, Any]) -> tuple[str, str]:
    """The two cells of a table of models for a model that is not bound to sampling rates."""
    return "-", "-"
