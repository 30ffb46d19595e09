"""The command line; one module a verb, no arithmetic."""

from geoae.cli.commands import app, main
from geoae.deprecated.paths import moved_names

__all__ = ["app", "main"]
__getattr__ = moved_names(__name__)
