"""Figures as PNG files in memory."""

import io

from matplotlib.figure import Figure


def to_png(figure: Figure) -> bytes:
    """Draw a figure; returns the bytes of a small PNG file."""
    file = io.BytesIO()
    figure.savefig(file, dpi=30)
    return file.getvalue()
