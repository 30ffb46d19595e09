"""Denoise ObsPy objects in memory."""

import warnings
from pathlib import Path

import numpy as np
import obspy
import pytest

from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records.stream import denoise_stream
from geoae.records import infer
from tests.conftest import tiny_model
from tests.records.test_fills import noise


def test_signal_and_noise_add_up_to_the_stream():
    """The kind of object, headers and masks stay; the input is not changed."""
    stream = obspy.read()
    stream[0].data = np.ma.masked_greater(stream[0].data, np.percentile(stream[0].data, 99))
    before = stream.copy()
    options = InferenceOptions(tiny_model(), threads=1)
    signal, noise = denoise_stream(stream, options, noise=True)
    assert stream == before
    assert [trace.id for trace in signal] == [trace.id for trace in stream]
    for s, n, x in zip(signal[1:], noise[1:], stream[1:], strict=True):
        np.testing.assert_allclose(s.data + n.data, x.data, atol=1e-3 * np.abs(x.data).max())
    np.testing.assert_array_equal(signal[0].data.mask, stream[0].data.mask)
    assert isinstance(denoise_stream(stream[1], options), obspy.Trace)


def test_an_empty_stream_is_refused():
    """The error names the likely cause."""
    with pytest.raises(InputError, match="The Stream is empty"):
        denoise_stream(obspy.Stream(), InferenceOptions())


def pieces(parts, add=0):
    """Parts of a recording of three components, as a Stream; `add` to the east component of all but the first part."""
    rng = np.random.default_rng(0)
    x = (10 * rng.normal(size=(3, 3000)).cumsum(axis=1)).astype(np.int32)
    return obspy.Stream(
        obspy.Trace(
            row[a:b] + np.int32(add * (c == "E" and a > 0)),
            {"station": "A", "channel": f"HH{c}", "sampling_rate": 100.0, "starttime": a / 100},
        )
        for c, row in zip("ENZ", x, strict=True)
        for a, b in parts
    )


@pytest.mark.parametrize("block", [700, 1 << 20])
@pytest.mark.parametrize("parts", [[(0, 1001), (1000, 3000)], [(0, 1500), (1000, 2500), (2000, 3000)], [(0, 3000)] * 2])
def test_shared_samples_leave_no_seam(monkeypatch, parts, block):
    """Traces that share samples come back as they came, with the samples of the whole recording in each copy."""
    monkeypatch.setattr(infer, "BLOCK_N", block)
    options = InferenceOptions(tiny_model(), threads=1)
    whole = denoise_stream(pieces([(0, 3000)]), options)
    stream = pieces(parts)
    signal, noise = denoise_stream(stream, options, noise=True)
    for s, n, x in zip(signal, noise, stream, strict=True):
        assert (s.id, s.stats.starttime, s.stats.npts) == (x.id, x.stats.starttime, x.stats.npts)
        a = round(float(s.stats.starttime) * 100)
        expected = whole.select(channel=s.stats.channel)[0].data[a : a + s.stats.npts]
        np.testing.assert_allclose(s.data, expected, atol=1e-3)
        np.testing.assert_allclose(s.data + n.data, x.data, atol=1e-3)


@pytest.mark.parametrize("block", [700, 1 << 20])
def test_overlaps_that_differ_are_told_and_cost_no_more_than_a_gap(monkeypatch, block):
    """Each version keeps its samples; beyond the overlap, both are close to those of the whole recording."""
    monkeypatch.setattr(infer, "BLOCK_N", block)
    options = InferenceOptions(tiny_model(), threads=1)
    whole = denoise_stream(pieces([(0, 3000)]), options)[0].data
    stream = pieces([(0, 1200), (1000, 3000)], add=1)
    with pytest.warns(UserWarning, match=r"\.A\.\.HHE: two segments overlap at .*, by 200 samples, and differ there"):
        signal, noise = denoise_stream(stream, options, noise=True)
    for s, n, x in zip(signal, noise, stream, strict=True):
        np.testing.assert_allclose(s.data + n.data, x.data, atol=1e-3)
    changes = np.abs(signal[1].data - 1 - whole[1000:]), np.abs(signal[0].data - whole[:1200])
    assert max(change.max() for change in changes) < 0.05 * whole.std()


def test_the_noise_of_what_passes_through_is_zero_of_the_same_length():
    """Also of a channel without a rate."""
    stream = obspy.Stream([obspy.Trace(np.arange(50), {"sampling_rate": rate}) for rate in (1.0, 0.0)])
    with pytest.warns(UserWarning, match="comes back unchanged"):
        signal, noise = denoise_stream(stream, InferenceOptions(tiny_model(), threads=1), noise=True)
    for s, n, x in zip(signal, noise, stream, strict=True):
        np.testing.assert_array_equal(s.data, x.data)
        np.testing.assert_array_equal(n.data, np.zeros(50))


def test_filled_gaps_come_back_and_are_told():
    """Fills come back as they came, in the signal; a line names each trace, and other traces stay as they are."""
    x = noise(4000)
    filled = x.astype(np.int32)
    filled[1000:1300] = -(2**31)
    traces = [obspy.Trace(data, {"channel": f"HH{c}", "sampling_rate": 100}) for data, c in ((filled, "E"), (x, "N"))]
    with pytest.warns(UserWarning, match="filled gaps") as told:
        signal, removed = denoise_stream(obspy.Stream(traces), InferenceOptions(tiny_model(), threads=1), noise=True)
    assert [str(line.message) for line in told] == [
        "...HHE: 300 samples are taken for filled gaps and stay unchanged (value -2147483648)"
    ]
    np.testing.assert_array_equal(signal[0].data[1000:1300], -(2.0**31))
    assert not removed[0].data[1000:1300].any()
    assert np.abs(removed[0].data).max() < 1000


SEG2 = "seg2/tests/data/20130107_103041000.CET.3c.cont.0.seg2.gz"


@pytest.mark.parametrize("name", ["segy/tests/data/00001034.sgy_first_trace", SEG2])
def test_streams_with_headers_of_their_own(name):
    """Streams of SEG-Y and SEG-2 files have `stats`, as traces do; they are Streams, and keep these headers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = obspy.read(str(Path(obspy.__file__).parent / "io" / name))
    before = stream.copy()
    signal, noise = denoise_stream(stream, InferenceOptions(tiny_model(), threads=1), noise=True)
    assert stream == before
    for found in (signal, noise):
        assert found.stats == stream.stats
        assert found.stats is not stream.stats
        assert [trace.id for trace in found] == [trace.id for trace in stream]
    for s, n, x in zip(signal, noise, stream, strict=True):
        np.testing.assert_allclose(s.data + n.data, x.data, atol=1e-3 * np.abs(x.data).max())


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i2"])
def test_ordinary_samples_are_float32(dtype):
    """Of float32 they always are; of other types where float32 does no harm."""
    stream = obspy.read()
    for trace in stream:
        trace.data = (100 * trace.data).astype(dtype)
    for found in denoise_stream(stream, InferenceOptions(tiny_model(), threads=1), noise=True):
        assert [trace.data.dtype for trace in found] == [np.float32] * 3
