"""The same work for many numbers, on this machine or on dask workers."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
