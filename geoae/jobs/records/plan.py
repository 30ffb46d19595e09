"""Plan of a store for one record: the record itself, its layout, and the settings that decide its samples."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from geoae.errors import InputError
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.options import InferenceOptions
from geoae.labels.segments import Record, Segment
from geoae.model import Model, require_contract
from geoae.model.denoising import describe_processing
from geoae.readers.records import arrange, traces
from geoae.readers.records.context import MAX_STEP_S
from geoae.readers.records.selection import cut_segment
from geoae.records.contract import RecordContract
from geoae.records.judge import FLAGS
from geoae.stores import blocks
from geoae.stores.plan import Chunking, StorePlan, plan_field
from geoae.stores.schema import DOUBTS, KIND, RECORD, SIGMA, START_TIME

CHUNK_SAMPLES = blocks.TARGET_SAMPLES
"""Samples in a chunk, all channels together. The model takes all channels at once, so they share a chunk."""
MAX_SAMPLES = 1 << 25
"""Largest number of samples along time. The time coordinate is held in memory while the store is laid out."""


def cut_short_overlaps(segments: Sequence[Segment]) -> tuple[list[Segment], list[str]]:
    """Leave out samples that one time axis cannot hold, where a clock was set back by a few samples or a second.

    Returns
    -------
    segments
        In the same order. Those that begin before the end of another one, with other samples, begin with its end. All
        are unchanged if one of the overlaps is longer than the step of a clock.
    losses
        A line for each id.
    """
    overlaps = {(o.id, o.start_ns): o.n for record in traces.group_segments(segments) for o in record.overlaps}
    cut, lost = list(segments), dict[str, int]()
    for i, segment in enumerate(segments):
        if n := overlaps.get((segment.id, segment.start_ns)):
            if n >= segment.n or n > MAX_STEP_S * segment.rate_hz:
                return list(segments), []
            cut[i] = cut_segment(segment, n, segment.n)
            lost[segment.id] = lost.get(segment.id, 0) + n
    return cut, [
        f"{id_}: {n} sample{'s' * (n > 1)} are left out, where segments overlap and differ: a store has one time axis. "
        "miniSEED files keep them."
        for id_, n in lost.items()
    ]


def find_one_record(files: Sequence[Path], segments: Sequence[Segment]) -> Record:
    """The record that segments of files form.

    Raises
    ------
    InputError
        There is no record or more than one, or it is longer than `MAX_SAMPLES`.
    """
    records = traces.group_segments(segments)
    names = ", ".join(p.name for p in files[:3]) + (", ..." if len(files) > 3 else "")
    if not records:
        raise InputError(f"{names}: there are no samples, and nothing to denoise.")
    if len(records) > 1:
        overlaps = [line.partition(";")[0] for line in arrange.describe_overlaps(records)[:1]]
        listed = "; ".join(_describe(record) for record in records[:3]) + ("; ..." if len(records) > 3 else "")
        raise InputError(
            f"{names}: there are {len(records)} records ({listed}), but a store holds one record: one sensor over one "
            f"stretch of time. {''.join(f'{line}. ' for line in overlaps)}Choose it with --id, --start-time, "
            "--end-time, or write miniSEED."
        )
    (record,) = records
    if record.n > MAX_SAMPLES:
        raise InputError(
            f"{names}: the record has {record.n} samples along time, but a store holds at most {MAX_SAMPLES} "
            f"({MAX_SAMPLES / record.rate_hz / 86400:.3g} days at {record.rate_hz:g} Hz). Split it by days with "
            "--start-time and --end-time, into one store each."
        )
    return record


def plan_record_store(
    record: Record, model: Model, options: InferenceOptions, coder: TruncatedCoder | None = None
) -> StorePlan:
    """Plan a store for one record, with its codes if there is a `coder`; float64 only for a record of float64."""
    x = traces.open_record(record)
    dtype = traces.float_dtype(record)
    nothing = np.broadcast_to(dtype.type(np.nan), x.shape)  # takes no memory
    template = x.copy(deep=False, data=nothing)
    template["time"].attrs = {"standard_name": "time", "long_name": "time of the sample, UTC", "axis": "T"}
    template["channel"].attrs = {"long_name": "channel code"}
    template["id"].attrs = {"long_name": "network.station.location.channel"}
    start = str(np.datetime64(record.start_ns, "ns"))
    done = describe_processing(model, options.dry, options.highpass, options.purpose)
    template.attrs |= {"long_name": "denoised recording", START_TIME: start, "processing": done}
    n_channels = len(record.ids)
    chunks = {"channel": n_channels, "time": max(CHUNK_SAMPLES // n_channels, 1)}
    units = {name: x.attrs[name] for name in ("units",) if name in x.attrs}
    sigma = {SIGMA: {"long_name": "standard error of the denoised samples", **units}} if options.sigma else {}
    plan = _add_doubts(plan_field(template, "time", extra=sigma, chunking=Chunking(chunks)))
    return plan + coder.plan(template, ["time"]) if coder else plan


def _add_doubts(plan: StorePlan) -> StorePlan:
    """Add a variable for the flags of each sample to a plan of samples."""
    (part,) = plan.parts
    trace = part.variables[0]
    attrs: dict[str, Any] = {
        "long_name": "doubts about the window of each sample", "flag_masks": [1 << i for i in range(len(FLAGS))],
        "flag_meanings": " ".join(FLAGS),
    }  # fmt: skip
    doubts = replace(trace, name=DOUBTS, dtype="uint8")
    beside = " ".join(v.name for v in (*part.variables[1:], doubts))
    own = {**plan.attrs[trace.name], "ancillary_variables": beside}
    return StorePlan(
        (replace(part, variables=(*part.variables, doubts)),),
        plan.coords,
        {**plan.attrs, trace.name: own, DOUBTS: attrs},
    )


def list_record_settings(
    record: Record, model: Model, options: InferenceOptions, coder: TruncatedCoder | None = None
) -> dict[str, Any]:
    """Settings that decide the samples. The store holds them, and a run is resumed only with equal ones.

    A record without a high-pass has one at 0 Hz there, so that an error can name the difference.
    """
    c = require_contract(model, RecordContract)
    return {
        KIND: RECORD, "model": model.name, "digest": model.digest, "model_rate_hz": c.rate_hz,
        "window": c.window, "stride": c.stride, "scaler": asdict(model.scaler), "dry": options.dry,
        "above_band": options.above_band, "keep_doubtful": options.keep_doubtful, "ids": list(record.ids),
        "highpass_hz": options.highpass or 0.0,
        **({"partner": model.partner.name, "partner_digest": model.partner.digest} if model.partner else {}),
        "start": str(np.datetime64(record.start_ns, "ns")), "samples": record.n, "rate_hz": record.rate_hz,
        **({} if options.purpose is None else {"purpose": options.purpose}),
        **(coder.settings() if coder else {}),
    }  # fmt: skip


def _describe(record: Record) -> str:
    start = str(np.datetime64(record.start_ns, "ns").astype("datetime64[s]"))
    return f"{', '.join(record.ids)} from {start}, {record.n / record.rate_hz:.6g} s"
