"""What a run works on: recordings or fields, the segments in recordings, and what is to be said of these."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geoae import readers
from geoae.errors import GeoAEError, InputError
from geoae.jobs.inspect import refuse_unfinished
from geoae.jobs.options import InferenceOptions
from geoae.jobs.source import ArraySource, source_from_catalog
from geoae.labels.segments import Segment
from geoae.model import Model, require_contract
from geoae.readers import catalog
from geoae.readers.fields import grids
from geoae.readers.plugins import PluginRecords
from geoae.records.contract import RecordContract

DEFAULT_READER = "traces"
"""The reader of a recording for which none is named."""


@dataclass(frozen=True)
class Recordings:
    """Files of recordings, and how they are read."""

    paths: list[Path]
    read_by: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Absolute path -> `reader`, its name, and its `options`, for files that another reader than "traces" reads.

    Plain data, which is sent to workers so that they read the same.
    """

    def scan(
        self, ids: Sequence[str] = (), start_time: str | None = None, end_time: str | None = None
    ) -> tuple[list[Segment], list[str], list[str]]:
        """Segments of all files, with problems and notes; where only some of them can be read, the others are.

        Raises
        ------
        GeoAEError
            The only file cannot be read.
        InputError
            Nothing in the files matches.
        """
        segments: list[Segment] = []
        problems: list[str] = []
        notes: list[str] = []
        for path in self.paths:
            try:
                by = self.read_by.get(str(path.absolute()), {})
                reader: Any = readers.open_reader(by.get("reader", DEFAULT_READER))
                found = reader.scan(path, ids, start_time, end_time, **by.get("options", {}))
            except GeoAEError as error:
                if len(self.paths) == 1:
                    raise
                problems.append(str(error))
                continue
            # segments of all files are told apart by their source
            segments += [s if s.source == path else replace(s, source=path) for s in found.segments]
            problems += found.losses
            notes += found.notes
        if not segments:
            raise InputError("; ".join(line.rstrip(".") for line in (*problems, *notes)) + ". No output was written.")
        return segments, problems, notes

    def as_source(self) -> ArraySource:
        """The same files, to be opened as labelled arrays.

        Raises
        ------
        InputError
            They need several readers.
        """
        used = [
            self.read_by.get(str(path.absolute()), {"reader": DEFAULT_READER, "options": {}}) for path in self.paths
        ]
        if unlike := [path for path, by in zip(self.paths, used, strict=True) if by != used[0]]:
            raise InputError(
                f"{self.paths[0]} and {unlike[0]} are read by {used[0]['reader']!r} and another reader, so they make "
                "no record together. Give the files of one format."
            )
        places = tuple(str(path.absolute()) for path in self.paths)
        return ArraySource(tuple(map(str, self.paths)), places, used[0]["reader"], used[0]["options"])


def sort_inputs(inputs: Sequence[str | Path]) -> Recordings | ArraySource:
    """Files of recordings, or fields: told by the catalog's drivers, addresses and content.

    Raises
    ------
    InputError
        There are both, or several entries of the catalog, or a store that has been cleaned already.
    UnknownNameError
        The catalog names a reader that is not there.
    UnknownFormatError
        No reader knows a file, and one of another package cannot be asked.
    """
    recordings: list[Path] = []
    read_by: dict[str, dict[str, Any]] = {}
    fields: dict[str, str] = {}
    for one in map(str, inputs):
        if (found := _entry(one)) is not None:
            if readers.open_reader(found.reader).kind == "fields":
                if len(inputs) > 1:
                    raise InputError(f"{one} is a data set of the catalog; give it alone.")
                return source_from_catalog(found)
            paths = [Path(place) for place in found.places]
            recordings += paths
            if isinstance(readers.open_reader(found.reader), PluginRecords):
                by = {"reader": found.reader, "options": dict(found.options)}
                read_by |= {str(path.absolute()): by for path in paths}
            continue
        for place in [one] if "://" in one else _expanded(one):
            name = _reader_of(place)
            reader = readers.open_reader(name)
            if reader.kind == "fields":
                fields[str(place.absolute()) if isinstance(place, Path) else place] = name
                continue
            assert isinstance(place, Path)
            recordings.append(place)
            if isinstance(reader, PluginRecords):
                read_by[str(place.absolute())] = {"reader": name, "options": {}}
    if fields and recordings:
        raise InputError(
            f"{recordings[0]} is a recording and {Path(next(iter(fields))).name} is a gridded field: denoise them one "
            "after the other, each with its own model."
        )
    if not fields:
        return Recordings(recordings, read_by)
    if len(names := sorted(set(fields.values()))) > 1:
        raise InputError(f"The fields are read by several readers ({', '.join(names)}); give the files of one format.")
    reader_name = None if names == ["grids"] else names[0]
    return ArraySource(tuple(map(str, inputs)), tuple(fields), reader_name)


def _entry(name: str) -> catalog.Source | None:
    return catalog.find_entry(name) if catalog.is_name(name) and not Path(name).exists() else None


def _expanded(one: str) -> list[Path]:
    """Paths of a pattern, where no such file is there."""
    if Path(one).exists() or not glob.has_magic(one):
        return [Path(one)]
    found = sorted(glob.glob(one))  # noqa: PTH207 - may be absolute
    if not found:
        raise InputError(f"No file is like {one}. Check the name and the folder.")
    return [Path(path) for path in found]


def _reader_of(place: Path | str) -> str:
    """Name of a reader; of a file that is not there one that says so, which is no error while others are there."""
    if isinstance(place, Path) and not place.exists():
        refuse_unfinished(place)
        return "grids" if place.suffix.lower() in grids.SUFFIXES else DEFAULT_READER
    name = readers.find_reader(place, otherwise=DEFAULT_READER)
    if name == "cleaned":
        raise InputError(
            f"{place} holds a recording that geoae has denoised. Give the recording that it was made from."
        )
    return name


def drop_repeats(inputs: Recordings) -> tuple[Recordings, list[str]]:
    """Each file once, whatever its names, and a note for each that was given again."""
    found: dict[Path, Path] = {}
    notes = []
    for path in inputs.paths:
        if path.resolve() in found:
            notes.append(f"{path} was given more than once and is taken once.")
        found.setdefault(path.resolve(), path)
    return replace(inputs, paths=list(found.values())), notes


def note_above_band(segments: Iterable[Segment], model: Model, options: InferenceOptions) -> list[str]:
    """Note that noise above the model's band stays unless asked for; without it a cleaned trace looks noisy."""
    c = require_contract(model, RecordContract)
    ids = sorted({s.id for s in segments if not s.text and c.rate_hz * 1.02 < s.rate_hz <= c.rate_range_hz[1]})
    if not ids or options.above_band != "pass":
        return []
    named = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
    return [f"{named}: what lies above {c.rate_hz / 2:g} Hz is passed through; --above-band remove takes it away."]
