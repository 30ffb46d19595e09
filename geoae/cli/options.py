"""Options that several verbs share, and what a shell completes."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

_WEIGHTS = Path(__file__).parents[1] / "weights"


def complete_words(*words: str) -> Callable[[str], list[str]]:
    """A function that completes the beginning of one of some words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def complete_models(incomplete: str) -> list[str]:
    """Names of shipped models; for others the shell completes folders. It runs at each key: no library is loaded."""
    return sorted(folder.name for folder in _WEIGHTS.glob(f"{incomplete}*") if (folder / "model.json").is_file())


Inputs = Annotated[
    list[str],  # not paths: a path would drop a slash of a URL
    typer.Argument(
        help="Recordings that ObsPy reads, or fields (netCDF, zarr, GRIB); paths, URLs, names in data_catalog.yml.",
        show_default=False,
        metavar="INPUT",
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print notes on formats and devices too.")]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda or mps.", autocompletion=complete_words("auto", "cpu", "cuda", "mps")),
]
Threads = Annotated[int | None, typer.Option(help="CPU threads. [as many as this process may use, at most 8]")]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="Cluster: local, a dask scheduler (tcp://HOST:PORT), or a jobqueue file."),
]
Workers = Annotated[int, typer.Option(help="Processes that compute the blocks of the store.")]
Group = Annotated[str, typer.Option(metavar="NAME", help="Fields: group of the netCDF file or zarr store. [the root]")]
