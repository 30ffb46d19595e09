"""`denoise_files` with keywords of the command line, as most tests call it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geoae.jobs import denoise
from geoae.jobs.fields.counts import FieldSummary
from geoae.jobs.options import DenoiseOptions, InferenceOptions, Progress, no_progress
from geoae.jobs.records.counts import RecordSummary


def denoise_files(
    inputs: Sequence[str | Path],
    out: str | Path | None = None,
    options: InferenceOptions | None = None,
    progress: Progress = no_progress,
    **keywords: Any,
) -> RecordSummary | FieldSummary:
    """Denoise files; `options` holds model and device, `keywords` all other options."""
    given = vars(options or InferenceOptions())
    if given["purpose"] is not None:
        given = {**given, "dry": None}  # the purpose sets it
    all_options = DenoiseOptions.from_keywords(out=out, **given, **keywords)
    return denoise.denoise_files(inputs, all_options, progress)
