"""What a model with codes takes, as model.json holds it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class CodeContract:
    """What a model with codes takes: windows along one dimension (traces) or two (fields), of any scale."""

    kind: ClassVar[str] = "codes"
    name: str
    summary: str
    window: tuple[int, ...]
    """Samples of a window along each dimension; the number of dimensions is that of the model."""
    stride: tuple[int, ...]
    latent: int
    """Numbers in the code of a window."""
    units: str = ""
    dims: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
