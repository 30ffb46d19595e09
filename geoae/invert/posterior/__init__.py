"""Posteriors: draws with their statistics, diagnosis, figure and store."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
