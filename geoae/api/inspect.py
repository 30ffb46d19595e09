"""geoae.info and models for a notebook: what a file or data in memory hold, and which models come with geoae."""

from collections.abc import Iterator
from typing import Any

from geoae.jobs import contents, inspect
from geoae.jobs.inspect import SourceContent
from geoae.readers import check_paths


def info(source: Any, group: str = "") -> SourceContent:
    """List what a recording holds (ids, times, rates, gaps, overlaps) or a gridded data set (variables, dimensions).

    Parameters
    ----------
    source
        A path, a URL, or the name of a data set in data_catalog.yml; an ObsPy Stream or Trace, a DataArray, Dataset or
        DataTree; or a list of these.
    group
        A group of a netCDF file or zarr store.

    Raises
    ------
    GeoAEError
        The file cannot be read, or the object is none of these.
    """
    if isinstance(source, Iterator) and not hasattr(source, "read"):  # an open file is none
        source = list(source)
    if (found := contents.describe_data(source)) is not None:
        return found
    if isinstance(source, list | tuple) and source:
        return contents.join_contents([info(one, group) for one in source])
    (path,) = check_paths(source, "info")
    return inspect.info(path, group)


def models() -> list[str]:
    """Names of the models that come with geoae."""
    return [str(facts["contract"]["name"]) for facts in inspect.models()]
