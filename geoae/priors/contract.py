"""What a prior is of, as model.json holds it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class PriorContract:
    """What a prior is of: models of one shape, each drawn from codes that are N(0, I); its transform is the scaler."""

    kind: ClassVar[str] = "prior"
    name: str
    summary: str
    shape: tuple[int, ...]
    """Cells of a model; the number of dimensions is that of the net."""
    latent: int
    """Numbers of a code."""
    units: str = ""
    dims: tuple[str, ...] = ()
    companions_sha256: str = ""
    """Of the arrays that lie beside the weights: mask, held-out models and codes."""
    training: dict[str, Any] = field(default_factory=dict)
    """What the models were: their number, range, mean, spread; which were held out."""
    provenance: dict[str, Any] = field(default_factory=dict)
