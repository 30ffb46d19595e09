"""Provenance: fingerprints, differences of settings, and the blocks of a finished store."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.stores import ledger, provenance
from geoae.stores.blocks import Part, Variable
from tests.support import store_worker as worker

SETTINGS = st.dictionaries(
    st.sampled_from("abcde"), st.none() | st.integers() | st.sampled_from(["", "1", "none", "x"]), max_size=5
)


@settings(max_examples=200)
@given(old=SETTINGS, new=SETTINGS)
def test_the_fingerprint_changes_with_every_setting(old, new):
    """The order of names does not change it."""
    same = {k: v for k, v in old.items() if v is not None} == {k: v for k, v in new.items() if v is not None}
    assert (provenance.describe_differences(old, new) == "") == same
    if old == new:
        assert provenance.make_fingerprint(old) == provenance.make_fingerprint(dict(reversed(new.items())))
    else:
        assert provenance.make_fingerprint(old) != provenance.make_fingerprint(new)


def test_only_files_of_blocks_count_as_done(tmp_path):
    """Metadata, files of other programs and blocks outside the array are ignored."""
    (tmp_path / "u").mkdir()
    part = Part("u", 2, (Variable("u", ("time", "x"), (4, 4), "float32", (2, 4)),))
    for name in ("zarr.json", ".nfs0001", "c.0.0.partial", "c", "c.x.0", "c.9.0", "c.0", "c.1.0"):
        (tmp_path / "u" / name).touch()
    np.testing.assert_array_equal(provenance.find_done_blocks(tmp_path, [part]), [False, True])


def test_a_finished_store_knows_its_blocks(tmp_path):
    """Its parts are those of the run, with their shards."""
    run = worker.start(tmp_path / "out.zarr", worker.field(0, 9), shard_chunks=2)
    worker.write_all(run, worker.field(0, 9))
    assert provenance.read_parts(run.finish()) == run.parts
    assert ledger.read_store_status(tmp_path / "out.zarr").n_done == run.n_tasks
