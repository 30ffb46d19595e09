"""Names of the waveform formats that ObsPy and its plugins read and write."""


def readable_formats() -> list[str]:
    """Names of formats that can be read, in the order in which ObsPy tries them."""
    from obspy.core.util.base import ENTRY_POINTS

    return [str(name) for name in ENTRY_POINTS["waveform"]]


def writable_formats() -> list[str]:
    """Names of formats that can be written, sorted."""
    from obspy.core.util.base import ENTRY_POINTS

    return sorted(ENTRY_POINTS["waveform_write"])
