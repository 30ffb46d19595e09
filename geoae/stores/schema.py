"""The names of all attributes and variables that geoae writes into stores, each with its meaning.

These strings are a format on disk. Stores that were written before are read by them, so none of them may change.
"""

from typing import NamedTuple

# attributes of every store

PREFIX = "geoae_"
"""Begins the name of every attribute that geoae adds to a store. The settings of a run follow it."""
FINGERPRINT = f"{PREFIX}fingerprint"
"""Digest of everything that decides the content of the store."""
PARTS = f"{PREFIX}parts"
"""How the arrays are divided into blocks, see `geoae.stores.provenance.format_parts`."""
STARTED = f"{PREFIX}started"
"""When the run began, UTC."""
VERSION = f"{PREFIX}version"
"""The version of geoae that wrote the store."""
COMMAND = f"{PREFIX}command"
"""The command line of the first start."""
SOURCE = f"{PREFIX}source"
"""The input, one line for each run that appended to the store."""
SOURCE_HASH = f"{PREFIX}source_hash"
"""A digest of the input, one line for each run that appended to the store."""
FILE_HASHES = f"{PREFIX}file_hashes"
"""Digest of each file of the input, one a line, in stores that are appended to."""

# settings, whose attributes have the prefix

KIND = "kind"
"""What the store holds: `RECORD`, `FIELD`, `CODES` or `DECODED`."""
RECORD, FIELD, CODES, DECODED = "record", "field", "codes", "decoded"

# attributes of variables

START_TIME = "start_time"
"""Of a record: time of its first sample to the ns, so that the time axis need not be read."""
MODEL_NAME = f"{PREFIX}model"
"""Of a store, or of codes: name of the model that made it."""
MODEL_DIGEST = f"{PREFIX}digest"
"""Of a store, or of codes: digest of the model that made it."""
CODED_VARIABLE = f"{PREFIX}of"
"""Of codes: name of the variable that they encode."""
WINDOW = f"{PREFIX}window"
"""Of codes: samples of a window along each of `WINDOWED_DIMS`."""
CODED_DIMS = f"{PREFIX}dims"
"""Of codes: dimensions of the encoded array, in its order."""
WINDOWED_DIMS = f"{PREFIX}core"
"""Of codes: the dimensions of the encoded array that windows lie along."""
WINDOWED_LENGTHS = f"{PREFIX}lengths"
"""Of codes: samples of the encoded array along each of `WINDOWED_DIMS`."""
CODED_DTYPE = f"{PREFIX}dtype"
"""Of codes: dtype of the decoded array."""
CODED_ATTRS = f"{PREFIX}attrs"
"""Of codes: attributes of the encoded array, as JSON."""
CODED_START = f"{PREFIX}start"
"""Of codes of a record: time of its first sample to the ns."""
CODED_RATE_HZ = f"{PREFIX}rate_hz"
"""Of codes of a record: its sampling rate."""

# variables of records, beside the samples

SIGMA = "sigma"
"""Standard error of each sample, in the units of the samples; NaN in gaps."""
FLAGGED = f"{PREFIX}flags"
"""Attribute of a denoised array: a line for each channel and flag, with the times of its windows."""
DOUBTS = "flags"
"""Doubts about the window of each sample, one bit each."""

# variables and dimensions of codes

CODE = "code"
"""Latent codes (windows..., latent)."""
LATENT = "latent"
"""Dimension: the numbers of one code."""
COMPONENT = "component"
"""Dimension: the components of a window that are scaled one by one."""
OFFSET = "offset"
SLOPE = "slope"
GAIN = "gain"
RECON_ERROR = "recon_error"
N_VALID = "n_valid"
MISSING = "missing"
"""The missing samples of a window, one bit each in C order: (windows..., missing_byte)."""
MISSING_BYTE = "missing_byte"
"""Dimension: the bytes of `MISSING`."""


class Statistic(NamedTuple):
    """A variable that is stored for each window beside its code."""

    dtype: str
    meaning: str


STATISTICS = {
    OFFSET: Statistic("float64", "what scaling took away from the window, added again when its code is decoded"),
    SLOPE: Statistic("float64", "rise over the window of the line that scaling took away"),
    GAIN: Statistic("float64", "what scaling divided the window by, multiplied again when its code is decoded"),
    RECON_ERROR: Statistic("float32", "root-mean-square difference of the window and its decoded code"),
    N_VALID: Statistic("int32", "samples of the window that are not missing"),
}
"""What may be stored for each window beside its code. The meanings are written to the store as ``long_name``."""
SCALING = (OFFSET, SLOPE, GAIN)
"""The statistics that decoding needs."""
CODE_STATISTICS = (OFFSET, GAIN, RECON_ERROR, N_VALID)
"""The statistics that `geoae.encode` stores, in the order in which they follow the numbers of a code in memory."""
MISSING_BITS = Statistic("uint8", "missing samples of the window, one bit each in C order; numpy.unpackbits reads them")
"""What `MISSING` holds."""
WINDOW_DIMS = {1: ("window",), 2: ("window_y", "window_x")}
"""Dimensions of the windows of codes, by the number of dimensions that windows lie along."""
PLACES = {1: ("t0", "x0"), 2: ("y0", "x0")}
"""Coordinates of the first sample of each window, by the number of dimensions that windows lie along."""
INDEX_SUFFIX = "_index"
"""Ends the name of a coordinate with the number of each window's first sample: ``t0_index`` beside ``t0``."""


def list_code_names(ndim: int) -> set[str]:
    """Names of all variables and dimensions of codes of windows along `ndim` dimensions, without a prefix."""
    places = {place + suffix for place in PLACES[ndim] for suffix in ("", INDEX_SUFFIX)}
    return {CODE, *STATISTICS, MISSING, LATENT, COMPONENT, MISSING_BYTE, *WINDOW_DIMS[ndim], *places}


# stores of posteriors

POSTERIOR_FORMAT = f"{PREFIX}posterior"
"""Attribute: version of the format."""
METHOD = "method"
"""Attribute: how the posterior was sampled."""
SEED = "seed"
"""Attribute: the seed of the run."""
N_CHAINS = "chains"
"""Attribute: number of chains; 0 if the draws come from no chains."""
INFO = "about"
"""Attribute: counts and settings of the run, as JSON."""
DISTANCE = "distance"
"""Attribute: Mahalanobis distance of the data from those of the held-out models."""
PREDICTED = "predicted"
"""Data (draw, datum) of each draw."""
DATA = "data"
"""The data that were inverted."""
MEASURED = "measured"
"""Whether each datum that was given was measured (given); missing in older stores, where all are taken as measured."""
NOISE = "noise"
"""Covariance of the noise: a matrix, or its diagonal (datum)."""
NOISE_OFFSET = "noise_offset"
"""Mean of the noise (datum)."""
RESIDUALS = "rest"
"""What codes leave of each held-out model (held_out, cell)."""
REPRESENTATION_ERRORS = "errors"
"""Data of each held-out model less those of its decoded code (held_out, datum)."""
HELD_OUT_CODE = "held_out_code"
"""Codes of the held-out models."""
DECODED_DATA = "decoded_data"
"""Data of the decoded codes of the held-out models (held_out, datum)."""
DISTANCES = "distances"
"""The same distance of each held-out model's data, the reference for `DISTANCE`."""
SURPRISES = "surprises"
"""Each datum less its mean over the held-out models, in standard deviations (datum)."""
