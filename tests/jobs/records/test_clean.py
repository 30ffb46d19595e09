"""Denoise segments into a sink: all samples are stored, and progress ends at their number."""

import numpy as np
import pytest
from obspy import Stream, Trace

from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import clean
from geoae.jobs.records.clean import denoise_segments
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.sinks import MemorySink
from geoae.readers.records import traces
from geoae.records import infer
from tests.conftest import tiny_model


@pytest.mark.parametrize("block", [1000, 1 << 20])
def test_all_samples_of_all_segments_are_stored(monkeypatch, block):
    """Signal and noise add up to the input; the plot gets the same samples; blocks change nothing but progress."""
    monkeypatch.setattr(infer, "BLOCK_N", block)
    rng = np.random.default_rng(0)
    data = {c: rng.normal(size=2500).cumsum().astype(np.float32) for c in "ENZ"}
    stream = Stream([Trace(x, {"channel": f"HH{c}", "sampling_rate": 100.0}) for c, x in data.items()])
    segments = list(traces.scan_stream(stream).segments)
    sink, counts, progress, plotted = MemorySink(), TraceCounts(segments), [], []
    options = InferenceOptions(tiny_model(), threads=1)
    denoise_segments(segments, options.model, options, sink, counts, lambda *n: progress.append(n), plotted.append)
    assert progress[-1] == (7500, 7500)
    for i, x in enumerate(data.values()):
        np.testing.assert_allclose(sink.signal[i] + sink.removed[i], x, atol=1e-3)
        assert np.abs(sink.removed[i]).max() > 0
    (shown,) = plotted
    np.testing.assert_array_equal(shown.before, np.stack(list(data.values())))
    assert all(trace.denoised for trace in counts.conclude())


def test_a_kept_block_is_read_once():
    """Regions inside the last block need no second reading."""
    calls = []

    def read(start, stop):
        calls.append((start, stop))
        return np.arange(start, stop)

    kept = clean._keep_last_block(read)
    np.testing.assert_array_equal(kept(0, 100), np.arange(100))
    np.testing.assert_array_equal(kept(20, 30), np.arange(20, 30))
    np.testing.assert_array_equal(kept(90, 110), np.arange(90, 110))
    assert calls == [(0, 100), (90, 110)]


@pytest.mark.parametrize("peak", [1e39, 1e-39])
def test_values_beyond_float32_are_refused(peak):
    """Float64 output holds them."""
    with pytest.raises(InputError, match="beyond the range of float32"):
        clean._check_range(np.full(3, peak), np.dtype("f4"))
    clean._check_range(np.full(3, peak), np.dtype("f8"))
