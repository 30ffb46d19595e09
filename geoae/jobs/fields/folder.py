"""Denoise each input of a run into a file of its own, in one folder."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from geoae.cluster.schedulers import keep_workers
from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.jobs.fields.counts import FieldSummary
from geoae.jobs.fields.store import denoise_fields
from geoae.jobs.options import DenoiseOptions, Progress, no_progress
from geoae.jobs.records.names import names_folder
from geoae.jobs.source import ArraySource

_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
_STEPS = 1000
"""Steps of the progress of one input."""


def is_folder(out: str | Path | None) -> bool:
    """Whether an output is a folder for one file for each input: it ends in a slash, or is there and no store."""
    if out is None or "://" in str(out):
        return False
    is_file = Path(out).suffix.lower() in (".zarr", *_NETCDF) and not str(out).endswith("/")
    return names_folder(out) and not is_file


def denoise_into_folder(
    source: ArraySource, folder: Path, options: DenoiseOptions, progress: Progress = no_progress
) -> FieldSummary:
    """Denoise each input by itself into `folder`. An input that fails stops no other.

    Parameters
    ----------
    source
        Files, stores or URLs. They are not joined, so that times in other files are not used as neighbours.
    folder
        Folder that exists. NAME.nc becomes NAME.denoised.nc, or NAME.denoised.zarr if the options ask for blocks or
        codes; other inputs become NAME.denoised.zarr. Outputs that are there are left as they are, unless
        `options.run.overwrite` is set; unfinished stores are resumed.
    options
        Options of all runs. Workers are started once.
    progress
        Called with the steps that are done, and their total.

    Raises
    ------
    GeoAEError
        The folder is not there, two outputs would have the same name, or no input could be denoised.
    """
    if not folder.is_dir():
        raise OutputError(f"The folder {folder} for the outputs is not there; make it first.")
    selected, workers = options.fields, options.run.workers
    in_blocks = selected.append or selected.shard > 1 or selected.chunks or options.codes or workers.are_other_processes
    targets = [folder / _name_output(place, bool(in_blocks)) for place in source.places]
    if twice := [target for target, n in Counter(targets).items() if n > 1]:
        raise InputError(f"{twice[0]} would be written twice: two inputs have the same name. Give them one by one.")
    done = FieldSummary([], [], [], [], "", 0.0)
    there = 0
    with keep_workers():
        for number, (place, target) in enumerate(zip(source.places, targets, strict=True)):
            single = replace(source, names=(place,), places=(place,))
            begun = number * _STEPS

            def report(part: int, total: int, begun: int = begun) -> None:
                progress(begun + _STEPS * part // max(total, 1), _STEPS * len(targets))

            try:
                found = denoise_fields(single, target, options, report)
            except OutputExistsError:
                there += 1
                continue
            except GeoAEError as error:
                if not _is_about_input(error) or len(targets) == 1:
                    raise
                done.problems.append(f"{single.label()}: {error}")
                continue
            _add(done, found, single.label())
    progress(_STEPS * len(targets), _STEPS * len(targets))
    if not done.outputs and not there:
        raise InputError(f"No output was written: {'; '.join(done.problems)}")
    if there:
        done.notes.append(
            f"{there} of {len(targets)} outputs are in {folder} already and were left as they are; --overwrite writes "
            "them again."
        )
    return done


def _name_output(place: str, in_blocks: bool) -> str:
    name = place.rstrip("/").rpartition("/")[2]
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    return f"{stem or name}.denoised{'.nc' if suffix in _NETCDF and not in_blocks else '.zarr'}"


def _is_about_input(error: GeoAEError) -> bool:
    """Whether an error may be of one input alone. Lost workers and unknown models end all runs."""
    return isinstance(error, (ValueError, OSError)) and not isinstance(error, RuntimeError)


def _add(done: FieldSummary, found: FieldSummary, label: str) -> None:
    done.rows += [replace(row, name=f"{label}: {row.name}") for row in found.rows]
    done.outputs += found.outputs
    done.problems += [f"{label}: {line}" for line in found.problems]
    done.notes += [f"{label}: {line}" for line in found.notes]
    done.model, done.seconds = found.model, done.seconds + found.seconds
