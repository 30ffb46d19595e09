"""Denoise one block of a store of fields, in this process or in a worker, and count its samples."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.fields.frame import FieldFrame, denoise_region
from geoae.fields.infer import build_frame
from geoae.jobs.append import find_layout
from geoae.jobs.codes import plan as code_plan
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.fields.counts import Counts, count_block
from geoae.jobs.fields.plan import choose_code_prefix, find_time_axis
from geoae.jobs.run import load_same_model
from geoae.jobs.source import RegionReader, source_from_spec
from geoae.model import Model
from geoae.stores import ledger, schema
from geoae.stores.blocks import Region, Task
from geoae.stores.write import write_region

BlockDenoiser = Callable[[Task], tuple[NDArray[Any], Counts]]
"""Computes the denoised samples of a block of one variable, and their counts."""


def make_field_worker(
    spec: dict[str, Any],
    *,
    fields: Sequence[xr.DataArray] | None = None,
    model: Model | None = None,
    coder: TruncatedCoder | None = None,
) -> Callable[[int], tuple[str, Counts | None]]:
    """Make the function that writes one block, of denoised samples or of their codes.

    It returns the name of the block's part, and the counts of a block of samples.

    Parameters
    ----------
    spec
        Source, model, options and the run's folder, as plain data.
    fields, model, coder
        Objects that this process has in memory; else they are opened as `spec` describes.

    Raises
    ------
    InputError, ModelFileError
        Fields or model have changed since the run was begun.
    """
    fields = _open_same_fields(spec) if fields is None else fields
    model = model or load_same_model(spec)
    run = ledger.load_run(Path(spec["folder"]))
    # units and dimensions were checked when the run began
    denoisers = {str(x.name): _make_denoiser(x, model, spec) for x in fields}
    coder = coder or code_plan.load_same_coder(spec["codes"])
    encoders = _make_encoders(run, fields, denoisers, coder, spec) if coder else {}

    def work(number: int) -> tuple[str, Counts | None]:
        task = run.task(number)
        name = task.part.name
        if name in encoders:
            write_region(run.folder, number, encoders[name](task))
            return name, None
        signal, counts = denoisers[name](task)
        write_region(run.folder, number, {name: signal})
        return name, counts

    return work


def denoise_and_count(
    read: RegionReader, frame: FieldFrame, region: Region, model: Model, dry: float, batch: int
) -> tuple[NDArray[Any], Counts]:
    """Denoise a region of a field, and count its samples. `dry` is the fraction of the noise that is kept."""
    before, signal, removed = denoise_region(read(frame.spans(region)), frame, region, model, dry, batch)
    return signal, count_block(before, removed, frame.valid)


def _make_encoders(
    run: ledger.Ledger,
    fields: Sequence[xr.DataArray],
    denoisers: Mapping[str, BlockDenoiser],
    coder: TruncatedCoder,
    spec: dict[str, Any],
) -> dict[str, Callable[[Task], dict[str, Any]]]:
    """Functions that compute a block of codes, by the name of the part of the codes."""
    encoders = {}
    for x in fields:
        axis, denoise = find_time_axis(x, spec["dims"]), denoisers[str(x.name)]
        new = x if axis is None else x.isel({x.dims[axis]: slice(spec["first"], None)})
        coding = coder.coding(new, find_layout(x, spec["dims"]).horizontal, choose_code_prefix(x, fields))

        def compute_samples(task: Task, denoise: BlockDenoiser = denoise) -> NDArray[Any]:
            return denoise(task)[0]

        encode = code_plan.make_block_encoder(run, str(x.name), coding, coder, compute_samples)
        encoders[coding.prefix + schema.CODE] = encode
    return encoders


def _make_denoiser(x: xr.DataArray, model: Model, spec: dict[str, Any]) -> BlockDenoiser:
    """Make the function that denoises a block of one variable."""
    frame = build_frame(x, model, spec["dims"] or None, force=True)
    time_axis = find_time_axis(x, spec["dims"])
    read = RegionReader(x, time_axis, frame)

    def denoise(task: Task) -> tuple[NDArray[Any], Counts]:
        shift = [spec["first"] if axis == time_axis else 0 for axis in range(x.ndim)]
        region = tuple(slice(s.start + n, s.stop + n) for s, n in zip(task.region, shift, strict=True))
        return denoise_and_count(read, frame, region, model, spec["dry"], spec["batch"])

    return denoise


def _open_same_fields(spec: dict[str, Any]) -> list[xr.DataArray]:
    source = source_from_spec(spec["source"])
    fields = source.open(spec["var"], spec["dims"])
    if [list(x.shape) for x in fields] != spec["shapes"]:
        raise InputError(
            f"{source.label()}: a worker finds other fields there than the run that it works for. Workers have to see "
            "the same files by the same names, and they must not change."
        )
    return fields
