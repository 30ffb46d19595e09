"""Conformance tests that authors of plugins run on their own readers and nets, with any test framework.

Each module holds plain functions that raise AssertionError with an explanation; `geoae.testing.readers` those for
readers.
"""
