"""Run numbered tasks in this process, on this machine's processes or on dask workers."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
