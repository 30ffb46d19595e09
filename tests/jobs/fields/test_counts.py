"""Counts of fields: they add up in any order to those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoae.jobs.fields.counts import count_block, make_field_rows, pool_counts
from geoae.jobs.options import FieldOptions
from tests.support.fields import field

values = arrays(np.float64, st.integers(0, 30), elements=st.sampled_from([np.nan, np.inf, -2.0, 0.5, 1.0, 300.25]))


@given(st.lists(values, min_size=1, max_size=5), st.randoms())
def test_pooled_counts_are_those_of_all_samples(parts, random):
    """Numbers are equal, moments agree with numpy on all finite samples."""
    shuffled = parts[:]
    random.shuffle(shuffled)
    counts = None
    for part in shuffled:
        counts = pool_counts(counts, count_block(part, 0.5 * part))
    whole = np.concatenate(parts)
    finite = whole[np.isfinite(whole)]
    assert counts["samples"] == whole.size
    assert counts["missing"] == np.isnan(whole).sum()
    assert counts["infinite"] == np.isinf(whole).sum()
    for key, scale in (("before", 1.0), ("removed", 0.5)):
        n, mean, squares = counts[key]
        assert n == finite.size
        if n:
            assert mean == pytest.approx(scale * finite.mean(), abs=1e-9)
            assert squares == pytest.approx(scale**2 * finite.var() * n, abs=1e-6)


def test_rows_hold_standard_deviations():
    """Slices count all dimensions that are not horizontal; without counts the numbers are nan."""
    x = field(3, 16, 20)
    (row,) = make_field_rows([x], FieldOptions(), {"t2m": count_block(x.values, 0.1 * x.values)})
    assert (row.name, row.slices, row.units, row.dims) == ("t2m", 3, "K", "time 3, lat 16, lon 20")
    assert row.std == pytest.approx(np.nanstd(x.values.astype(float)), rel=1e-5)
    assert row.std_removed == pytest.approx(0.1 * row.std, rel=1e-5)
    assert row.missing == pytest.approx(np.isnan(x.values).mean())
    assert np.isnan(make_field_rows([x], FieldOptions(), {})[0].std)
