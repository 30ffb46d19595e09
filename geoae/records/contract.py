"""What a denoiser of records takes, as model.json holds it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class RecordContract:
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
