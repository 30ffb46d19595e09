"""Options that several verbs share."""

from typing import Annotated

import typer

Inputs = Annotated[
    list[str],  # not paths: a path would drop a slash of a URL
    typer.Argument(
        help="Recordings that ObsPy reads, or fields (netCDF, zarr, GRIB); paths, URLs, names in data_catalog.yml.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print notes on formats and devices too.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads. [as many as this process may use, at most 8]")]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="Cluster: local, a dask scheduler (tcp://HOST:PORT), or a jobqueue file."),
]
Workers = Annotated[int, typer.Option(help="Processes that compute the blocks of the store.")]
Group = Annotated[str, typer.Option(metavar="NAME", help="Fields: group of the netCDF file or zarr store. [the root]")]
