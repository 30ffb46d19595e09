"""Split stations into training and validation."""

import zlib

from geoae.training.recipe import SplitSection


def is_validation(station: str, split: SplitSection) -> bool:
    """Whether station NET.STA is held out for validation, which depends on its name only, not on the data set."""
    return zlib.crc32(station.encode()) % split.modulus == split.remainder
