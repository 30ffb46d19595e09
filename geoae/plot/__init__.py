"""Figures; one module for each kind of figure."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
