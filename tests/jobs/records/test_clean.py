"""Denoise segments into a sink: all samples are stored, and progress ends at their number."""

from threading import Event

import numpy as np
import pytest
from obspy import Stream, Trace

from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import clean
from geoae.jobs.records.clean import denoise_segments
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.sinks import MemorySink
from geoae.readers.records import traces
from geoae.records import infer
from geoae.records.faults import Faults
from geoae.records.removal import Removal
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


def test_an_interruption_does_not_wait_for_the_block_under_way():
    """Closing ends the work on the next block before its next batch of windows; nobody waits for it."""
    began, ended, halt = Event(), Event(), Event()
    model = tiny_model()
    noise = infer.build_noise_reader(
        lambda a, b: np.ones((1, b - a)), 10**9, [2], 100.0, model, batch=1, is_stopped=halt.is_set
    )

    def work(start: int, stop: int) -> Removal:
        if not start:
            return Removal(np.zeros((1, stop)))
        began.set()
        try:
            return Removal(noise(start, stop))
        finally:
            ended.set()

    readers = clean.SpanReaders(lambda a, b: np.ones((1, b - a)), work, lambda a, b: Faults(a, None, ()))
    blocks = clean._blocks_ahead(readers, [(0, 10), (10, 10_000_000)], halt)
    next(blocks)
    assert began.wait(60)
    blocks.close()
    assert halt.is_set()
    assert ended.wait(60)  # the whole block takes minutes


def walk(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    return (100 * rng.normal(size=n).cumsum() + 50 * rng.normal(size=n)).astype(np.int32)


def run(stream):
    """Denoise a Stream into memory; returns the sink and the counts."""
    segments = list(traces.scan_stream(stream).segments)
    sink, counts, options = MemorySink(), TraceCounts(segments), InferenceOptions(tiny_model(), threads=1)
    denoise_segments(segments, options.model, options, sink, counts)
    return sink, counts.conclude()


DEAD = np.full(3000, 2**30 + 7, np.int32)


def test_a_dead_trace_passes_through_in_all_its_segments():
    """Also if they lie in records of their own; a trace with one dead stretch is denoised in its type."""
    stream = Stream()
    for i, (channel, x) in enumerate([("HHE", DEAD), ("HHZ", walk()), ("HHE", DEAD), ("HHZ", DEAD)]):
        stream += Trace(x, {"channel": channel, "sampling_rate": 100.0, "starttime": 1e5 * (i // 2)})
    sink, rows = run(stream)
    assert sorted(sink.signal) == [1, 3]
    assert {row.id: bool(row.problem) for row in rows} == {"...HHE": True, "...HHZ": False}
    assert all(not sink.removed[i].any() for i in (0, 2))


@pytest.mark.parametrize(("offset", "dtype"), [(0, np.float32), (2**30, np.float64)])
def test_a_small_signal_on_a_large_offset_is_not_blurred(offset, dtype):
    """Signal and noise are float32 where it holds the samples, else float64, and they add up."""
    x = walk() // 20 + offset
    sink, (row,) = run(Stream([Trace(x.astype(np.int32), {"channel": "HHZ", "sampling_rate": 100.0})]))
    assert not row.problem
    assert sink.signal[0].dtype == sink.removed[0].dtype == dtype
    np.testing.assert_allclose(sink.signal[0].astype(float) + sink.removed[0], x, atol=1e-3)
    assert np.abs(sink.removed[0]).max() > 5


def test_the_figure_is_of_the_first_record():
    """The other records are not kept in memory for it, and a note says what is shown."""
    rng = np.random.default_rng(0)
    stream = Stream(
        Trace(rng.normal(size=500), {"station": name, "channel": "HHZ", "sampling_rate": 100}) for name in "ABC"
    )
    segments = list(traces.scan_stream(stream).segments)
    counts, shown = TraceCounts(segments), []
    options = InferenceOptions(tiny_model(), threads=1)
    denoise_segments(segments, tiny_model(), options, MemorySink(), counts, plot=shown.append)
    assert [plotted.record.ids for plotted in shown] == [(".A..HHZ",)]
    assert list(counts.notes) == [
        "the figure shows the first of 3 records, .A..HHZ; for another, choose it with --id and --start-time"
    ]
