"""What a run works on: the files that were given, the segments in them, and what is to be said of these."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from geoae.errors import GeoAEError, InputError, UnknownFormatError
from geoae.jobs.clean import Options
from geoae.model import Model
from geoae.readers import grids, traces
from geoae.readers.layout import Segment


def once(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Each file once, whatever its names."""
    found: dict[Path, Path] = {}
    notes = []
    for path in inputs:
        if path.resolve() in found:
            notes.append(f"{path} was given more than once and is taken once.")
        found.setdefault(path.resolve(), path)
    return list(found.values()), notes


def scan(
    inputs: Sequence[Path], ids: Sequence[str], start_time: str | None, end_time: str | None
) -> tuple[list[Segment], list[str], list[str]]:
    """Segments of all inputs, with problems and notes; where only some of them can be read, the others are."""
    segments: list[Segment] = []
    problems: list[str] = []
    notes: list[str] = []
    for path in inputs:
        try:
            found = traces.scan(path, ids, start_time, end_time)
        except GeoAEError as error:
            told = _told(path, error)
            if len(inputs) == 1:
                raise told from error
            problems.append(str(told))
            continue
        segments += found.segments
        problems += found.losses
        notes += found.notes
    if not segments:
        raise InputError("; ".join(line.rstrip(".") for line in (*problems, *notes)) + ". No output was written.")
    return segments, problems, notes


def _told(path: Path, error: GeoAEError) -> GeoAEError:
    """The error, in words for who gives a field: it can be read, but not denoised."""
    if isinstance(error, UnknownFormatError) and grids.sniff(path):
        return InputError(
            f"{path.name} is a gridded field; this version denoises recordings only. `geoae info` shows what is in it."
        )
    return error


def above(segments: Iterable[Segment], model: Model, options: Options) -> list[str]:
    """Noise above the model's band stays unless asked for: said once, or a cleaned trace looks noisy for no reason."""
    limit = model.record.rate_hz
    ids = sorted({s.id for s in segments if not s.text and limit * 1.02 < s.rate_hz <= model.record.rate_range_hz[1]})
    if not ids or options.above_band != "pass":
        return []
    named = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
    return [f"{named}: what lies above {limit / 2:g} Hz is passed through; --above-band remove takes it away."]
