"""The contract of a model with codes: the input that it takes, as stored in model.json."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class CodeContract:
    """Windows that a model with codes takes: along one dimension (traces) or two (fields), of any scale."""

    kind: ClassVar[str] = "codes"
    name: str
    summary: str
    window: tuple[int, ...]
    """Samples of a window along each of its dimensions."""
    stride: tuple[int, ...]
    latent: int
    """Length of the code of a window."""
    units: str = ""
    dims: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
