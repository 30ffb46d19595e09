"""The names of attributes and variables in geoae's stores."""

KIND, RECORD = "kind", "record"
"""Setting of a store that holds one record."""


START = "start_time"
"""Attribute of its variable: time of the first sample to the ns, so that the time axis need not be read."""


PREFIX = "geoae_"
"""Of the names of attributes that geoae writes to a store."""


FINGERPRINT, PARTS, STARTED = f"{PREFIX}fingerprint", f"{PREFIX}parts", f"{PREFIX}started"


STATISTICS: dict[str, tuple[str, str]] = {
    "offset": ("float64", "what scaling took away from the window, added again when its code is decoded"),
    "slope": ("float64", "rise over the window of the line that scaling took away"),
    "gain": ("float64", "what scaling divided the window by, multiplied again when its code is decoded"),
    "recon_error": ("float32", "root-mean-square difference of the window and its decoded code"),
    "n_valid": ("int32", "samples of the window that are not missing"),
}
"""What is stored for each window beside its code: dtype and meaning."""


_SCALING = ("offset", "slope", "gain")


OF = "geoae_of"
"""Attribute of codes: the cleaned variable that they belong to."""
