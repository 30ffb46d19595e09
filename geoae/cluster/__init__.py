"""The same work for many numbers, on this machine or on dask workers."""
