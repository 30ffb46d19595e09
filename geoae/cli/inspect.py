"""`geoae info`, `geoae models` and `geoae status`."""

from pathlib import Path
from typing import Annotated

import typer

from geoae.cli.console import exit_with_problems, print_line, report_errors, warnings_in_one_line
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
    with report_errors(), warnings_in_one_line():
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
                print_line(tables.recording_table(source, content))
            if content.fields:
                print_line(tables.fields_table(source, content))
            name = Path(source).name
            for note in content.notes:
                print_line(note if note.startswith(name) else f"{name}: {note}")
            problems += content.problems
        exit_with_problems(problems)


def models() -> None:
    """List the models that come with geoae."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import models as shipped

        print_line(tables.models_table(shipped()))


def status(
    stores: Annotated[
        list[Path], typer.Argument(help="Zarr stores, finished or not, that geoae writes.", show_default=False)
    ],
) -> None:
    """Tell how far a store is, when it was begun, by which model and from what."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import status as look

        problems = []
        for store in stores:
            try:
                found = look(store)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            print_line(tables.status_table(store, found))
            if found.finished and found.n_done < found.n_tasks:
                missing = found.n_tasks - found.n_done
                problems.append(
                    f"{store} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite."
                )
        exit_with_problems(problems)
