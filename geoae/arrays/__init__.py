"""Arithmetic of arrays, and the tasks that dask does it in."""
