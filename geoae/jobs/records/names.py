"""Names of outputs of recordings, and checks of them before anything is computed."""

import hashlib
import os
from collections import Counter
from pathlib import Path

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.files.paths import can_reach, resolve_links
from geoae.files.whole import follow_link, output_errors

_SUFFIXES = (
    ".mseed", ".miniseed", ".msd", ".ms", ".seed", ".sac", ".sacxy", ".gse2", ".gse", ".segy", ".sgy", ".su", ".ah",
    ".gcf", ".qhd", ".sh_asc", ".slist", ".tspair",
)  # fmt: skip
"""Suffixes that the suffix of the output replaces. Others belong to the name, such as the day in ...D.2010.244."""
MAX_LABEL_BYTES = 225
"""Bytes of a file name that come from the input. A name may have 255, and the ending and a number follow."""


def names_folder(out: str | Path) -> bool:
    """Whether an output is a folder: it is there, or its name ends in a slash."""
    return (can_reach(out) and Path(out).is_dir()) or str(out).endswith(("/", os.sep))


def suffix_of(format_name: str) -> str:
    """Suffix of the outputs in a format. ObsPy adds its own to two files of the format Q."""
    return ".QHD" if format_name == "Q" else f".{format_name.lower()}"


def name_outputs(inputs: list[Path], out: str | Path | None, word: str, suffix: str) -> dict[Path, Path]:
    """Output of each input: the file `out`; or INPUT.WORD.SUFFIX in a folder, by default that of the input."""
    if out is not None and not names_folder(out):
        return dict.fromkeys(inputs, Path(out))
    labels = {path: _labels(path) for path in inputs}
    names: dict[Path, Path] = {}
    level = dict.fromkeys(inputs, 0)
    while len(set(names.values())) < len(inputs):
        # day files of several stations often share a name, as do several formats of one recording
        uses = Counter(names.values())
        for path in inputs:
            level[path] += uses[names.get(path, path)] > 1
            folder = path.parent if out is None else Path(out)
            names[path] = folder / f"{labels[path][level[path]]}.{word}{suffix}"
    return names


def check_outputs(outputs: list[Path], inputs: list[Path], overwrite: bool, make_folders: bool = False) -> None:
    """Raise an error for an output that would replace an input or another output, or that cannot be written.

    With `make_folders`, the folder of an output need not be there yet.
    """
    sources, resolved = set(map(resolve_links, inputs)), Counter(map(resolve_links, outputs))
    for path in outputs:
        if resolve_links(path) in sources:
            raise InputError(f"{path} is an input; writing there would destroy the recording. Choose another output.")
        if resolved[resolve_links(path)] > 1:
            raise InputError(f"{path} would be written twice. Choose other outputs, or a folder for each.")
        with output_errors(path, " Choose another output."):
            _check_output(path, overwrite, make_folders)


def _check_output(path: Path, overwrite: bool, make_folders: bool) -> None:
    if path.is_dir():
        raise OutputError(f"{path} is a folder where a file was expected; choose another output.")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already; choose another output, or ask for --overwrite.")
    folder = path.parent
    while make_folders and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"The folder {folder} for the output is not there; make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {folder} cannot be written to; choose another output.")
    follow_link(path)  # raises for links that form a loop


def _labels(path: Path) -> list[str]:
    """Names for an output, each longer than the one before; the last is unique."""
    folders = resolve_links(path).parent.parts[1:]
    starts = ["".join(f"{name}." for name in folders[i:]) for i in range(len(folders), -1, -1)]
    return [_shorten(start + end) for start in starts for end in (_stem(path), path.name)]


def _shorten(label: str) -> str:
    """A label that leaves room for an ending in a file name; a digest keeps a shortened one unique."""
    raw = os.fsencode(label)
    if len(raw) <= MAX_LABEL_BYTES:
        return label
    return f"{raw[: MAX_LABEL_BYTES - 9].decode(errors='ignore')}~{hashlib.sha256(raw).hexdigest()[:8]}"


def _stem(path: Path) -> str:
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name
