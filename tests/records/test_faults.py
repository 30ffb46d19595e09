"""Faults of a record do not depend on the region, and a record without faults is read as it is."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.records.faults import FaultFinder
from geoae.records.fills import _search, find_fills
from geoae.records.infer import build_identity_denoiser, build_noise_reader
from geoae.records.steps import _find_sharp, _search_sharp
from tests.records.test_fills import noise


def faulty(rate: float) -> np.ndarray:
    """Two traces with fills of many lengths, gaps and steps."""
    n = int(500 * rate)
    x = np.stack([noise(n), noise(n, 1)])
    for at, length, value in ((20, 1.5, 0.0), (60, 0.02, -(2.0**31)), (90, 0.5, 1e20), (150, 61, 3.0), (300, 130, 0.0)):
        x[0, int(at * rate) : int((at + length) * rate)] = value
    x[1, int(80 * rate) : int(90 * rate)] = np.nan
    for at, height in ((30, 4000), (90, -5000), (200, 3000), (204, 2000)):
        x[1, int(at * rate) :] += height
    return x


FAULTY = {rate: faulty(rate) for rate in (10.0, 40.0)}


@settings(max_examples=20, deadline=None)
@given(rate=st.sampled_from([10.0, 40.0]), cuts=st.lists(st.floats(0.001, 0.999), max_size=6))
def test_any_regions_have_the_same_faults(rate, cuts):
    """Fills and steps are those of the whole record."""
    x = FAULTY[rate]
    n = x.shape[1]
    whole = FaultFinder(lambda a, b: x[:, a:b], n, rate).find(0, n)
    assert whole.filled is not None
    assert len(whole.steps) >= 3
    for a, b in pairwise(sorted({0, n, *(int(c * n) for c in cuts)})):
        part = FaultFinder(lambda a, b: x[:, a:b], n, rate).find(a, b)
        expected = whole.filled[:, a:b]
        np.testing.assert_array_equal(part.filled if part.filled is not None else np.zeros_like(expected), expected)
        assert part.steps == tuple(step for step in whole.steps if a <= step[1] < b)


def test_the_quick_look_misses_nothing():
    """Only suspect parts of a trace are searched, with the result of a search of all of it."""
    for row in FAULTY[40.0]:
        np.testing.assert_array_equal(find_fills(row, 40.0), _search(row, 40.0))
        trace = np.where(find_fills(row, 40.0), np.nan, row)
        assert _find_sharp(trace, np.isfinite(trace), 40.0) == _search_sharp(trace, np.isfinite(trace), 100, 1)


def test_reading_leaves_faults_out():
    """Fills become gaps, both sides of a step have one level, and a region can be read by itself."""
    x = FAULTY[40.0]
    finder = FaultFinder(lambda a, b: x[:, a:b], x.shape[1], 40.0)
    y = finder.read(0, x.shape[1])
    assert np.isnan(y[0, 20 * 40 : 21 * 40]).all()
    assert np.nanmax(np.abs(y[0])) < 1000
    assert np.ptp(y[1][np.isfinite(y[1])]) < 2000
    part = finder.read(8000, 9000)
    np.testing.assert_allclose(part - part[:, :1], y[:, 8000:9000] - y[:, 8000:8001])


def test_a_dead_trace_and_ordinary_records_are_read_as_they_are():
    """Nothing is found, and the array that is read is that of the record."""
    x = np.stack([noise(12000), np.full(12000, 7.0)])
    finder = FaultFinder(lambda a, b: x[:, a:b], 12000, 100.0)
    assert not finder.find(0, 12000)
    assert finder.read(2000, 3000).base is x


def test_steps_and_fills_change_nothing_around_them():
    """What is removed is about the same without them, and nothing is removed from fills."""
    model = build_identity_denoiser()
    clean = np.stack([noise(6000)])
    hurt = clean.copy()
    hurt[0, 1000:1300] = -(2.0**31)
    hurt[0, 3000:] += 5000
    seen = []

    class Spy:
        """Keeps the windows that the net would be given."""

        contract = model.contract

        def noise(self, batch):
            seen.append(batch)
            return np.ones(batch.shape)

    removed = build_noise_reader(lambda a, b: hurt[:, a:b], 6000, (2,), 100.0, _with_noise(model, Spy().noise))(0, 6000)
    assert max(float(np.nanmax(np.abs(batch - np.nanmedian(batch)))) for batch in seen) < 1000
    assert not removed[0, 1000:1300].any()
    assert (np.delete(removed[0], np.s_[1000:1300]) == 1).all()


def _with_noise(model, noise_of_windows):
    """A denoiser whose noise is that of a function."""

    class Other(type(model)):
        def noise(self, batch):
            return noise_of_windows(batch)

    return Other(
        **{name: getattr(model, name) for name in model.__dataclass_fields__ if model.__dataclass_fields__[name].init}
    )
