"""The command line; one module a verb, no arithmetic."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
