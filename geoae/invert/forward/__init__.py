"""The forward model: a user's function from models to data, and its runs."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
