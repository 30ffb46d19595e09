"""Dimensions, coordinates, time axes and the changes that a catalog makes to them. xarray, never torch."""
