"""Denoise an ObsPy Stream in memory."""

import copy
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import DoubtWarning, InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records.clean import denoise_segments
from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.sinks import MemorySink
from geoae.model import load_model
from geoae.model.denoising import describe_processing
from geoae.model.devices import prepare_model
from geoae.readers.records import traces
from geoae.records.flags import describe_flags
from geoae.records.judge import TRANSIENT, UNLIKE

_CALLER = 5
"""Stack level of warnings: the line that calls `geoae.denoise`."""


def denoise_stream(stream: Any, options: InferenceOptions, noise: bool = False) -> Any:
    """Denoise an ObsPy Stream or Trace. Returns a new one of the same kind, or a tuple: signal, noise, sigma.

    Noise is in it if `noise`, sigma if `options.sigma`. Traces that cannot be denoised come back unchanged, with a
    warning that gives the reason. Filled gaps and steps are named in a warning, too. Doubts about windows are a
    `DoubtWarning`, and stand in `stats.geoae_flags` of the signal, as lines.
    """
    from obspy import Stream, Trace

    source = Stream([stream]) if isinstance(stream, Trace) else stream
    if not source:
        raise InputError("The Stream is empty, so there is nothing to denoise. Check how it was read or selected.")
    segments = list(traces.scan_stream(source).segments)
    model = prepare_model(load_model(options.model), options.device, options.threads)
    options = options.for_model(model)
    sink, counts = MemorySink(), TraceCounts(segments)
    denoise_segments(segments, model, options, sink, counts)
    for trace in counts.conclude():
        if trace.problem:
            warnings.warn(f"{trace.id}: {trace.problem}; it comes back unchanged", stacklevel=_CALLER)
        else:
            for line in trace.faults.notes():
                warnings.warn(f"{trace.id}: {line}", stacklevel=_CALLER)
    for line in counts.notes:
        warnings.warn(line, stacklevel=_CALLER)
    doubts = ((trace.id, trace.flags) for trace in counts.traces if trace.denoised)
    for line in (*counts.doubts, *describe_flags(doubts, options.keep_doubtful, (TRANSIENT, UNLIKE))):
        warnings.warn(line, DoubtWarning, stacklevel=_CALLER)
    flags = {segment.order: counts[segment].flags.describe() for segment in segments}
    results, done = [], describe_processing(model, options.dry, options.highpass, options.purpose)
    for kept in (sink.signal, *([sink.removed] if noise else []), *([sink.sigma] if options.sigma else [])):
        rebuilt = [_rebuild(trace, kept.get(i)) for i, trace in enumerate(source)]
        for i, trace in enumerate(rebuilt):
            if i in sink.signal:
                if flags.get(i) and kept is sink.signal:
                    trace.stats.geoae_flags = flags[i]
                trace.stats.processing = [*trace.stats.get("processing", []), done]
        results.append(rebuilt[0] if isinstance(stream, Trace) else _replace_traces(source, rebuilt))
    return tuple(results) if len(results) > 1 else results[0]


def _rebuild(trace: Any, data: NDArray[Any] | None) -> Any:
    rebuilt = trace.copy()
    if data is not None:
        if not data.size and trace.data.dtype.kind not in "SU":  # a trace without a rate has no samples in time
            data = np.zeros(len(trace.data), data.dtype)
        mask = getattr(trace.data, "mask", None)
        rebuilt.data = data if mask is None else np.ma.array(data, mask=mask)
    return rebuilt


def _replace_traces(stream: Any, traces: list[Any]) -> Any:
    """Copy a Stream with other traces; it may have headers of the whole file, as those of SEG-Y and SEG-2 have."""
    copied = copy.copy(stream)
    for name, value in vars(stream).items():
        setattr(copied, name, traces if name == "traces" else copy.deepcopy(value))
    return copied
