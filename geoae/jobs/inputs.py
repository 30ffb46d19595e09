"""Inputs of a run: recordings or fields, the segments in recordings, and notes on them."""

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
"""Reader of recordings by default."""


@dataclass(frozen=True)
class Recordings:
    """Files of recordings, and the readers for them."""

    paths: list[Path]
    plugin_readers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Absolute path -> {"reader": name, "options": dict} of each file that a reader of another package reads.

    Plain data, so that it can be sent to workers.
    """

    def scan(
        self, ids: Sequence[str] = (), start_time: str | None = None, end_time: str | None = None
    ) -> tuple[list[Segment], list[str], list[str]]:
        """Find the segments of all files: segments, problems and notes. A file that cannot be read is a problem.

        Raises
        ------
        GeoAEError
            The only file cannot be read.
        InputError
            No segment matches the selection.
        """
        segments: list[Segment] = []
        problems: list[str] = []
        notes: list[str] = []
        for path in self.paths:
            try:
                chosen = self.plugin_readers.get(str(path.absolute()), {})
                reader: Any = readers.open_reader(chosen.get("reader", DEFAULT_READER))
                found = reader.scan(path, ids, start_time, end_time, **chosen.get("options", {}))
            except GeoAEError as error:
                if len(self.paths) == 1:
                    raise
                problems.append(str(error))
                continue
            # the source distinguishes segments of different files
            segments += [s if s.source == path else replace(s, source=path) for s in found.segments]
            problems += found.losses
            notes += found.notes
        if not segments:
            raise InputError("; ".join(line.rstrip(".") for line in (*problems, *notes)) + ". No output was written.")
        return segments, problems, notes

    def as_source(self) -> ArraySource:
        """The same files as a source of labelled arrays.

        Raises
        ------
        InputError
            The files need different readers.
        """
        used = [
            self.plugin_readers.get(str(path.absolute()), {"reader": DEFAULT_READER, "options": {}})
            for path in self.paths
        ]
        if unlike := [path for path, by in zip(self.paths, used, strict=True) if by != used[0]]:
            raise InputError(
                f"{self.paths[0]} and {unlike[0]} need different readers ({used[0]['reader']!r} and "
                "another), so they cannot form one record. Give files of one format."
            )
        places = tuple(str(path.absolute()) for path in self.paths)
        return ArraySource(tuple(map(str, self.paths)), places, used[0]["reader"], used[0]["options"])


def sort_inputs(inputs: Sequence[str | Path]) -> Recordings | ArraySource:
    """Sort inputs into recordings or fields, by the catalog's drivers, URLs and the content of files.

    Raises
    ------
    InputError
        The inputs mix recordings and fields, hold several catalog entries, or a recording that is already denoised.
    UnknownNameError
        The catalog names a reader that does not exist.
    UnknownFormatError
        No reader recognises a file, and a reader of another package cannot be loaded.
    """
    recordings: list[Path] = []
    plugin_readers: dict[str, dict[str, Any]] = {}
    fields: dict[str, str] = {}
    for given in map(str, inputs):
        if (found := _find_entry(given)) is not None:
            if readers.open_reader(found.reader).kind == "fields":
                if len(inputs) > 1:
                    raise InputError(f"{given} is a data set of the catalog; give it alone.")
                return source_from_catalog(found)
            paths = [Path(place) for place in found.places]
            recordings += paths
            if isinstance(readers.open_reader(found.reader), PluginRecords):
                by = {"reader": found.reader, "options": dict(found.options)}
                plugin_readers |= {str(path.absolute()): by for path in paths}
            continue
        for place in [given] if "://" in given else _expand_pattern(given):
            name = _choose_reader(place)
            reader = readers.open_reader(name)
            if reader.kind == "fields":
                fields[str(place.absolute()) if isinstance(place, Path) else place] = name
                continue
            assert isinstance(place, Path)
            recordings.append(place)
            if isinstance(reader, PluginRecords):
                plugin_readers[str(place.absolute())] = {"reader": name, "options": {}}
    if fields and recordings:
        raise InputError(
            f"{recordings[0]} is a recording and {Path(next(iter(fields))).name} is a gridded field. Give "
            "them one after the other, each with its own model."
        )
    if not fields:
        return Recordings(recordings, plugin_readers)
    if len(names := sorted(set(fields.values()))) > 1:
        raise InputError(f"The fields are read by several readers ({', '.join(names)}); give the files of one format.")
    reader_name = None if names == ["grids"] else names[0]
    return ArraySource(tuple(map(str, inputs)), tuple(fields), reader_name)


def _find_entry(name: str) -> catalog.Source | None:
    return catalog.find_entry(name) if catalog.is_name(name) and not Path(name).exists() else None


def _expand_pattern(pattern: str) -> list[Path]:
    """Paths that match a pattern; an existing file is not a pattern."""
    if Path(pattern).exists() or not glob.has_magic(pattern):
        return [Path(pattern)]
    found = sorted(glob.glob(pattern))  # noqa: PTH207 - may be absolute
    if not found:
        raise InputError(f"No file matches {pattern}. Check the name and the folder.")
    return [Path(path) for path in found]


def _choose_reader(place: Path | str) -> str:
    """Name of the reader for a place. A missing file gets a reader too, whose error then names the file."""
    if isinstance(place, Path) and not place.exists():
        refuse_unfinished(place)
        return "grids" if place.suffix.lower() in grids.SUFFIXES else DEFAULT_READER
    name = readers.find_reader(place, otherwise=DEFAULT_READER)
    if name == "cleaned":
        raise InputError(f"{place} holds a recording that geoae has already denoised. Give the original recording.")
    return name


def drop_repeats(inputs: Recordings) -> tuple[Recordings, list[str]]:
    """Drop files that were given twice, also under other names; returns a note for each."""
    found: dict[Path, Path] = {}
    notes = []
    for path in inputs.paths:
        if path.resolve() in found:
            notes.append(f"{path} was given more than once and is used once.")
        found.setdefault(path.resolve(), path)
    return replace(inputs, paths=list(found.values())), notes


def note_above_band(segments: Iterable[Segment], model: Model, options: InferenceOptions) -> list[str]:
    """A note if frequencies above the model's band pass through, since the trace may then look noisy."""
    c = require_contract(model, RecordContract)
    ids = sorted({s.id for s in segments if not s.text and c.rate_hz * 1.02 < s.rate_hz and c.takes_rate(s.rate_hz)})
    if not ids or options.above_band != "pass":
        return []
    named = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
    return [
        f"{named}: frequencies above {c.rate_hz / 2:g} Hz pass through unchanged; --above-band remove removes them."
    ]
