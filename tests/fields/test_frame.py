"""Windows of fields: any region, and any place on a periodic axis, has the noise of the whole field."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geoae
from geoae.fields.frame import (
    FieldFrame,
    denoise_region,
    iterate_regions,
    output_dtype,
    predict_region_noise,
    read_spans,
    split_span,
)
from geoae.fields.infer import build_frame
from tests.support import fields
from tests.support.fields import assert_close as close

few = settings(max_examples=12, suppress_health_check=list(HealthCheck))
MODEL = fields.tiny_model()
SIZES = st.tuples(st.integers(1, 5), st.integers(8, 50), st.integers(8, 60))


@few
@given(
    sizes=SIZES, closes=st.tuples(st.booleans(), st.booleans()), batch=st.integers(1, 20), far=st.integers(0, 4),
    enough=st.sampled_from([0, 0, 30, 60]), overview=st.sampled_from([0, 2, 3]), data=st.data(),
)  # fmt: skip
def test_a_region_has_the_noise_of_the_whole(sizes, closes, batch, far, enough, overview, data):
    """The noise of a region, computed from its spans alone, is the noise of the whole field there."""
    x = fields.field(*sizes, gaps=0.1).values
    model = fields.tiny_model(far=far, near=min(far, 1), enough=enough, overview=overview)
    frame = FieldFrame(x.shape, (1, 2), 0 if far else None, closes, model.contract)
    whole = tuple(slice(0, n) for n in x.shape)
    part = tuple(slice(*sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2)))) for n in x.shape)
    expected = predict_region_noise(read_spans(x, frame.spans(whole), frame), frame, whole, model)[part]
    found = predict_region_noise(read_spans(x, frame.spans(part), frame), frame, part, model, batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.nanstd(x)))


@few
@given(
    sizes=st.tuples(st.just(1), st.integers(60, 170), st.integers(120, 250)),
    closes=st.tuples(st.just(False), st.booleans()), overview=st.sampled_from([2, 3]), data=st.data(),
)  # fmt: skip
def test_a_region_of_a_large_slice_needs_only_its_surroundings(sizes, closes, overview, data):
    """With an overview, the noise of a region is that of the whole slice, but only a part of the slice is read."""
    x = fields.field(*sizes, gaps=0.1).values[0]
    model = fields.tiny_model(window=(16, 16), stride=(12, 12), overview=overview)
    frame = FieldFrame(x.shape, (0, 1), None, closes, model.contract)
    assert frame.overview == overview
    whole, part = (
        tuple(slice(0, n) for n in x.shape),
        tuple(slice(a, a + 20) for a in (data.draw(st.integers(0, n - 20)) for n in x.shape)),
    )
    expected = predict_region_noise(read_spans(x, frame.spans(whole), frame), frame, whole, model)[part]
    found = predict_region_noise(read_spans(x, frame.spans(part), frame), frame, part, model)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.nanstd(x)))
    if not closes[1] and x.shape[1] > 200:
        assert frame.spans(part)[1] != slice(0, x.shape[1])


@few
@given(n=st.integers(8, 120), ny=st.integers(8, 40), by=st.integers(0, 119))
def test_there_is_no_seam_around_the_globe(n, ny, by):
    """On periodic longitudes windows are evenly spaced: rolling the field by a stride rolls the result."""
    x = fields.field(3, ny, n, closes=True)
    frame = build_frame(x, MODEL)
    assert frame.periodic == (False, True)
    starts = frame.grid.starts(1)
    spacing = np.diff(starts)
    assert spacing.max() <= frame.grid.stride[1] < frame.grid.window[1] or n + 8 <= frame.grid.window[1]
    count = -(-n // frame.grid.stride[1])
    assert (starts[count:] - starts[:-count] == n).all()
    if n % count == 0:
        step = by % count * (n // count)
        close(
            geoae.denoise(x.roll(lon=step), model=MODEL, threads=1).values,
            geoae.denoise(x, model=MODEL, threads=1).roll(lon=step).values,
        )


@given(start=st.integers(-50, 50), length=st.integers(1, 60), n=st.integers(1, 25))
def test_spans_count_modulo_the_length_of_the_axis(start, length, n):
    """The slices of a span hold its samples in order."""
    axis = np.arange(n)
    parts = [axis[part] for part in split_span(slice(start, start + length), n)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(start, start + length) % n)
    two, frame = np.arange(3 * n).reshape(3, n), FieldFrame((3, n), (0, 1), None, (False, True), MODEL.contract)
    np.testing.assert_array_equal(read_spans(two, (slice(1, 3), slice(start, start + length)), frame),
                                  two[1:, np.arange(start, start + length) % n])  # fmt: skip


@given(start=st.integers(-50, 50), length=st.integers(1, 60), n=st.integers(3, 25), repeats=st.integers(1, 2))
def test_repeated_samples_are_taken_where_they_lie(start, length, n, repeats):
    """A span has the samples of the ring, and at their own positions those that repeat its first ones."""
    axis, positions = np.append(np.arange(n), -1 - np.arange(repeats)), np.arange(start, start + length)
    parts = [axis[part] for part in split_span(slice(start, start + length), n, repeats)]
    expected = np.where((positions >= n) & (positions < n + repeats), n - 1 - positions, positions % n)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_regions_cover_the_field_once():
    """Each sample of a large field lies in one region of at most about a million samples."""
    frame = FieldFrame((3, 1500, 1100), (1, 2), 0, (False, False), MODEL.contract)
    count = np.zeros(frame.shape, int)
    for region in iterate_regions(frame):
        count[region] += 1
        assert count[region].size <= 1 << 21
    assert (count == 1).all()


@pytest.mark.parametrize(("before", "after"), [("f2", "f2"), (">f4", "f4"), ("f8", "f8"), ("i2", "f4"), ("u1", "f4")])
def test_signals_of_floats_keep_their_type(before, after):
    """Byte order becomes that of the machine; integers become float32."""
    assert output_dtype(np.dtype(before)) == np.dtype(after)


def test_half_precision_does_not_overflow():
    """Samples near the largest number of float16 stay finite, and signal and noise add up to them."""
    x = np.full((16, 16), 65000.0, np.float16)
    x[::2] = -65000.0
    frame = FieldFrame(x.shape, (0, 1), None, (False, False), MODEL.contract)
    region = (slice(0, 16), slice(0, 16))
    samples, signal, removed = denoise_region(x, frame, region, MODEL)
    assert np.isfinite(signal).all()
    np.testing.assert_allclose(signal.astype(float) + removed, samples, atol=64)
