"""`denoise_files` by the words of the command line, as most tests call it."""

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
    **words: Any,
) -> RecordSummary | FieldSummary:
    """Denoise files; `options` says how the model is run, `words` all else."""
    asked = DenoiseOptions.from_keywords(out=out, **vars(options or InferenceOptions()), **words)
    return denoise.denoise_files(inputs, asked, progress)
