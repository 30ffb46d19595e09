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
            help="Recordings, gridded fields (netCDF, zarr, GRIB) or names in data_catalog.yml.",
            show_default=False,
            metavar="INPUT",
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


def models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Model folders, also of priors. [the models that come with geoae]",
            show_default=False,
            metavar="FOLDER",
        ),
    ] = None,
) -> None:
    """List the models that come with geoae, or those in folders: digest, rates, and what they are for."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.inspect import models as list_models

        print_line(tables.models_table(list_models(folders or ())))


def status(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            help="Outputs of geoae, finished or not, or folders of them.", show_default=False, metavar="OUTPUT"
        ),
    ],
) -> None:
    """Show the progress of a store, when it was begun, its model and its source; or of all outputs in a folder."""
    with report_errors():
        from geoae.cli import tables
        from geoae.jobs.progress import FolderProgress, describe_damage, read_progress

        problems = []
        for output in outputs:
            try:
                found = read_progress(output)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            if isinstance(found, str):
                print_line(found)
            elif isinstance(found, FolderProgress):
                print_line(tables.folder_table(found))
                problems += found.problems
            else:
                print_line(tables.status_table(output, found))
                if found.finished and found.n_done < found.n_tasks:
                    problems.append(describe_damage(output, found))
        exit_with_problems(problems)
