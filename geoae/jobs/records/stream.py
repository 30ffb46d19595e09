"""Denoise an ObsPy Stream in memory."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records.clean import denoise_segments
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.sinks import MemorySink
from geoae.model import load_model
from geoae.model.denoising import describe_processing
from geoae.model.devices import prepare_model
from geoae.readers.records import traces


def denoise_stream(stream: Any, options: InferenceOptions, noise: bool = False) -> Any:
    """Denoise an ObsPy Stream or Trace. Returns a new one of the same kind, or (signal, noise) if `noise`.

    Traces that cannot be denoised come back unchanged, with a warning that gives the reason. Filled gaps and steps are
    named in a warning, too.
    """
    from obspy import Stream, Trace

    source = Stream([stream]) if isinstance(stream, Trace) else stream
    if not source:
        raise InputError("The Stream is empty, so there is nothing to denoise. Check how it was read or selected.")
    segments = list(traces.scan_stream(source).segments)
    model = prepare_model(load_model(options.model), options.device, options.threads)
    sink, counts = MemorySink(), TraceCounts(segments)
    denoise_segments(segments, model, options, sink, counts)
    for trace in counts.conclude():
        if trace.problem:
            warnings.warn(f"{trace.id}: {trace.problem}; it comes back unchanged", stacklevel=3)
        else:
            for line in trace.faults.notes():
                warnings.warn(f"{trace.id}: {line}", stacklevel=3)
    for line in counts.notes:
        warnings.warn(line, stacklevel=3)
    results = []
    for kept in (sink.signal, sink.removed):
        copies = Stream([_rebuild(trace, kept.get(i)) for i, trace in enumerate(source)])
        for i, copy in enumerate(copies):
            if i in sink.signal:
                copy.stats.processing = [*copy.stats.get("processing", []), describe_processing(model, options.dry)]
        results.append(copies[0] if isinstance(stream, Trace) else copies)
    return tuple(results) if noise else results[0]


def _rebuild(trace: Any, data: NDArray[Any] | None) -> Any:
    copy = trace.copy()
    if data is not None:
        if not data.size and trace.data.dtype.kind not in "SU":  # a trace without a rate has no samples in time
            data = np.zeros(len(trace.data), data.dtype)
        mask = getattr(trace.data, "mask", None)
        copy.data = data if mask is None else np.ma.array(data, mask=mask)
    return copy
