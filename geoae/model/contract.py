"""Contracts: what a model takes, as model.json holds it. Each kind has a dataclass of its own for this."""

from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar, get_origin, get_type_hints

T = TypeVar("T")


class AnyContract(Protocol):
    """What the contracts of all kinds have: frozen dataclasses with at least these fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """What `--model` calls the model."""

    @property
    def summary(self) -> str:
        """What the model does, in a line."""

    @property
    def provenance(self) -> dict[str, Any]:
        """Training data with digests and licences, recipe, scores, the command that made it."""


def list_json_types(of: type) -> dict[str, type]:
    """Fields of a dataclass, and the types that their values have in JSON: tuples are lists there.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> json_types(make_dataclass("Window", [("length", int), ("taper", tuple[float, ...])]))
    {'length': <class 'int'>, 'taper': <class 'list'>}
    """
    hints = get_type_hints(of)
    plain = {f.name: get_origin(hints[f.name]) or hints[f.name] for f in fields(of)}
    return {name: list if found is tuple else found for name, found in plain.items()}


def from_json(of: type[T], facts: dict[str, Any]) -> T:
    """The object of dataclass `of` that `dataclasses.asdict` and JSON turned into `facts`."""
    return of(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()})
