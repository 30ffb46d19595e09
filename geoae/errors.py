"""The errors geoae raises on purpose. Each is also the built-in a caller would expect, and says what to do."""


class GeoAEError(Exception):
    """Base of every error that geoae raises on purpose; its message is one line for a person to read."""


class UnknownFormatError(GeoAEError, ValueError):
    """No reader recognises the content of a file."""


class DamagedFileError(GeoAEError, OSError):
    """A file was recognised but cannot be decoded."""


class InputError(GeoAEError, ValueError):
    """Data or options that cannot be worked on as given."""


class MissingFileError(InputError, FileNotFoundError):
    """There is no such file."""


class UnreadableFileError(InputError, PermissionError):
    """The file is there, but must not or cannot be opened."""


class SamplingRateError(InputError):
    """A record's sampling rate lies outside what a model can work on."""


class OutputExistsError(GeoAEError, FileExistsError):
    """The output is there already and overwriting was not asked for."""


class OutputError(GeoAEError, OSError):
    """The output cannot be written; nothing half-written is left behind."""


class StoreError(GeoAEError, ValueError):
    """A store is unfinished, damaged, or was begun with other settings."""


class ClusterError(GeoAEError, RuntimeError):
    """Workers or their scheduler cannot be had, or are lost."""


class UnknownNameError(GeoAEError, LookupError):
    """No model, net, reader or catalog entry has that name."""


class ModelFileError(GeoAEError, ValueError):
    """A model folder is damaged, incomplete, or written by a newer geoae."""


class RecipeError(GeoAEError, ValueError):
    """A recipe or catalog file says something that geoae does not know."""


def one_line(error: BaseException) -> str:
    """What an error says, or else its kind."""
    return " ".join(str(error).split()) or type(error).__name__
