"""`geoae info`, `geoae models` and `geoae status`."""

from pathlib import Path
from typing import Annotated

import typer

from geoae.cli.console import errors, fail, say, warnings_in_one_line
from geoae.errors import GeoAEError


def info(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, gridded fields (netCDF, zarr, GRIB) or names in data_catalog.yml.", show_default=False
        ),
    ],
) -> None:
    """List what is there: ids, times, rates, gaps of recordings; variables, dimensions, units of gridded fields."""
    with errors(), warnings_in_one_line():
        from geoae.cli import tables
        from geoae.jobs.inspect import info as look

        problems = []
        for source in inputs:
            try:
                content = look(source)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            if content.rows:
                say(tables.recording_table(source, content))
            if content.fields:
                say(tables.fields_table(source, content))
            name = Path(source).name
            for note in content.notes:
                say(note if note.startswith(name) else f"{name}: {note}")
            problems += content.problems
        fail(problems)


def models() -> None:
    """List the models that come with geoae."""
    with errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import models as shipped

        say(tables.models_table(shipped()))


def status(
    stores: Annotated[
        list[Path], typer.Argument(help="Zarr stores, finished or not, that geoae writes.", show_default=False)
    ],
) -> None:
    """Tell how far a store is, when it was begun, by which model and from what."""
    with errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import status as look

        problems = []
        for store in stores:
            try:
                found = look(store)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            say(tables.status_table(store, found))
            if found.finished and found.n_done < found.n_tasks:
                missing = found.n_tasks - found.n_done
                problems.append(
                    f"{store} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite."
                )
        fail(problems)
