"""What a verb is asked for: one frozen options object a verb, made of parts that several verbs share.

The names are those of the command line and of the Python functions. `DenoiseOptions.of` takes them flat, as a person
types them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from geoae.cluster import work as cluster
from geoae.errors import InputError
from geoae.model import Model
from geoae.model.denoising import BATCH
from geoae.records import infer

Progress = Callable[[int, int], None]
"""Called with how many samples, or blocks of a store, are done, and how many there are."""


def no_progress(done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def say_nothing(line: str) -> None:
    """Take a line for a person, and show it to nobody."""


@dataclass(frozen=True)
class InferenceOptions:
    """Which model denoises, and how it is run."""

    model: str | Path | Model | None = None
    """Name of a shipped model, folder of a trained one, or a loaded Model; None: the default."""
    device: str = "auto"
    batch_size: int = BATCH
    """Windows a call of the net; changes nothing but speed."""
    threads: int | None = None
    """Of the CPU; None: as many as this process may use, at most 8."""
    dry: float = 0.0
    """Fraction of the noise that is kept."""
    above_band: str = "pass"
    """What lies above the model's band: "pass" or "remove"."""

    def __post_init__(self) -> None:
        if not 0 <= self.dry <= 1:
            raise InputError(f"dry is {self.dry:g}; it is a fraction of the original, from 0 to 1.")
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}; it must be at least 1.")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads is {self.threads}; it must be at least 1.")
        if self.above_band not in infer.ABOVE_BAND:
            raise InputError(f"above_band is {self.above_band!r}; choose one of {', '.join(infer.ABOVE_BAND)}.")


@dataclass(frozen=True)
class Workers:
    """Which processes compute the blocks of a store; see `geoae.cluster.work.run_tasks`."""

    cluster: str | Path | None = None
    """None or "local": of this machine; else the address of a dask scheduler, or a jobqueue file."""
    n: int = 1
    say: Callable[[str], None] = say_nothing
    """Called with a line for a person while they work."""

    def __post_init__(self) -> None:
        _ = self.are_elsewhere  # raises where such workers cannot be

    @property
    def are_elsewhere(self) -> bool:
        """Whether other processes than this one compute; errors are those of `geoae.cluster.work.is_distributed`."""
        return cluster.is_distributed(self.cluster, self.n)


@dataclass(frozen=True)
class RunOptions:
    """How an output is made, whatever is in it."""

    overwrite: bool = False
    """Replace outputs that are there."""
    dry_run: bool = False
    """Read headers and say what would be done."""
    workers: Workers = field(default_factory=Workers)
    command: str = ""
    """What was typed: for the history of a store."""


@dataclass(frozen=True)
class Selection:
    """Which part of recordings is denoised; the rest is not in the output."""

    ids: Sequence[str] = ()
    """Wildcards on NET.STA.LOC.CHA; none: all."""
    start_time: Any = None
    """Anything that ObsPy's UTCDateTime takes."""
    end_time: Any = None
    """The same; a sample at this time is included."""

    def spec(self) -> dict[str, Any]:
        """In plain data, for workers."""
        start, end = (None if time is None else str(time) for time in (self.start_time, self.end_time))
        return {"ids": list(self.ids), "start_time": start, "end_time": end}


@dataclass(frozen=True)
class FileOptions:
    """How files of recordings are written."""

    format: str = "MSEED"
    """Any that ObsPy writes."""
    encoding: str | None = None
    """Of miniSEED: FLOAT32 (None), FLOAT64, INT32, STEIM1 or STEIM2."""
    noise_out: str | Path | None = None
    """File or folder for what was removed; None: it is not written."""
    plot: Path | None = None
    """Figure of the first record, before and after: PNG, PDF, SVG or what else matplotlib writes."""


@dataclass(frozen=True)
class FieldOptions:
    """Which fields are denoised, and how their store is laid out."""

    var: Sequence[str] = ()
    """Names of variables; none: all that lie on a grid."""
    dims: Sequence[str] = ()
    """Names of the horizontal dimensions; none: found by metadata."""
    chunks: Mapping[str, int] = field(default_factory=dict)
    """Samples of a chunk of the store along dimensions."""
    shard: int = 1
    """Chunks in a file of the store."""
    append: bool = False
    """Add what comes later in time to a store that is there."""
    force: bool = False
    """Take a model that was trained on other units or dimensions."""


@dataclass(frozen=True)
class CodesWithSignal:
    """Which latent codes are written beside the denoised samples."""

    model: str | Path | Model | None = None
    """None: the shipped one that fits."""
    latent: int | None = None
    """Numbers of a code; None: all."""
    force: bool = False
    """Take a model that was trained on other units."""


@dataclass(frozen=True)
class CodeOptions:
    """What `geoae encode` and `geoae decode` are asked for."""

    model: str | Path | Model | None = None
    """None: the shipped one that fits."""
    var: Sequence[str] = ()
    dims: Sequence[str] = ()
    latent: int | None = None
    device: str = "auto"
    threads: int | None = None
    append: bool = False
    """Add the codes of what comes later in time to a store that is there."""
    force: bool = False
    """Take a model that was trained on other units."""


@dataclass(frozen=True)
class DenoiseOptions:
    """What `geoae denoise` is asked for."""

    out: str | Path | None = None
    """File (all inputs), folder (one file each; it must be there), store NAME.zarr, or None: beside the input."""
    how: InferenceOptions = field(default_factory=InferenceOptions)
    select: Selection = field(default_factory=Selection)
    files: FileOptions = field(default_factory=FileOptions)
    fields: FieldOptions = field(default_factory=FieldOptions)
    codes: CodesWithSignal | None = None
    """None: no codes are written."""
    run: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def of(cls, **words: Any) -> "DenoiseOptions":
        """Options from the words of the command line.

        Parameters
        ----------
        **words
            ``out``; the fields of `InferenceOptions`, `Selection`, `FileOptions`, `FieldOptions` and `RunOptions`;
            ``var`` and ``dims`` may be text with commas, ``chunks`` text as `parse_chunks` takes it, and ``workers`` is
            a number beside ``cluster``; ``codes`` (bool), ``codes_model``, ``latent``; ``say``, see `Workers`. What is
            left out or None has its default.

        Raises
        ------
        InputError
            There is no such option, or a value cannot be.
        """
        if unknown := sorted(words.keys() - set(cls.words())):
            raise InputError(f"denoise has no option {', '.join(unknown)}; there are {', '.join(cls.words())}.")
        given = {name: value for name, value in words.items() if value is not None}
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
    def words(cls) -> list[str]:
        """Names that `of` takes."""
        shared = [f.name for part in (*_PARTS.values(), RunOptions) for f in fields(part)]
        return ["out", *shared, "cluster", "codes", "codes_model", "latent", "say"]


_PARTS: dict[str, type[Any]] = {
    "how": InferenceOptions,
    "select": Selection,
    "files": FileOptions,
    "fields": FieldOptions,
}


def parse_chunks(given: str | Mapping[str, int]) -> dict[str, int]:
    """Samples of a chunk along dimensions, from text.

    Raises
    ------
    InputError
        It is not names and numbers.

    Examples
    --------
    >>> chunk_sizes("time=10, lat=90")
    {'time': 10, 'lat': 90}
    """
    if not isinstance(given, str):
        return {str(dim): int(n) for dim, n in given.items()}
    found = {}
    for part in given.replace(" ", "").split(",") if given.strip() else []:
        dim, _, n = part.partition("=")
        if not dim or not n.isdigit():
            raise InputError(f"chunks {given!r}: expected dimensions and numbers, such as time=10,lat=90.")
        found[dim] = int(n)
    return found


def split_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names that are given one by one, or with commas between them."""
    parts = [given] if isinstance(given, str) else given
    return tuple(name for part in parts for name in part.replace(" ", "").split(",") if name)


def refuse_options(given: Mapping[str, bool], reason: str) -> None:
    """Raise InputError for the options, by name, that were given although they make no sense.

    Examples
    --------
    >>> refuse({"--var": True, "--dims": False}, "not for recordings")
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
    named = {"--codes-model": "codes_model", "--latent": "latent"}
    if alone := [name for name, word in named.items() if word in given]:
        raise InputError(f"{', '.join(alone)}: of codes, which are written with --codes only. Add it.")
    return None
