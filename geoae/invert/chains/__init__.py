"""Markov chains of codes: samplers, an emulator of the data, and convergence."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
