"""Two models beside each other: one of short periods, and its partner of long ones, which works at 1 Hz or so.

The partner's band is that below its Nyquist frequency. With D the resampling to its rate and U the one back,

    noise = short + U(long(D(record)) - D(short)),

so below that frequency the noise is the partner's, and above it that of the model of short periods. Windows and samples
of both are anchored to the record, so any region can be computed by itself.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from geoae.arrays.types import Array
from geoae.errors import SamplingRateError
from geoae.model import Denoiser, Model, require_contract, require_role
from geoae.records.contract import RecordContract
from geoae.records.resample import ReadSpan, find_input_span, keep_last_block, resample_region, resampled_length

SHORTEST_S = 200.0
"""Duration of the shortest record in which the partner works beside a model of short periods."""


def check_rate(rate_hz: float, model: Model, what: str) -> None:
    """Raise SamplingRateError if neither `model` nor its partner takes records sampled at `rate_hz`.

    `what` names the record.
    """
    contracts = [require_contract(m, RecordContract) for m in (model, model.partner) if m is not None]
    if not any(c.takes_rate(rate_hz) for c in contracts):
        low, high = (choose(c.rate_range_hz[i] for c in contracts) for i, choose in enumerate((min, max)))
        raise SamplingRateError(
            f"{what} is sampled at {rate_hz:g} Hz; model {model.name!r} takes {low:g} to {high:g} Hz"
        )


def choose_models(model: Model, n: int, rate_hz: float) -> tuple[Denoiser, Denoiser | None]:
    """Choose the model for a record of `n` samples, and the one that works beside it at long periods, if any.

    A record that only the partner takes is denoised by the partner alone.
    """
    main, partner = require_role(model, Denoiser), model.partner
    contract = require_contract(main, RecordContract)
    if partner is None:
        return main, None
    long = require_role(partner, Denoiser)
    if not require_contract(long, RecordContract).takes_rate(rate_hz):
        return main, None
    if not contract.takes_rate(rate_hz):
        return long, None
    return main, (long if n >= SHORTEST_S * rate_hz else None)


def add_long_periods(
    read: ReadSpan, n: int, ratio: tuple[int, int], short: ReadSpan, make_long: Callable[[ReadSpan, int], ReadSpan]
) -> ReadSpan:
    """Return a function (start, stop) -> noise that is the partner's at long periods, and `short` at short ones.

    Parameters
    ----------
    read, n
        The record at the rate of the model of short periods, NaN in gaps, and its number of samples.
    ratio
        (up, down) from that rate to the rate of the partner, see `resampling_ratio`.
    short
        (start, stop) -> noise (row, stop - start) of the model of short periods.
    make_long
        (function that reads a record at the partner's rate, its number of samples) -> function that gives the
        partner's noise.
    """
    up, down = ratio
    n_long, kept = resampled_length(n, up, down), keep_last_block(short)
    long = make_long(partial(resample_region, read, n, up, down), n_long)

    def long_less_short(start: int, stop: int) -> Array:
        noise = long(start, stop)  # reads the most samples, so that the other reads find them in memory
        first, last = (min(max(at, 0), n) for at in find_input_span(up, down, start, stop))
        # gaps: the noise around them must not be mixed with what the net gives for samples that are not there
        missing, own = ~np.isfinite(read(first, last)), kept(first, last)
        if missing.any():
            own = np.where(missing, np.nan, own)
        low = resample_region(lambda a, b: own[..., a - first : b - first], n, up, down, start, stop)
        return noise - np.nan_to_num(low)

    def joint(start: int, stop: int) -> Array:
        low = resample_region(long_less_short, n_long, down, up, start, stop)
        return kept(start, stop) + low

    return joint
