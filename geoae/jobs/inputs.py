"""Inputs of a run: recordings or fields, the segments in recordings, and notes on them."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geoae import readers
from geoae.errors import GeoAEError, InputError, one_line
from geoae.files.paths import can_reach, resolve_links
from geoae.jobs.inspect import refuse_unfinished
from geoae.jobs.options import InferenceOptions, refuse_options
from geoae.jobs.source import ArraySource, source_from_catalog
from geoae.labels.segments import Segment
from geoae.model import Model, require_contract
from geoae.readers import catalog
from geoae.readers.plugins import PluginRecords
from geoae.records.contract import RecordContract
from geoae.records.periods import choose_models

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
    problems: tuple[str, ...] = ()
    """What is wrong with inputs that cannot be used, one line each."""

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
        problems = list(self.problems)
        notes: list[str] = []
        for path in self.paths:
            try:
                chosen = self.plugin_readers.get(str(path.absolute()), {})
                reader: Any = readers.open_reader(chosen.get("reader", DEFAULT_READER))
                found = reader.scan(path, ids, start_time, end_time, **chosen.get("options", {}))
            except GeoAEError as error:
                if len(self.paths) == 1 and not self.problems:
                    raise
                problems.append(str(error))
                continue
            except OSError as error:  # it was removed meanwhile, or the disk fails
                problems.append(f"{path} cannot be read: {error.strerror or one_line(error)}.")
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
            An input cannot be used, or the files need different readers.
        """
        if self.problems:
            raise InputError(self.problems[0])
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


def sort_inputs(
    inputs: Sequence[str | Path], group: str = "", each_by_itself: bool = False
) -> Recordings | ArraySource:
    """Sort inputs into recordings or fields, by the catalog's drivers, URLs and the content of files.

    Beside recordings that can be used, an input that cannot is a problem of the result. Fields belong together, so
    there it is an error; if they are used `each_by_itself`, it stays a place of the source, which fails when opened.

    Parameters
    ----------
    inputs
        Files, folders, patterns, URLs and names in the catalog.
    group
        Group of the netCDF files or zarr stores that holds the fields; empty: the root, or that of the catalog.
    each_by_itself
        Whether fields in several files are not joined.

    Raises
    ------
    InputError
        The inputs mix recordings and fields, hold several catalog entries, or a recording that is already denoised; or
        there is a group, and the inputs have none.
    MissingFileError
        A file is not there beside a field.
    UnknownNameError
        The catalog names a reader that does not exist.
    UnknownFormatError
        No reader recognises a file, and a reader of another package cannot be loaded.
    """
    recordings: list[Path] = []
    plugin_readers: dict[str, dict[str, Any]] = {}
    fields: dict[str, str] = {}
    faults: dict[str, GeoAEError] = {}
    for given in map(str, inputs):
        try:
            found = _find_entry(given)
            if found is not None and readers.open_reader(found.reader).kind == "fields" and len(inputs) == 1:
                return _choose_group(source_from_catalog(found), group)
            _refuse_changes(found)
            places = _list_places(given, found)
        except GeoAEError as error:
            faults[given] = error
            continue
        for place in places:
            try:
                name = found.reader if found is not None else _choose_reader(place)
                reader = readers.open_reader(name)
            except GeoAEError as error:
                faults[str(place)] = error
                continue
            if reader.kind == "fields":
                if found is not None:
                    raise InputError(f"{given} is a data set of the catalog; give it alone.")
                fields[str(place.absolute()) if isinstance(place, Path) else place] = name
                continue
            path = Path(place)
            recordings.append(path)
            if isinstance(reader, PluginRecords):
                options = dict(found.options) if found is not None else {}
                plugin_readers[str(path.absolute())] = {"reader": name, "options": options}
    if fields and each_by_itself:
        fields |= dict.fromkeys(faults, "grids")
    elif faults and (fields or not recordings):
        if len(faults) == 1 or fields:
            raise next(iter(faults.values()))
        raise InputError(" ".join(map(str, faults.values())))
    if fields and recordings:
        for path in recordings:
            readers.find_reader(path)  # raises for a file that is missing, or no recording either
        raise InputError(
            f"{recordings[0]} is a recording and {Path(next(iter(fields))).name} is a gridded field. Give "
            "them one after the other, each with its own model."
        )
    if not fields:
        refuse_options({"--group": bool(group)}, "not for recordings")
        return Recordings(recordings, plugin_readers, tuple(map(str, faults.values())))
    if len(names := sorted(set(fields.values()))) > 1:
        raise InputError(f"The fields are read by several readers ({', '.join(names)}); give the files of one format.")
    reader_name = None if names == ["grids"] else names[0]
    return _choose_group(ArraySource(tuple(map(str, inputs)), tuple(fields), reader_name), group)


def _choose_group(source: ArraySource, group: str) -> ArraySource:
    if not group:
        return source
    if source.reader not in (None, "grids"):
        raise InputError(f"--group: the reader {source.reader!r} knows no groups. Leave it out.")
    return replace(source, options={**source.options, "group": group})


def _refuse_changes(found: catalog.Source | None) -> None:
    """Raise InputError for recordings whose samples or times the catalog changes: files are written as they are."""
    if found is not None and found.adapter.changes_samples and readers.open_reader(found.reader).kind != "fields":
        raise InputError(
            f"The catalog changes samples or times of {found.name} (unit_mult, unit_add or nodata), which is not done "
            f"from recording to recording. Denoise the array geoae.read({found.name!r}), or give the files themselves."
        )


def _find_entry(name: str) -> catalog.Source | None:
    return catalog.find_entry(name) if catalog.is_name(name) and not can_reach(name) else None


def _list_places(given: str, found: catalog.Source | None) -> Sequence[Path | str]:
    """Places of a catalog entry, or paths that match a pattern; an existing file is not a pattern."""
    if found is not None:
        return found.places
    if "://" in given:
        return [given]
    if can_reach(given) or not glob.has_magic(given):
        return [Path(given)]
    matches = sorted(glob.glob(given))  # noqa: PTH207 - may be absolute
    if not matches:
        raise InputError(f"No file matches {given}. Check the name and the folder.")
    return [Path(match) for match in matches]


def _choose_reader(place: Path | str) -> str:
    """Name of the reader for a place; that of recordings if none recognises it, whose error then tells what it is."""
    if isinstance(place, Path) and (fault := catalog.find_input_fault(place)) is not None:
        refuse_unfinished(place)
        raise fault
    name = readers.find_reader(place, otherwise=DEFAULT_READER)
    if name == "cleaned":
        raise InputError(f"{place} holds a recording that geoae has already denoised. Give the original recording.")
    return name


def drop_repeats(inputs: Recordings) -> tuple[Recordings, list[str]]:
    """Drop files that were given twice, also under other names; returns a note for each."""
    found: dict[Path, Path] = {}
    notes = []
    for path in inputs.paths:
        if resolve_links(path) in found:
            notes.append(f"{path} was given more than once and is used once.")
        found.setdefault(resolve_links(path), path)
    return replace(inputs, paths=list(found.values())), notes


def note_above_band(segments: Iterable[Segment], model: Model, options: InferenceOptions) -> list[str]:
    """A note if frequencies above the model's band pass through, since the trace may then look noisy."""
    ids: dict[float, set[str]] = {}
    for s in segments if options.above_band == "pass" else ():
        used = require_contract(choose_models(model, s.n, s.rate_hz)[0], RecordContract)
        if not s.text and used.rate_hz * 1.02 < s.rate_hz and used.takes_rate(s.rate_hz):
            ids.setdefault(used.rate_hz / 2, set()).add(s.id)
    return [
        f"{min(found)}{f' and {len(found) - 1} more' * (len(found) > 1)}: frequencies above {top:g} Hz pass through "
        "unchanged; --above-band remove removes them."
        for top, found in ids.items()
    ]
