"""The split of stations depends on their names only."""

import zlib

import pytest

from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation


@pytest.mark.parametrize("modulus", [2, 4, 10])
def test_each_station_validates_for_one_remainder(modulus):
    """The remainder is that of the checksum of the name, and about one station in `modulus` validates."""
    names = [f"N{i % 7}.S{i}" for i in range(2000)]
    splits = [SplitSection(modulus=modulus, remainder=r) for r in range(modulus)]
    for name in names[:50]:
        assert [is_validation(name, split) for split in splits].index(True) == zlib.crc32(name.encode()) % modulus
        assert sum(is_validation(name, split) for split in splits) == 1
    share = sum(is_validation(name, splits[0]) for name in names) / len(names)
    assert abs(share - 1 / modulus) < 0.05
