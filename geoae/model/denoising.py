"""Subtract noise from a block of samples; the note on processing that outputs carry."""

from typing import Any

import numpy as np

from geoae.arrays.types import Array
from geoae.model import Model

BATCH = 16
"""Windows in one call of the net."""


def denoise_block(
    x: Array, noise: Array, dry: float, dtype: np.dtype[Any], rounded: bool = False
) -> tuple[Array, Array]:
    """Signal and what was removed, such that their sum is `x` to the rounding of `dtype`.

    Samples that are not finite come back as they came, with nothing removed. `dry` is the fraction of the noise kept;
    `rounded` gives a signal of whole numbers, for integer encodings.
    """
    finite = np.isfinite(x)
    whole = bool(finite.all())
    limit = np.finfo(dtype).max
    signal = x - (1 - dry) * noise if whole else np.where(finite, x - (1 - dry) * noise, x)
    if rounded:
        np.rint(signal, out=signal)
    # what the dtype cannot hold (float64 recordings beyond 3e38) is held at its limit, not turned into infinity
    signal = (
        np.where(finite, np.clip(signal, -limit, limit), signal).astype(dtype)
        if np.abs(x).max(initial=0, where=finite) > limit / 8
        else signal.astype(dtype)
    )
    removed = (
        (x - signal).astype(dtype) if whole else np.where(finite, x - np.where(finite, signal, 0), 0.0).astype(dtype)
    )
    return signal, removed


def describe_processing(model: Model, dry: float = 0.0) -> str:
    """One line of provenance: version, model and digest, as ObsPy's `stats.processing` has it."""
    from geoae._version import __version__

    return f"geoae {__version__}: denoise(model={model.name!r}, digest={model.digest!r}, dry={dry:g})"
