"""Posteriors: draws, what is read from them, how they are diagnosed, drawn and saved."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
