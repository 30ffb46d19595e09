"""Native rate <-> model rate by whole-number ratios, anchored to the first sample of the whole array."""

from fractions import Fraction


def ratio(native_hz: float, model_hz: float, tolerance: float = 0.01) -> tuple[int, int]:
    """Smallest (up, down) with native_hz * up / down within `tolerance` of model_hz.

    A net does not feel a hundredth: 99.98 Hz and 100 Hz need no resampling, and 62.5 Hz becomes 100 Hz by 8 / 5.

    Examples
    --------
    >>> ratio(62.5, 100.0), ratio(99.98, 100.0), ratio(200.0, 100.0)
    ((8, 5), (1, 1), (1, 2))
    """
    exact = Fraction(model_hz) / Fraction(native_hz)
    for denominator in range(1, 10_000):
        best = Fraction(round(exact * denominator), denominator)
        if best > 0 and abs(float(best / exact) - 1) <= tolerance:
            return best.numerator, best.denominator
    whole = exact.limit_denominator(10_000)
    return max(whole.numerator, 1), whole.denominator
