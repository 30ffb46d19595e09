"""Zarr stores that survive kills."""
