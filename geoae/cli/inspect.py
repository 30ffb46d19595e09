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
    """List the contents of files: ids, times, rates, gaps of recordings; variables, dimensions, units of fields."""
    with report_errors(), warnings_in_one_line():
        from geoae.cli import tables
        from geoae.jobs.inspect import info as list_contents

        problems = []
        for source in inputs:
            try:
                content = list_contents(source)
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
        from geoae.jobs.inspect import models as list_models

        print_line(tables.models_table(list_models()))


def status(
    stores: Annotated[list[Path], typer.Argument(help="Zarr stores of geoae, finished or not.", show_default=False)],
) -> None:
    """Show the progress of a store, when it was begun, its model and its source."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import status as read_status

        problems = []
        for store in stores:
            try:
                found = read_status(store)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            print_line(tables.status_table(store, found))
            if found.finished and found.n_done < found.n_tasks:
                missing = found.n_tasks - found.n_done
                problems.append(
                    f"{store} is damaged: {missing} of its blocks are missing. Write it again with --overwrite."
                )
        exit_with_problems(problems)
