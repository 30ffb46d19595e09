"""Options of the verbs: one frozen, validated object for each verb, made of parts that several verbs share.

Option names are the same on the command line and in Python. `DenoiseOptions.from_keywords` takes them as flat keywords.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from geoae.cluster.work import is_distributed
from geoae.errors import InputError, OptionError
from geoae.model import Model
from geoae.model.denoising import BATCH
from geoae.model.devices import check_device_name
from geoae.readers.records.selection import check_id_patterns, parse_time_limits
from geoae.records import infer
from geoae.records.purposes import find_share
from geoae.records.removal import RemovalOptions
from geoae.stores.plan import check_chunk_sizes

Progress = Callable[[int, int], None]
"""Called with the number of samples (or blocks of a store) that are done, and their total number."""


def no_progress(done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def say_nothing(line: str) -> None:
    """Ignore a line of text."""


@dataclass(frozen=True)
class InferenceOptions:
    """The model that denoises, and how it runs."""

    model: str | Path | Model | None = None
    """Name of a shipped model, folder of a trained one, or a loaded Model; None: the default."""
    device: str = "auto"
    batch_size: int = BATCH
    """Windows in one call of the net. It changes the speed, not the results."""
    threads: int | None = None
    """CPU threads; None: as many as this process may use, at most 8."""
    dry: float = 0.0
    """Fraction of the noise that is kept, 0 to 1."""
    above_band: str = "pass"
    """What happens to frequencies above the model's band: "pass" or "remove"."""
    keep_doubtful: bool = True
    """Of recordings: whether a transient that the record's noise does not explain stays in the signal."""
    sigma: bool = False
    """Of recordings: whether the standard error of each sample is computed, too."""
    highpass: float | None = None
    """Of recordings: corner frequency in Hz of a high-pass before the model, see `geoae.records.highpass`."""
    purpose: str | None = None
    """Of recordings: name of a purpose of the model, which sets `dry`; see `for_model`."""

    def __post_init__(self) -> None:
        _check_fraction(self.dry, has_purpose=self.purpose is not None)
        _check_frequency(self.highpass)
        for name in ("dry", "highpass"):  # other types of numbers cannot be written to a store, or be formatted
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        check_device_name(self.device)
        _check_positive("batch size", self.batch_size)
        _check_positive("threads", self.threads)
        if self.above_band not in infer.ABOVE_BAND:
            raise OptionError(f"above_band is {self.above_band!r}; choose one of {', '.join(infer.ABOVE_BAND)}.")

    def for_model(self, model: Model) -> "InferenceOptions":
        """The same options with the share of noise that `model` keeps for the purpose, if one is named, as `dry`.

        Raises
        ------
        OptionError
            The model has no such purpose.
        """
        return self if self.purpose is None else replace(self, dry=find_share(model, self.purpose))

    def for_records(self) -> RemovalOptions:
        """The options of what is removed from records."""
        return RemovalOptions(
            self.batch_size, self.above_band, self.dry, self.sigma, True, self.keep_doubtful, self.highpass,
            self.purpose,
        )  # fmt: skip


@dataclass(frozen=True)
class Workers:
    """The processes that compute the blocks of a store; see `geoae.cluster.work.run_tasks`."""

    cluster: str | Path | None = None
    """None or "local": processes of this machine. Or the address of a dask scheduler, or a jobqueue file."""
    n: int = 1
    say: Callable[[str], None] = say_nothing
    """Called with a line of text about the workers while they run."""

    def __post_init__(self) -> None:
        _ = self.are_other_processes  # raises if the cluster is unknown or the number is below one

    @property
    def are_other_processes(self) -> bool:
        """Whether other processes than this one compute; errors are those of `geoae.cluster.work.is_distributed`."""
        return is_distributed(self.cluster, self.n)


@dataclass(frozen=True)
class RunOptions:
    """How an output is written, for every kind of data."""

    overwrite: bool = False
    """Replace outputs that exist."""
    dry_run: bool = False
    """Read headers only, and report what would be written."""
    workers: Workers = field(default_factory=Workers)
    command: str = ""
    """The command line, for the history attribute of a store."""


@dataclass(frozen=True)
class Selection:
    """The part of the recordings that is denoised. The rest is not written."""

    ids: Sequence[str] = ()
    """Patterns for NET.STA.LOC.CHA, with * and ?; empty: all."""
    start_time: Any = None
    """Anything that ObsPy's UTCDateTime takes."""
    end_time: Any = None
    """The same. A sample at exactly this time is included."""

    def __post_init__(self) -> None:
        check_id_patterns(self.ids)
        parse_time_limits(self.start_time, self.end_time)

    def spec(self) -> dict[str, Any]:
        """The selection as plain data, for workers."""
        start, end = (None if time is None else str(time) for time in (self.start_time, self.end_time))
        return {"ids": list(self.ids), "start_time": start, "end_time": end}


@dataclass(frozen=True)
class FileOptions:
    """How recordings are written to files."""

    format: str | None = None
    """Any format that ObsPy writes; None: that of the ending of the output, else that of the inputs, else MSEED."""
    encoding: str | None = None
    """Encoding of miniSEED: FLOAT32 (None), FLOAT64, INT32, STEIM1 or STEIM2."""
    noise_out: str | Path | None = None
    """File or folder for the removed noise; None: it is not written."""
    sigma_out: str | Path | None = None
    """File or folder for the standard error of each sample; None: it is not written."""
    sds: bool = False
    """Write the day files of an SDS archive into an SDS archive below the output, a folder."""
    plot: Path | None = None
    """Figure of the first record, before and after: PNG, PDF, SVG or another format of matplotlib."""


@dataclass(frozen=True)
class FieldOptions:
    """The fields that are denoised, and the layout of their store."""

    var: Sequence[str] = ()
    """Names of variables; empty: all that lie on a grid."""
    dims: Sequence[str] = ()
    """Names of the horizontal dimensions; empty: found by CF metadata."""
    group: str = ""
    """Group of the netCDF files or zarr stores that holds the fields; empty: the root."""
    chunks: Mapping[str, int] = field(default_factory=dict)
    """Dimension -> samples in a chunk of the store."""
    shard: int = 1
    """Chunks in one file of the store (zarr shard)."""
    append: bool = False
    """Add later times to a store that exists."""
    force: bool = False
    """Accept a model that was trained on other units or dimensions."""

    def __post_init__(self) -> None:
        check_chunk_sizes(self.chunks, self.shard)


@dataclass(frozen=True)
class CodesWithSignal:
    """The latent codes that `geoae denoise` writes together with the denoised samples."""

    model: str | Path | Model | None = None
    """None: the shipped model that fits the data."""
    latent: int | None = None
    """Length of a code: its first numbers are kept; None: all."""
    force: bool = False
    """Accept a model that was trained on other units."""

    def __post_init__(self) -> None:
        _check_positive("latent", self.latent)


@dataclass(frozen=True)
class CodeOptions:
    """Options of `geoae encode` and `geoae decode`."""

    model: str | Path | Model | None = None
    """None: the shipped model that fits the data."""
    var: Sequence[str] = ()
    dims: Sequence[str] = ()
    latent: int | None = None
    device: str = "auto"
    threads: int | None = None
    append: bool = False
    """Add the codes of later times to a store that exists."""
    force: bool = False
    """Accept a model that was trained on other units."""
    group: str = ""
    """Group of the netCDF files or zarr stores that holds the fields; empty: the root."""

    def __post_init__(self) -> None:
        check_device_name(self.device)
        _check_positive("threads", self.threads)
        _check_positive("latent", self.latent)


@dataclass(frozen=True)
class DenoiseOptions:
    """Options of `geoae denoise`."""

    out: str | Path | None = None
    """File (for all inputs), existing folder (one file each), store NAME.zarr, or None: beside each input."""
    inference: InferenceOptions = field(default_factory=InferenceOptions)
    selection: Selection = field(default_factory=Selection)
    files: FileOptions = field(default_factory=FileOptions)
    fields: FieldOptions = field(default_factory=FieldOptions)
    codes: CodesWithSignal | None = None
    """None: no latent codes are written."""
    run: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def from_keywords(cls, **keywords: Any) -> "DenoiseOptions":
        """Options from the keywords of the command line.

        Parameters
        ----------
        **keywords
            ``out``; the fields of `InferenceOptions`, `Selection`, `FileOptions`, `FieldOptions` and `RunOptions`;
            ``cluster``, ``workers`` (a number) and ``say``, see `Workers`; ``codes`` (bool), ``codes_model``,
            ``latent``. ``var`` and ``dims`` may be text with commas, ``chunks`` text as `parse_chunks` takes it. A
            keyword that is missing or None has its default.

        Raises
        ------
        OptionError
            An option is unknown, or a value is not allowed.
        """
        if keywords.get("purpose") is not None and keywords.get("dry") is not None:
            raise OptionError("--for and --dry both say how much of the noise is kept. Leave one of them out.")
        if unknown := sorted(keywords.keys() - set(cls.keywords())):
            raise OptionError(f"denoise has no option {', '.join(unknown)}; there are {', '.join(cls.keywords())}.")
        given = {name: value for name, value in keywords.items() if value is not None}
        given |= {name: split_names(given[name]) for name in ("var", "dims") if name in given}
        given |= {name: given[name].upper() for name in ("format", "encoding") if name in given}
        if "ids" in given:
            given["ids"] = [given["ids"]] if isinstance(given["ids"], str) else list(given["ids"])
        if "plot" in given:
            given["plot"] = Path(given["plot"])
        if "chunks" in given:
            given["chunks"] = parse_chunks(given["chunks"])
        workers = Workers(given.get("cluster"), given.pop("workers", 1), given.get("say", say_nothing))
        codes = _codes_asked(given)
        parts = {name: part(**_chosen(part, given)) for name, part in _PARTS.items()}
        run = RunOptions(**_chosen(RunOptions, given), workers=workers)
        return cls(given.get("out"), **parts, codes=codes, run=run)

    @classmethod
    def keywords(cls) -> list[str]:
        """Names that `from_keywords` takes."""
        shared = [f.name for part in (*_PARTS.values(), RunOptions) for f in fields(part)]
        return ["out", *shared, "cluster", "codes", "codes_model", "latent", "say"]


_PARTS: dict[str, type[Any]] = {
    "inference": InferenceOptions,
    "selection": Selection,
    "files": FileOptions,
    "fields": FieldOptions,
}


def _check_fraction(dry: Any, has_purpose: bool) -> None:
    if not isinstance(dry, Real):
        raise OptionError(f"dry is {dry!r}; give a number from 0 to 1.")
    if not 0 <= float(dry) <= 1 and not has_purpose:
        raise OptionError(f"dry is {float(dry):g}; it is a fraction of the original, from 0 to 1.")


def _check_frequency(highpass: Any) -> None:
    is_number = isinstance(highpass, Real) and not isinstance(highpass, bool)
    if highpass is not None and not (is_number and 0 < float(highpass) < math.inf):
        shown = f"{float(highpass):g}" if is_number else repr(highpass)
        raise OptionError(f"highpass is {shown}; give a frequency in Hz, above 0 and below half the sampling rate.")


def _check_positive(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Integral):
        raise OptionError(f"{name} is {value!r}; give a whole number.")
    if value is not None and value < 1:
        raise OptionError(f"{name} is {value}; it must be at least 1.")


def parse_chunks(given: str | Mapping[str, int]) -> dict[str, int]:
    """Samples in a chunk along each dimension, from text.

    Raises
    ------
    OptionError
        The text is not a list of names and numbers.

    Examples
    --------
    >>> parse_chunks("time=10, lat=90")
    {'time': 10, 'lat': 90}
    """
    if not isinstance(given, str):
        return {str(dim): int(n) for dim, n in given.items()}
    found = {}
    for part in given.replace(" ", "").split(",") if given.strip() else []:
        dim, _, n = part.partition("=")
        if not dim or not n.isdigit():
            raise OptionError(f"chunks {given!r}: expected dimensions and numbers, such as time=10,lat=90.")
        found[dim] = int(n)
    return found


def split_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Split names at commas; a sequence of names may hold commas too."""
    parts = [given] if isinstance(given, str) else given
    return tuple(name for part in parts for name in part.replace(" ", "").split(",") if name)


def refuse_options(given: Mapping[str, bool], reason: str) -> None:
    """Raise InputError that names the options that were given but do not apply.

    Examples
    --------
    >>> refuse_options({"--var": True, "--dims": False}, "not for recordings")
    Traceback (most recent call last):
    geoae.errors.InputError: --var: not for recordings. Leave it out.
    """
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(f"{', '.join(named)}: {reason}. Leave {'it' if len(named) == 1 else 'them'} out.")


def _chosen(part: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(part)}
    return {name: value for name, value in given.items() if name in names}


def _codes_asked(given: Mapping[str, Any]) -> CodesWithSignal | None:
    if given.get("codes"):
        return CodesWithSignal(given.get("codes_model"), given.get("latent"), given.get("force", False))
    names = {"--codes-model": "codes_model", "--latent": "latent"}
    if alone := [name for name, word in names.items() if word in given]:
        raise InputError(f"{', '.join(alone)} needs --codes, which writes the latent codes. Add --codes.")
    return None
