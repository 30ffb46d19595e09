"""`geoae info`, `geoae models` and `geoae status`."""

from pathlib import Path
from typing import Annotated

import typer

from geoae.cli.console import exit_with_problems, print_line, report_errors, warnings_in_one_line
from geoae.cli.options import Group
from geoae.errors import GeoAEError


def info(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, gridded fields (netCDF, zarr, GRIB) or names in data_catalog.yml.", show_default=False
        ),
    ],
    group: Group = "",
) -> None:
    """List the contents of files: ids, times, rates, gaps of recordings; variables, dimensions, units of fields."""
    with report_errors(), warnings_in_one_line():
        from geoae.cli import tables
        from geoae.jobs.inspect import info as list_contents

        problems = []
        for source in inputs:
            try:
                content = list_contents(source, group)
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
    stores: Annotated[
        list[Path],
        typer.Argument(help="Zarr stores of geoae, finished or not, or folders of outputs.", show_default=False),
    ],
) -> None:
    """Show the progress of a store, when it was begun, its model and its source; or of all outputs in a folder."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import status as read_status
        from geoae.jobs.progress import describe_damage, is_output_folder, read_folder_progress

        problems = []
        for store in stores:
            try:
                if is_output_folder(store):
                    progress = read_folder_progress(store)
                    print_line(tables.folder_table(progress))
                    problems += progress.problems
                    continue
                found = read_status(store)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            print_line(tables.status_table(store, found))
            if found.finished and found.n_done < found.n_tasks:
                problems.append(describe_damage(store, found))
        exit_with_problems(problems)
