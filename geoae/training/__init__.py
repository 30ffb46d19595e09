"""Training: the loop, its recipe, checkpoint and shared losses."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
