"""The contract of a prior: shape, codes and training models, as stored in model.json."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class PriorContract:
    """Models of one shape that decode from codes distributed as N(0, I); the transform of values is the scaler."""

    kind: ClassVar[str] = "prior"
    name: str
    summary: str
    shape: tuple[int, ...]
    """Cells of a model along each dimension."""
    latent: int
    """Length of a code."""
    units: str = ""
    dims: tuple[str, ...] = ()
    companions_sha256: str = ""
    """SHA-256 of the arrays stored beside the weights: mask, held-out models and codes."""
    training: dict[str, Any] = field(default_factory=dict)
    """The training models: number, range, mean, standard deviation; which were held out."""
    provenance: dict[str, Any] = field(default_factory=dict)
