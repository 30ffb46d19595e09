"""Conformance tests that authors of plugins run on their own readers and nets, with any test framework.

The functions of `geoae.testing.readers` and `geoae.testing.nets` raise AssertionError with an explanation.
"""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
