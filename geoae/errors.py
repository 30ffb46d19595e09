"""The errors that geoae raises. Each is also a built-in error; its message is one line that tells what to do."""


class GeoAEError(Exception):
    """Base class of all errors of geoae. The message is one line of text."""


class UnknownFormatError(GeoAEError, ValueError):
    """No reader recognises the content of a file."""


class DamagedFileError(GeoAEError, OSError):
    """A file was recognised but cannot be decoded."""


class InputError(GeoAEError, ValueError):
    """Data or options cannot be used."""


class OptionError(InputError):
    """An option has a value that it cannot have, whatever the data."""


class MissingFileError(InputError, FileNotFoundError):
    """A file does not exist."""


class UnreadableFileError(InputError, PermissionError):
    """A file exists, but cannot be opened or read."""


class SamplingRateError(InputError):
    """The sampling rate of a record lies outside the range of a model."""


class SamplesError(InputError):
    """Samples cannot be used with any options: only another input helps, and a run on this one is not kept."""


class OutputExistsError(GeoAEError, FileExistsError):
    """The output exists, and overwriting was not requested."""


class OutputError(GeoAEError, OSError):
    """The output cannot be written. No partial output is left."""


class StoreError(GeoAEError, ValueError):
    """A store is unfinished, damaged, or was begun with other settings."""


class ClusterError(GeoAEError, RuntimeError):
    """Workers or their scheduler cannot be started, or are lost."""


class UnknownNameError(GeoAEError, LookupError):
    """No model, net, reader or catalog entry has that name."""


class ModelFileError(GeoAEError, ValueError):
    """A model folder is damaged, incomplete, or written by a newer geoae."""


class RecipeError(GeoAEError, ValueError):
    """A recipe or catalog file has unknown or wrong entries."""


class LossWarning(UserWarning):
    """A part of a recording could not be read."""


class DoubtWarning(UserWarning):
    """A window of a recording may have lost a signal, or its result is not to be trusted."""


def one_line(error: BaseException) -> str:
    """The message of an error in one line, or the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
