"""The waveform formats that ObsPy and its plugins read and write."""

import warnings
from pathlib import Path


def readable_formats() -> list[str]:
    """Names of formats that can be read, in the order in which ObsPy tries them."""
    from obspy.core.util.base import ENTRY_POINTS

    return [str(name) for name in ENTRY_POINTS["waveform"]]


def writable_formats() -> list[str]:
    """Names of formats that can be written, sorted."""
    from obspy.core.util.base import ENTRY_POINTS

    return sorted(ENTRY_POINTS["waveform_write"])


def detect_obspy_format(path: Path) -> str | None:
    """Name of the first format whose own test recognises a file; None if none does.

    PICKLE is never tried, because its test runs the code in the file.
    """
    from importlib.metadata import entry_points

    installed = entry_points()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in readable_formats():
            for entry in installed.select(group=f"obspy.plugin.waveform.{name}", name="isFormat"):
                try:
                    if name != "PICKLE" and entry.load()(str(path)):
                        return name
                except Exception:  # a test that raises has not recognised its format
                    continue
    return None
