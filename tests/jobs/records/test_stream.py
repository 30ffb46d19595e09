"""Denoise ObsPy objects in memory."""

import numpy as np
import obspy
import pytest

from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records.stream import denoise_stream
from tests.conftest import tiny_model


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
