"""What a denoiser of fields takes, as model.json holds it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldContract:
    """What a denoiser of gridded fields (time, south-north, west-east) takes: any grid, units and noise level."""

    kind: ClassVar[str] = "field"
    name: str
    summary: str
    window: tuple[int, int]
    """Grid points that the net sees at once, south-north and west-east."""
    stride: tuple[int, int]
    multiple: int
    """Windows of smaller grids are padded to a multiple of this."""
    near: int
    far: int
    """Slices before and after the one to be denoised whose two means the net sees beside it; 0: none."""
    enough: int = 0
    """Points along a side; grids with fewer are interpolated, since signal from point to point looks like noise."""
    overview: int = 0
    """Points along a side that are averaged to one in an overview of a slice without neighbours, whose noise the net
    sees beside the slice: blotches larger than a window; 0: none."""
    units: str = ""
    """Of the data it was trained on; empty: any."""
    dims: tuple[str, ...] = ()
    """Names of the horizontal dimensions it was trained on; (): any."""
    provenance: dict[str, Any] = field(default_factory=dict)
