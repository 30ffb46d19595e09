"""The contract of a denoiser of fields: the input that it takes, as stored in model.json."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldContract:
    """Windows of gridded fields (time, south-north, west-east) that a denoiser takes."""

    kind: ClassVar[str] = "field"
    name: str
    summary: str
    window: tuple[int, int]
    """Grid points of one window, south-north and west-east."""
    stride: tuple[int, int]
    multiple: int
    """Windows of smaller grids are padded to a multiple of this number of points."""
    near: int
    far: int
    """The net also sees the means over `near` and over `far` slices before and after the denoised one; 0: no means."""
    enough: int = 0
    """Grids with fewer points along a side are interpolated, because their signal varies like noise."""
    overview: int = 0
    """Points along a side of the blocks that are averaged in an overview of a slice without neighbours in time. The net
    also sees the noise of the overview, which has scales larger than a window. 0: no overview."""
    units: str = ""
    """Units of the training data; empty: any."""
    dims: tuple[str, ...] = ()
    """Names of the horizontal dimensions of the training data; (): any."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Training data with digests, recipe, scores, and the command that trained the model."""
