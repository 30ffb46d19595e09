"""Labels of arrays: dimensions, coordinates and units, as xarray has them."""
