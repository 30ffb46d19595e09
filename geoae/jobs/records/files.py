"""Denoise recordings into files, and draw the first record."""

from pathlib import Path

from geoae.errors import InputError, OutputError
from geoae.files.whole import whole_file
from geoae.jobs.inputs import note_above_band
from geoae.jobs.options import DenoiseOptions, Progress
from geoae.jobs.records.clean import PlottedRecord, denoise_segments
from geoae.jobs.records.counts import RecordSummary, TraceCounts, TraceSums
from geoae.jobs.records.sinks import FileSink, OutputPlan
from geoae.labels.segments import Segment
from geoae.model import Model, load_model
from geoae.model.devices import prepare_model


def write_files(
    segments: list[Segment], names: OutputPlan, problems: list[str], options: DenoiseOptions, progress: Progress
) -> RecordSummary:
    """Denoise segments into the files of a plan; `problems` are those that scanning found."""
    inference, figure, counts = options.inference, options.files.plot, TraceCounts(segments)
    model = prepare_model(load_model(inference.model), inference.device, inference.threads)
    inference = inference.for_model(model)
    drawings: list[PlottedRecord] = []
    with FileSink(names, segments) as sink:
        denoise_segments(segments, model, inference, sink, counts, progress, drawings.append if figure else None)
        rows = counts.conclude()
    failed, noted = _problems_and_notes(rows, sink)
    problems = [*problems, *counts.losses, *failed, *sink.problems]
    notes = [*counts.notes, *counts.doubts, *sink.notes, *noted, *note_above_band(segments, model, inference)]
    outputs = sink.outputs
    if not outputs:
        reason = (
            "; ".join(line.rstrip(".") for line in problems) or "there are only text channels and nothing to denoise"
        )
        raise InputError(f"No output was written: {reason}.")
    if figure is not None and drawings:
        try:
            outputs = [*outputs, draw_record(drawings[0], figure, model, inference.highpass)]
        except OutputError as error:
            problems.append(str(error))
    return RecordSummary(
        rows, outputs, problems, notes, model.label, 0.0, sink.formats, keep_doubtful=inference.keep_doubtful
    )


def draw_record(drawing: PlottedRecord, path: Path, model: Model, highpass_hz: float | None = None) -> Path:
    """Write the figure of a record: before, after, and removed noise. The title names model and high-pass."""
    from geoae.plot.records import plot_denoised

    record = drawing.record
    figure = plot_denoised(
        drawing.before, drawing.after, drawing.before - drawing.after, record.rate_hz, record.start_ns, record.ids,
        title=f"geoae denoise, model {model.label}" + (f", high-pass {highpass_hz:g} Hz" if highpass_hz else ""),
    )  # fmt: skip
    try:
        with whole_file(path, advice=" The recordings are complete.") as part:
            figure.savefig(part)
    except (ValueError, RuntimeError) as error:  # backends of matplotlib raise their own errors
        raise OutputError(f"The figure {path} cannot be written: {error}. The recordings are complete.") from error
    return path


def _problems_and_notes(rows: list[TraceSums], sink: FileSink) -> tuple[list[str], list[str]]:
    """Problems (traces that were not denoised, inputs without an output) and notes."""
    without_output = {source: None for source, target in sink.names.signal.items() if target in sink.unwritten}
    problems = [
        f"{row.id}: {row.problem}" + (f"; {row.outcome}" if row.source not in without_output else "")
        for row in rows
        if row.problem
    ]
    if sink.outputs:
        problems += [
            f"{source}: it holds nothing to denoise and write; no output was written for it"
            for source in without_output
        ]
    notes = [f"{row.id}: {note}" for row in rows for note in row.notes if row.source not in without_output]
    return problems, notes
