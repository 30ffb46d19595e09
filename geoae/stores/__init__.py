"""Zarr stores that are written block by block, and stay consistent when a process is killed."""
