"""Sources of labelled arrays: digests, plain data for workers, and reading by region."""

from pathlib import Path

import numpy as np

from geoae.jobs.source import ArraySource, RegionReader, digest_source, source_from_spec
from tests.support import fields


def test_a_source_survives_as_plain_data(tmp_path):
    """A worker opens the same variables; long lists of names are shortened for people."""
    path = tmp_path / "a.nc"
    fields.field(2, 16, 20).to_netcdf(path)
    source = ArraySource(("a.nc",), (str(path),), adapter=None)
    again = source_from_spec(source.spec())
    assert (again, again.label()) == (source, "a.nc")
    assert [x.name for x in again.open()] == ["t2m"]
    many = ArraySource(tuple(f"{i}.nc" for i in range(30)), (str(path),) * 30)
    assert many.label() == "0.nc, 1.nc, 2.nc, ..., 29.nc (30 inputs)"


def save(x, path: Path) -> None:
    if path.suffix == ".nc":
        x.to_netcdf(path)
    else:
        x.to_dataset(name="t2m").to_zarr(path, mode="w", consolidated=False)


def test_the_digest_changes_with_the_input(tmp_path):
    """Of files their content; of stores names, sizes and times."""
    x = fields.field(2, 16, 20)
    for name, kind in (("a.nc", "sha256:"), ("a.zarr", "sizes-and-times:")):
        path = tmp_path / name
        save(x, path)
        source = ArraySource((name,), (str(path),))
        before = digest_source(source)
        assert before.startswith(kind)
        assert digest_source(source) == before
        save(2 * x, path)
        assert digest_source(source) != before


def test_neighbouring_blocks_are_not_read_twice():
    """Along time a block keeps what it shares with the one before; spans may wrap around."""
    x = fields.field(12, 9, 10, gaps=0)
    read = RegionReader(x.chunk({"time": 5}), 0)
    asked = []
    plain = read._read

    def told(spans, axis=0, index=()):
        if not axis:
            asked.append(spans[0])
        return plain(spans, axis, index)

    read._read = told
    for span, fresh in [((0, 6), (0, 6)), ((3, 9), (6, 9)), ((3, 9), None), ((0, 2), (0, 2)), ((5, 12), (5, 12))]:
        asked.clear()
        got = read((slice(*span), slice(0, 9), slice(-3, 4)))
        np.testing.assert_array_equal(got, np.roll(x.values, 3, axis=2)[slice(*span), :, :7])
        assert asked == ([slice(*fresh)] if fresh else [])
