"""Tests of geoae.writers.records.encodings: samples, rates, times and codes come back through ObsPy."""

import io

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime

from geoae.errors import InputError
from geoae.labels.segments import Segment
from geoae.writers.records.encodings import RecordHeader, choose_format, pack_records, rate_fields
from geoae.writers.records.traces import TraceWriter
from tests.support.segments import START_NS, listing, put, samples, segment


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("scratch")


@given(rate_hz=st.one_of(st.floats(1e-4, 1e5), st.sampled_from([99.9999, 0.1, 50_000.0, 65_537.0, 1e-4, 18.2])))
@settings(max_examples=150)
def test_any_rate_survives_to_single_precision_and_never_splits_a_trace(scratch, rate_hz):
    """The rate comes back to float32 rounding, or better, and many records of it join to one trace."""
    piece, data = segment(6000, rate_hz=rate_hz), samples(6000)
    with TraceWriter(scratch / "rate.mseed", overwrite=True) as writer:
        put(writer, piece, data, block=2500)
    (trace,) = obspy.read(scratch / "rate.mseed")
    assert trace.stats.sampling_rate == pytest.approx(rate_hz, rel=2.0**-24)
    np.testing.assert_array_equal(trace.data, data)


@pytest.mark.parametrize(
    "rate_hz", [1.0, 62.5, 1 / 3, 0.1, 18.2, 31.25, 32_767.0, 50_000.0, 1e-5, 1e6, 2 / 7, 65_537.0]
)
def test_rates_that_the_header_can_hold_are_exact(scratch, rate_hz):
    """Whole numbers, their ratios and their inverses come back without any rounding."""
    with TraceWriter(scratch / "exact.mseed", overwrite=True) as writer:
        put(writer, segment(10, rate_hz=rate_hz), samples(10))
    assert obspy.read(scratch / "exact.mseed")[0].stats.sampling_rate == rate_hz


@pytest.mark.parametrize("encoding", [None, "STEIM2"])
@given(start_us=st.integers(-2_000_000_000_000_000, 4_000_000_000_000_000))
@settings(max_examples=60)
def test_starts_survive_to_the_microsecond(scratch, encoding, start_us):
    """Any microsecond between 1906 and 2096 comes back."""
    piece = segment(5, start_ns=1000 * start_us)
    with TraceWriter(scratch / "start.mseed", overwrite=True, encoding=encoding) as writer:
        put(writer, piece, samples(5, np.int32))
    assert obspy.read(scratch / "start.mseed")[0].stats.starttime.ns == 1000 * start_us


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16])
def test_records_are_those_of_obspy(dtype):
    """Bytes are those of ObsPy's own writer, but for blockette 1000, which comes first here and second there."""
    x = samples(5000, dtype)
    encoding = {"f4": "FLOAT32", "f8": "FLOAT64", "i4": "INT32", "i2": "INT16"}[x.dtype.str[1:]]
    head = RecordHeader("XX", "ABC", "", "HHZ", "R", 62.5, START_NS, encoding, 4096)
    ids = {"network": "XX", "station": "ABC", "channel": "HHZ"}
    more = {"dataquality": "R", "blkt1001": {"timing_quality": 0}}
    header = {**ids, "sampling_rate": 62.5, "starttime": UTCDateTime(ns=START_NS), "mseed": more}
    buffer = io.BytesIO()
    Stream([Trace(x, header)]).write(buffer, format="MSEED", encoding=head.encoding)
    theirs = np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, 4096).copy()
    theirs[:, 48:64] = np.concatenate([theirs[:, 56:64], theirs[:, 48:56]], axis=1)
    theirs[:, 50:52], theirs[:, 58:60] = [0, 56], [0, 0]
    np.testing.assert_array_equal(pack_records(head, 0, x, sequence=1), theirs)


@pytest.mark.parametrize("encoding", ["INT32", "STEIM1", "STEIM2"])
def test_integer_encodings_round(tmp_path, encoding):
    """Float samples become the nearest integers, in one trace for any size of blocks."""
    x = samples(200_000) * 10
    with TraceWriter(tmp_path / "i.mseed", encoding=encoding) as writer:
        put(writer, segment(200_000, rate_hz=99.9999), x, block=30_000)
    (trace,) = obspy.read(tmp_path / "i.mseed")
    assert trace.stats.mseed.encoding == encoding
    assert trace.data.dtype == np.int32
    np.testing.assert_array_equal(trace.data, np.rint(x))


@pytest.mark.parametrize(("low", "high"), [(-(2**31), 2**31 - 1), (0, 2**31 - 1)])
def test_steim1_holds_every_step_between_integers(tmp_path, low, high):
    """Steps from one end of the 32-bit range to the other come back."""
    x = np.array([low, high] * 300, np.int32)
    with TraceWriter(tmp_path / "i.mseed", encoding="STEIM1") as writer:
        put(writer, segment(600), x)
    np.testing.assert_array_equal(obspy.read(tmp_path / "i.mseed")[0].data, x)


@pytest.mark.parametrize("step", [2**29 - 1, -(2**29)])
def test_steim2_holds_steps_of_30_bits(tmp_path, step):
    """The largest step comes back; a larger one is an error that proposes FLOAT32."""
    x = np.array([0, step, 0] if step > 0 else [-step, 0], np.int32)[:2]
    with TraceWriter(tmp_path / "i.mseed", encoding="STEIM2") as writer:
        put(writer, segment(2), x)
    np.testing.assert_array_equal(obspy.read(tmp_path / "i.mseed")[0].data, x)
    with pytest.raises(InputError, match=r"30 bits.*FLOAT32"), TraceWriter(tmp_path / "j", encoding="STEIM2") as writer:
        put(writer, segment(2), x + np.sign(x) * (x != 0).astype(np.int32))


@pytest.mark.parametrize(
    ("value", "encoding", "dtype"),
    [
        (np.nan, "INT32", "f4"),
        (np.inf, "STEIM2", "f8"),
        (3e9, "STEIM1", "f4"),
        (2**31, "INT32", "f4"),
        (40_000, "INT16", "i4"),
    ],
)
def test_what_an_integer_encoding_cannot_hold_is_an_error(tmp_path, value, encoding, dtype):
    """NaN, infinite and too large samples are errors that propose FLOAT32, and nothing is written."""
    with pytest.raises(InputError, match="FLOAT32"), TraceWriter(tmp_path / "n.mseed", encoding=encoding) as writer:
        put(writer, segment(3), np.array([0, value, 0], dtype))
    assert listing(tmp_path) == []


def test_values_beyond_float32_are_an_error_for_float32(tmp_path):
    """1e300 is not turned into infinity; infinity itself passes."""
    with pytest.raises(InputError, match="FLOAT64"), TraceWriter(tmp_path / "n.mseed", encoding="FLOAT32") as writer:
        put(writer, segment(2), np.array([0.0, 1e300]))
    with TraceWriter(tmp_path / "n.mseed", encoding="FLOAT32") as writer:
        put(writer, segment(3), np.array([0.0, np.inf, np.nan]))
    np.testing.assert_array_equal(obspy.read(tmp_path / "n.mseed")[0].data, [0, np.inf, np.nan])


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (np.array([1, -(2**31)], np.int64), "INT32"),
        (np.array([1, 2**31], np.int64), "FLOAT64"),
        (np.array([0, 2**32 - 1], np.uint32), "FLOAT64"),
        (np.array([0, 255], np.uint8), "INT16"),
        (np.array([0, 0.5], np.float16), "FLOAT32"),
    ],
)
def test_other_dtypes_take_an_encoding_that_holds_them(tmp_path, data, encoding):
    """Also if the deciding value is in the second block."""
    with TraceWriter(tmp_path / "d.mseed") as writer:
        put(writer, segment(2), data, block=1)
    (trace,) = obspy.read(tmp_path / "d.mseed")
    assert trace.stats.mseed.encoding == encoding
    np.testing.assert_array_equal(trace.data, data)


def test_complex_samples_are_refused(tmp_path):
    """No format can hold them."""
    for format_name in ("MSEED", "SLIST"):
        with pytest.raises(InputError, match="complex"), TraceWriter(tmp_path / "c", format_name) as writer:
            put(writer, segment(2), np.ones(2, complex))


def test_ids_that_are_too_long_are_an_error(tmp_path):
    """A station code of six letters is not cut short."""
    piece = Segment("XX.ABCDEF..HHZ", START_NS, 100.0, 2, 0, None, None)
    with pytest.raises(InputError, match=r"station.*ABCDEF"), TraceWriter(tmp_path / "i.mseed") as writer:
        put(writer, piece, samples(2))


def test_rate_fields_follow_the_seed_manual():
    """Positive numbers multiply, negative ones divide; float32 is added if it is closer to the rate."""
    assert rate_fields(100.0) == (100, 1, None)
    assert rate_fields(62.5) == (125, -2, None)
    assert rate_fields(1 / 3) == (-3, 1, None)
    assert rate_fields(1e-5)[0] * rate_fields(1e-5)[1] == 100_000
    assert rate_fields(99.9999)[2] == np.float32(99.9999)


def test_a_format_is_proposed_that_holds_an_id():
    """miniSEED, or text for longer codes."""
    assert choose_format("XX.ABCDE.00.HHZ") == choose_format("...") == "MSEED"
    assert choose_format("XX.AKT013..EW") == "SLIST"
