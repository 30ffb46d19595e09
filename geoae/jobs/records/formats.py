"""Choose the formats of outputs: as asked for, by the ending of a name, or that of the inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geoae.errors import InputError
from geoae.jobs.options import FileOptions
from geoae.jobs.records.names import names_folder
from geoae.readers.records.whole import find_formats
from geoae.writers.records.collection import INTEGER_FORMATS
from geoae.writers.records.traces import check_format, supported_formats

ENDINGS = {
    **dict.fromkeys(("mseed", "miniseed", "msd", "ms", "seed"), "MSEED"),
    "sac": "SAC", "sacxy": "SACXY", **dict.fromkeys(("gse2", "gse"), "GSE2"), **dict.fromkeys(("segy", "sgy"), "SEGY"),
    "su": "SU", "ah": "AH", "gcf": "GCF", **dict.fromkeys(("q", "qhd"), "Q"), "sh_asc": "SH_ASC", "slist": "SLIST",
    "tspair": "TSPAIR", "wav": "WAV", **dict.fromkeys(("pickle", "pkl"), "PICKLE"),
}  # fmt: skip
"""Format of each ending of a file name that decides it."""


@dataclass(frozen=True)
class FormatChoice:
    """Formats of the outputs of a run."""

    signal: str = "MSEED"
    noise: str = "MSEED"
    sigma: str = "MSEED"
    is_default: bool = False
    """Whether they are those of the inputs, so that miniSEED may take their place."""
    notes: tuple[str, ...] = ()


def choose_formats(inputs: Sequence[Path], out: str | Path | None, files: FileOptions) -> FormatChoice:
    """Choose the formats of signal, noise and sigma. Sigma is not written as integers.

    ``--format`` decides, else the ending of a file name, else ``--encoding`` (miniSEED), else the inputs do: if all of
    them have one format that can be written, it is kept.

    Raises
    ------
    InputError
        A format or encoding is unknown, or is not written.
    """
    notes: list[str] = []
    asked = check_format(files.format) if files.format else None
    signal, noise = (_by_ending(path, asked, notes) for path in (out, files.noise_out))
    is_default = False
    if signal is None:
        own = None if files.encoding else _find_common_format(inputs, notes)
        signal, is_default = own or "MSEED", own not in (None, "MSEED")
    noise = noise or signal
    sigma = _by_ending(files.sigma_out, None if asked in INTEGER_FORMATS else asked, notes)
    sigma = sigma or ("MSEED" if signal in INTEGER_FORMATS else signal)
    if sigma in INTEGER_FORMATS:
        raise InputError(f"{files.sigma_out}: {sigma} holds whole numbers, sigma is a fraction of some. Choose MSEED.")
    written = [
        signal,
        *([noise] if files.noise_out is not None else []),
        *([sigma] if files.sigma_out is not None else []),
    ]
    for name in dict.fromkeys(written):
        check_format(name, files.encoding if name == "MSEED" else None)
    if files.encoding and "MSEED" not in (signal, noise):
        check_format(signal, files.encoding)  # raises, since only miniSEED has encodings
    return FormatChoice(signal, noise, sigma, is_default, tuple(notes))


def _by_ending(path: str | Path | None, asked: str | None, notes: list[str]) -> str | None:
    """The format that is asked for, else that of the ending of a file; None if neither decides."""
    ending = None if path is None or names_folder(path) else ENDINGS.get(Path(path).suffix.lower().removeprefix("."))
    if asked and ending and asked != ending:
        notes.append(f"{path} is written in the format {asked}, as --format asks, although its name ends as {ending}.")
    return asked or ending


def _find_common_format(inputs: Sequence[Path], notes: list[str]) -> str | None:
    """The format that all inputs share, if it can be written."""
    found = sorted(set().union(*map(find_formats, inputs)))
    if len(found) > 1:
        named = ", ".join(found)
        notes.append(f"The inputs have several formats ({named}), so miniSEED is written. --format names another one.")
    return found[0] if len(found) == 1 and found[0] in supported_formats() else None
