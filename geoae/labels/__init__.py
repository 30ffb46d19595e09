"""Dimensions, coordinates, time axes, and the changes that a data catalog makes to variables. xarray, never torch."""
