"""Subtract noise from a block of samples, and describe the processing for the metadata of outputs."""

from typing import Any

import numpy as np

from geoae.arrays.types import Array
from geoae.model import Model

BATCH = 16
"""Windows in one call of the net."""


def denoise_block(x: Array, noise: Array, dry: float, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Subtract noise: returns the signal and the removed part, whose sum is `x` to the rounding of `dtype`.

    Samples that are not finite stay as they are, and nothing is removed from them. `dry` is the fraction of the noise
    that is kept.
    """
    return split_block(x, subtract_noise(x, noise, dry), dtype)


def subtract_noise(x: Array, noise: Array, dry: float) -> Array:
    """The signal in the type of `x`, before it is rounded to the type of an output; see `denoise_block`."""
    finite = np.isfinite(x)
    signal: Array = x - (1 - dry) * noise if finite.all() else np.where(finite, x - (1 - dry) * noise, x)
    return signal


def split_block(x: Array, exact: Array, dtype: np.dtype[Any], rounded: bool = False) -> tuple[Array, Array]:
    """Signal and removed part in the type of an output, from the result of `subtract_noise`.

    If `rounded`, the signal has whole numbers, for formats of integers.
    """
    finite = np.isfinite(x)
    whole = bool(finite.all())
    limit = np.finfo(dtype).max
    signal = np.rint(exact) if rounded else exact
    # values beyond the range of dtype (float64 recordings beyond 3e38) are clipped to its limit, not made infinite
    signal = (
        np.where(finite, np.clip(signal, -limit, limit), signal).astype(dtype)
        if np.abs(x).max(initial=0, where=finite) > limit / 8
        else signal.astype(dtype)
    )
    removed = (
        (x - signal).astype(dtype) if whole else np.where(finite, x - np.where(finite, signal, 0), 0.0).astype(dtype)
    )
    return signal, removed


def describe_processing(
    model: Model, dry: float = 0.0, highpass_hz: float | None = None, purpose: str | None = None
) -> str:
    """One line of provenance: version, model, digest and options, in the form of ObsPy's `stats.processing`."""
    from geoae._version import __version__

    beside = f", partner={model.partner.label!r}" if model.partner else ""
    more = f", purpose={purpose!r}" if purpose is not None else ""
    more += f", highpass={highpass_hz:.10g}" if highpass_hz is not None else ""
    return f"geoae {__version__}: denoise(model={model.name!r}, digest={model.digest!r}{beside}, dry={dry:g}{more})"
