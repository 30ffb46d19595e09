"""Split stations into training and validation."""

import zlib

from geoae.training.recipe import SplitSection


def is_validation(station: str, split: SplitSection) -> bool:
    """Whether NET.STA is kept for validation; depends on the name alone, so a larger set moves no station."""
    return zlib.crc32(station.encode()) % split.modulus == split.remainder
