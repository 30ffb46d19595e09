"""Types of results, as mypy sees them in a user's code; mypy reads this file together with the package."""

import tomllib
from pathlib import Path
from typing import Any, assert_type, get_overloads

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import geoae
from geoae.jobs.inspect import SourceContent


def results_have_the_type_of_the_input(
    array: xr.DataArray, data: xr.Dataset, tree: xr.DataTree, plain: NDArray[np.float32], noise: bool
) -> None:
    """Never called: mypy fails if a result has another type."""
    assert_type(geoae.denoise(array), xr.DataArray)
    assert_type(geoae.denoise(array, dims="time", threads=1), xr.DataArray)
    assert_type(geoae.denoise(array, return_noise=False), xr.DataArray)
    assert_type(geoae.denoise(array, return_noise=True), tuple[xr.DataArray, xr.DataArray])
    assert_type(geoae.denoise(array, return_noise=noise), xr.DataArray | tuple[xr.DataArray, xr.DataArray])
    assert_type(geoae.denoise(data, force=True), xr.Dataset)
    assert_type(geoae.denoise(tree, return_noise=True), tuple[xr.DataTree, xr.DataTree])
    assert_type(geoae.denoise([array, array]), list[xr.DataArray])
    assert_type(geoae.denoise([array], return_noise=True), tuple[list[xr.DataArray], list[xr.DataArray]])
    assert_type(geoae.denoise(plain, rate_hz=100.0), NDArray[Any])
    assert_type(geoae.denoise(plain, rate_hz=100, return_noise=True), tuple[NDArray[Any], NDArray[Any]])
    assert_type(geoae.denoise("day.mseed"), Path)
    assert_type(geoae.denoise(Path("day.mseed"), "clean.sac", format="SAC"), Path)
    assert_type(geoae.denoise([Path("a.sac"), Path("b.sac")], out="clean"), list[Path])
    assert_type(geoae.denoise(["a.sac", "b.sac"]), list[Path])
    assert_type(geoae.read("day.mseed"), xr.DataArray | xr.DataTree)
    assert_type(geoae.info(array), SourceContent)
    codes = geoae.encode(array)
    assert_type(codes, xr.Dataset)
    assert_type(geoae.encode(plain, rate_hz=100.0), xr.Dataset)
    assert_type(geoae.decode(codes), xr.DataArray)


def wrong_options_are_errors(array: xr.DataArray, plain: NDArray[np.float32]) -> None:
    """Never called: mypy fails if one of these is accepted, since its comment is then not used."""
    geoae.denoise(array, threds=1)  # type: ignore[call-overload]
    geoae.denoise(array, batch_size="a")  # type: ignore[call-overload]


def test_mypy_reads_this_file() -> None:
    """The test command runs mypy on the files of pyproject.toml."""
    here = Path(__file__)
    settings = tomllib.loads((here.parents[2] / "pyproject.toml").read_text())
    assert here.relative_to(here.parents[2]).as_posix() in settings["tool"]["mypy"]["files"]


def test_streams_and_traces_have_overloads() -> None:
    """ObsPy has no types for mypy; an editor that reads its code finds the kind of result."""
    found = {str(overload.__annotations__["x"]) for overload in get_overloads(geoae.denoise)}
    assert {"Stream", "Trace", "list[Trace]"} <= found
