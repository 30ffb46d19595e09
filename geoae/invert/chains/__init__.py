"""Markov chains of codes: samplers, the emulator they may run on, and their convergence."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
