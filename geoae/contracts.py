"""The contract of each kind: what a model takes, written into model.json and checked before it works."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Contract:
    """What a denoiser of records (component, time) takes."""

    kind: ClassVar[str] = "record"
    name: str
    summary: str
    rate_hz: float
    """Sampling rate at which the net works; other rates are brought to it and back."""
    rate_range_hz: tuple[float, float]
    """Recordings outside are passed through."""
    window: int
    """Samples at `rate_hz` that the net sees at once."""
    stride: int
    multiple: int
    """Windows of shorter records are padded to a multiple of this."""
    components: int = 3
    provenance: dict[str, Any] = field(default_factory=dict)
    """Training data with digests and licences, recipe, scores, the command that made it."""


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
