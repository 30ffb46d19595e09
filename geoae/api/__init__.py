"""The verbs for a notebook; each returns the kind of object that it was given."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)
