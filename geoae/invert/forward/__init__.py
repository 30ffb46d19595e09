"""The forward model of a user, and the runs of it."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
