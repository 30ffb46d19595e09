"""What a denoiser of fields sees beside a slice: the means of its neighbours in time, and how well they are known.

Noise differs from one slice to the next and most of the signal does not, so neighbours tell one from the other.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
VALUES = 3
"""Channels that hold values: the slice, the mean of its near neighbours, that of all neighbours."""
CHANNELS = 2 * VALUES
"""The same number again says how well each is known, from 0 (not at all) to 1."""


def halo(start: int, stop: int, n: int, far: int) -> slice:
    """Slices that the channels of slices start..stop of n depend on.

    Examples
    --------
    >>> halo(10, 12, 100, 4), halo(0, 1, 2, 16)
    (slice(6, 16, None), slice(0, 2, None))
    """
    return slice(max(start - far, 0), min(stop + far, n))


def channels(block: Array, index: int, near: int, far: int) -> NDArray[np.float64]:
    """Input of the net for one slice of a block of slices in their order in time.

    The means leave the slice itself out, so that their noise is not its noise. They are sums of the same numbers in the
    same order whatever block they are in.

    Parameters
    ----------
    block
        Shape (time, ..., y, x), NaN where missing; holds all neighbours there are.
    index
        Which slice.
    near, far
        Neighbours on either side that the two means are taken of.

    Returns
    -------
    Array
        Shape (..., 6, y, x): slice, near mean, far mean, NaN where there is none; then their weights: 1 where the
        slice has a value, and the share of neighbours (of 2 near, of 2 far) that have one.
    """
    own = np.asarray(block[index], dtype=np.float64)
    values, weights = [own], [np.isfinite(own).astype(np.float64)]
    for reach in (near, far):
        total, count = np.zeros(own.shape), np.zeros(own.shape)
        for other in range(max(index - reach, 0), min(index + reach + 1, len(block))):
            if other != index:
                valid = np.isfinite(block[other])
                if valid.all():
                    total += block[other]
                    count += 1
                else:
                    np.add(total, block[other], out=total, where=valid)
                    count += valid
        values.append(np.divide(total, count, out=np.full(own.shape, np.nan), where=count > 0))
        weights.append(count / max(2 * reach, 1))
    return np.stack([*values, *weights], axis=-3)
