"""What a run works on: recordings or fields, the segments in recordings, and what is to be said of these."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from geoae import catalog
from geoae.errors import GeoAEError, InputError
from geoae.jobs.field_source import FieldSource, catalogued
from geoae.jobs.inspect import unfinished
from geoae.jobs.options import Options
from geoae.model import Model
from geoae.readers import cleaned, grids, traces
from geoae.readers.layout import Segment


def sort_out(inputs: Sequence[str | Path]) -> list[Path] | FieldSource:
    """Files of recordings, or fields: told by their names in the catalog, addresses and first bytes.

    Raises
    ------
    InputError
        There are both, or several entries of the catalog, or a store that has been cleaned already.
    MissingFileError
        Of a pattern with wildcards there is no file.
    """
    recordings: list[Path] = []
    fields: list[str] = []
    for one in map(str, inputs):
        if "://" in one:
            fields.append(one)
        elif (found := _entry(one)) is not None:
            if found.reader == "grids" and len(inputs) > 1:
                raise InputError(f"{one} is a data set of the catalog; give it alone.")
            if found.reader == "grids":
                return catalogued(found)
            recordings += [Path(place) for place in found.places]
        else:
            for path in _expanded(one):
                if _is_field(path):
                    fields.append(str(path.absolute()))
                else:
                    recordings.append(path)
    if fields and recordings:
        raise InputError(
            f"{recordings[0]} is a recording and {Path(fields[0]).name} is a gridded field: denoise them one after the "
            "other, each with its own model."
        )
    return FieldSource(tuple(map(str, inputs)), tuple(dict.fromkeys(fields))) if fields else recordings


def _entry(name: str) -> catalog.Source | None:
    return catalog.find(name) if catalog.is_name(name) and not Path(name).exists() else None


def _expanded(one: str) -> list[Path]:
    """Paths of a pattern, where no such file is there."""
    if Path(one).exists() or not glob.has_magic(one):
        return [Path(one)]
    found = sorted(glob.glob(one))  # noqa: PTH207 - may be absolute
    if not found:
        raise InputError(f"No file is like {one}. Check the name and the folder.")
    return [Path(path) for path in found]


def _is_field(path: Path) -> bool:
    if not path.exists():
        if (told := unfinished(path)) is not None:
            raise told
        return path.suffix.lower() in grids.SUFFIXES
    if cleaned.sniff(path):
        raise InputError(f"{path} holds a recording that geoae has denoised. Give the recording that it was made from.")
    return grids.sniff(path) or path.suffix.lower() in grids.SUFFIXES


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
            if len(inputs) == 1:
                raise
            problems.append(str(error))
            continue
        segments += found.segments
        problems += found.losses
        notes += found.notes
    if not segments:
        raise InputError("; ".join(line.rstrip(".") for line in (*problems, *notes)) + ". No output was written.")
    return segments, problems, notes


def above(segments: Iterable[Segment], model: Model, options: Options) -> list[str]:
    """Noise above the model's band stays unless asked for: said once, or a cleaned trace looks noisy for no reason."""
    limit = model.record.rate_hz
    ids = sorted({s.id for s in segments if not s.text and limit * 1.02 < s.rate_hz <= model.record.rate_range_hz[1]})
    if not ids or options.above_band != "pass":
        return []
    named = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
    return [f"{named}: what lies above {limit / 2:g} Hz is passed through; --above-band remove takes it away."]
