"""Encodings of samples, and uncompressed miniSEED 2 records built with numpy.

For a short trace, building the records here is faster than calling the C library of ObsPy. ObsPy reads the records
unchanged. STEIM compression is left to ObsPy. The fields are those of the SEED manual, version 2.4, chapter 8.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from geoae.errors import InputError

DTYPES: dict[str, np.dtype] = {
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "FLOAT32": np.dtype(np.float32),
    "FLOAT64": np.dtype(np.float64),
    "STEIM1": np.dtype(np.int32),
    "STEIM2": np.dtype(np.int32),
}
"""Type of the samples for each encoding that can be written."""

_CODES = {"INT16": 1, "INT32": 3, "FLOAT32": 4, "FLOAT64": 5}
_FIXED = np.dtype(
    [
        ("sequence", "S6"),
        ("quality", "S1"),
        ("reserved", "S1"),
        ("station", "S5"),
        ("location", "S2"),
        ("channel", "S3"),
        ("network", "S2"),
        ("year", ">u2"),
        ("day", ">u2"),
        ("hour", "u1"),
        ("minute", "u1"),
        ("second", "u1"),
        ("unused", "u1"),
        ("ticks", ">u2"),  # units of 100 microseconds
        ("n", ">u2"),
        ("factor", ">i2"),
        ("multiplier", ">i2"),
        ("flags", "S3"),
        ("n_blockettes", "u1"),
        ("correction", ">i4"),
        ("data_start", ">u2"),
        ("first_blockette", ">u2"),
        ("type_1000", ">u2"),
        ("next_1000", ">u2"),
        ("encoding", "u1"),
        ("big_endian", "u1"),
        ("length_power", "u1"),
        ("reserved_1000", "u1"),
        ("type_1001", ">u2"),
        ("next_1001", ">u2"),
        ("timing_quality", "u1"),
        ("microseconds", "i1"),  # -50 to 49, added to the ticks
        ("reserved_1001", "u1"),
        ("frames", "u1"),
    ]
)
_BLOCKETTE_100 = np.dtype([("type_100", ">u2"), ("next_100", ">u2"), ("rate_hz", ">f4"), ("unused", "S4")])
_ROOM = {"network": 2, "station": 5, "location": 2, "channel": 3}
_INT16_MAX = 32767
_PLACES = 10 ** np.arange(5, -1, -1)


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """Header fields that all records of one segment share."""

    network: str
    station: str
    location: str
    channel: str
    quality: str
    rate_hz: float
    start_ns: int
    """Time of the segment's first sample, ns since 1970-01-01 UTC."""
    encoding: str
    length: int
    """Bytes of a record, a power of two."""

    def __post_init__(self) -> None:
        """Raise InputError for values that the fixed header cannot hold."""
        check_codes(self.network, self.station, self.location, self.channel)
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise InputError(f"{self.network}.{self.station}.{self.location}.{self.channel}: no rate {self.rate_hz} Hz")

    @property
    def data_start(self) -> int:
        """Number of bytes before the first sample of a record."""
        return 64 if rate_fields(self.rate_hz)[2] is None else 128

    @property
    def capacity(self) -> int:
        """Number of samples in a full record of an uncompressed encoding."""
        return (self.length - self.data_start) // DTYPES[self.encoding].itemsize


def check_codes(network: str, station: str, location: str, channel: str) -> None:
    """Raise InputError for codes that are too long for the fixed header."""
    for name, code in {"network": network, "station": station, "location": location, "channel": channel}.items():
        room = _ROOM[name]
        if len(code) > room or not code.isascii():
            raise InputError(
                f"miniSEED has room for {room} ASCII characters of {name} code, but {network}.{station}.{location}."
                f"{channel} has {code!r}. Rename it, or choose another output format: --format SAC or SLIST."
            )


def choose_format(id_: str) -> str:
    """Name of a format that holds an id NET.STA.LOC.CHA: MSEED, or SLIST for longer codes."""
    try:
        check_codes(*(id_.split(".", 3) + [""] * 3)[:4])
    except InputError:
        return "SLIST"
    return "MSEED"


@lru_cache(maxsize=64)
def choose_encoding(dtype: np.dtype) -> str | None:
    """Choose the encoding that holds every value of a dtype; None if the choice depends on the values.

    Raises
    ------
    InputError
        The dtype is complex, text or another type that is no sample.
    """
    for name in ("INT16", "INT32", "FLOAT32", "FLOAT64"):
        if np.can_cast(dtype, DTYPES[name], "safe") and (dtype.kind == "f") == name.startswith("FLOAT"):
            return name
    if dtype.kind == "f":
        return "FLOAT64"
    if dtype.kind in "iu":
        return None
    raise InputError(f"Samples of type {dtype} cannot be written; convert them to float32 or int32.")


def encode_samples(samples: np.ndarray, encoding: str | None, name: str) -> tuple[np.ndarray, str]:
    """Convert samples to the dtype of an encoding; encodings of integers round.

    Parameters
    ----------
    samples
        Shape (time,).
    encoding
        One of `DTYPES`. None: chosen by dtype, and for 64-bit integers by value (INT32 if they fit, else FLOAT64).
    name
        Name of the trace in messages.

    Returns
    -------
    The samples, and the encoding's name.

    Raises
    ------
    InputError
        A value lies outside the encoding's range, or is NaN or infinite and the encoding holds integers.
    """
    if encoding is None:
        encoding = choose_encoding(samples.dtype) or _choose_by_value(samples)
    target = DTYPES[encoding]
    if target.kind == "f":
        with np.errstate(over="ignore"):
            encoded = samples.astype(target, copy=False)
        if target.itemsize < samples.dtype.itemsize and np.any(np.isinf(encoded) & np.isfinite(samples)):
            raise InputError(f"{name}: values beyond the range of {encoding}; choose encoding FLOAT64.")
        return encoded, encoding
    encoded = round_to_integers(samples, target, f"{name}: encoding {encoding}")
    if encoding == "STEIM2" and len(encoded) > 1:
        steps = np.diff(encoded.astype(np.int64))
        if max(-steps.min() - 1, steps.max()) >= 2**29:
            raise InputError(
                f"{name}: neighbouring samples differ by more than the 30 bits of STEIM2; choose encoding FLOAT32."
            )
    return encoded, encoding


def round_to_integers(samples: np.ndarray, dtype: np.dtype, label: str) -> np.ndarray:
    """Round samples to integers of a type; raise InputError, whose message begins with `label`, if one does not fit."""
    if np.can_cast(samples.dtype, dtype, "safe") or not len(samples):
        return samples.astype(dtype, copy=False)
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise InputError(f"{label} holds integers only, but there are NaN or infinite samples; choose FLOAT32.")
        samples = np.rint(samples)
    limits = np.iinfo(dtype)
    # compare Python numbers: float32 would round the limits, and uint64 has no negative limit
    low, high = samples.min().item(), samples.max().item()
    if low < limits.min or high > limits.max:
        raise InputError(
            f"{label} holds {limits.min} to {limits.max}, but samples reach from {low:g} to {high:g}; choose FLOAT32."
        )
    return samples.astype(dtype)


def fits_cm6(samples: np.ndarray) -> bool:
    """Whether the CM6 compression of GSE2 fits in ObsPy's buffer of four characters a sample.

    CM6 stores second differences. A character holds 5 bits, the first one of each number 4.
    """
    steps = np.abs(np.diff(samples.astype(np.int64), n=2, prepend=[0, 0]))
    n_characters = len(steps) + sum(np.count_nonzero(steps >= 2**bits) for bits in (4, 9, 14, 19, 24))
    return bool(n_characters <= 4 * len(steps))


@lru_cache(maxsize=256)
def rate_fields(rate_hz: float) -> tuple[int, int, float | None]:
    """Factor and multiplier of the fixed header, and the float32 of blockette 100 if it is closer to the rate.

    The rate is factor * multiplier; negative numbers divide: (125, -2) is 62.5 Hz, (-3, 1) is 1/3 Hz.
    """
    factor, multiplier = _factor_and_multiplier(rate_hz)
    if factor > 0:
        nominal = factor * multiplier if multiplier > 0 else factor / -multiplier
    else:
        nominal = multiplier / -factor if multiplier > 0 else 1 / (factor * multiplier)
    single = float(np.float32(rate_hz))
    return factor, multiplier, None if abs(nominal - rate_hz) <= abs(single - rate_hz) else single


def pack_records(head: RecordHeader, first: int, samples: np.ndarray, sequence: int) -> np.ndarray:
    """Build records of an uncompressed encoding.

    Parameters
    ----------
    head
        Header fields that the records share.
    first
        Position of `samples[0]` in the segment.
    samples
        Shape (time,), in the dtype of the encoding. All records except the last are full.
    sequence
        Number of the first record.

    Returns
    -------
    Bytes, shape (record, head.length).
    """
    capacity, begin = head.capacity, head.data_start
    n_full, rest = divmod(len(samples), capacity)
    records = np.zeros((n_full + (rest > 0), head.length), np.uint8)
    fields = records[:, : _FIXED.itemsize].view(_FIXED)[:, 0]
    fields[:] = _common_fields(head)
    _set_times(fields, head, first + capacity * np.arange(len(records)))
    fields["n"] = capacity
    if begin == 128:
        records[:, 64:76] = _blockette_100(head.rate_hz)
    big_endian = samples.dtype.newbyteorder(">")
    body = records[:n_full, begin : begin + capacity * samples.itemsize].view(big_endian)
    body[:] = samples[: n_full * capacity].reshape(n_full, capacity)
    if rest:
        fields["n"][-1] = rest
        records[-1, begin : begin + rest * samples.itemsize].view(big_endian)[:] = samples[n_full * capacity :]
    number_records(records, sequence)
    return records


def number_records(records: np.ndarray, sequence: int) -> None:
    """Write consecutive sequence numbers from 1 to 999999, then from 1 again, into records (record, byte), in place."""
    running = (sequence - 1 + np.arange(len(records))) % 999_999 + 1
    records[:, :6] = running[:, None] // _PLACES % 10 + ord("0")


def _choose_by_value(samples: np.ndarray) -> str:
    limits = np.iinfo(np.int32)
    return "INT32" if limits.min <= samples.min() and samples.max() <= limits.max else "FLOAT64"


def _factor_and_multiplier(rate_hz: float) -> tuple[int, int]:
    """Two 16-bit numbers whose product or ratio is the rate, exactly if possible."""
    for value, sign in ((rate_hz, 1), (1 / rate_hz, -1)):
        if value > _INT16_MAX:
            whole = round(value)
            least = -(-whole // _INT16_MAX)
            exact = (m for m in range(least, _INT16_MAX) if whole % m == 0 and whole // m <= _INT16_MAX)
            multiplier = next(exact, min(least, _INT16_MAX))
            return sign * min(round(whole / multiplier), _INT16_MAX), sign * multiplier
    ratio = Fraction(rate_hz).limit_denominator(_INT16_MAX)
    if ratio.numerator > _INT16_MAX:  # the period has a smaller denominator
        ratio = 1 / Fraction(1 / rate_hz).limit_denominator(_INT16_MAX)
    if ratio.denominator == 1:
        return ratio.numerator, 1
    if ratio.numerator == 1:
        return -ratio.denominator, 1
    return ratio.numerator, -ratio.denominator


def _common_fields(head: RecordHeader) -> np.ndarray:
    fields = np.zeros((), _FIXED)
    for name, room in _ROOM.items():
        fields[name] = getattr(head, name).ljust(room)
    fields["quality"] = head.quality
    fields["reserved"] = b" "
    fields["factor"], fields["multiplier"], single = rate_fields(head.rate_hz)
    fields["n_blockettes"] = 2 if single is None else 3
    fields["data_start"] = head.data_start
    fields["first_blockette"] = 48
    fields["type_1000"], fields["next_1000"] = 1000, 56
    fields["encoding"] = _CODES[head.encoding]
    fields["big_endian"] = 1
    fields["length_power"] = head.length.bit_length() - 1
    fields["type_1001"], fields["next_1001"] = 1001, 0 if single is None else 64
    return fields


def _blockette_100(rate_hz: float) -> np.ndarray:
    blockette = np.zeros(1, _BLOCKETTE_100)
    blockette["type_100"], blockette["rate_hz"] = 100, rate_hz
    return blockette.view(np.uint8)


def _set_times(fields: np.ndarray, head: RecordHeader, positions: np.ndarray) -> None:
    """Set the start of each record, counted from the start of the segment so that rounding does not accumulate."""
    time_ns = head.start_ns + np.rint(positions / head.rate_hz * 1e9).astype(np.int64)
    time_us = (time_ns + 500) // 1000
    ticks = (time_us + 50) // 100
    fields["microseconds"] = time_us - ticks * 100
    days, ticks = np.divmod(ticks, 864_000_000)
    dates = days.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    fields["year"] = years.astype(np.int64) + 1970
    fields["day"] = (dates - years.astype("datetime64[D]")).astype(np.int64) + 1
    seconds, fields["ticks"] = np.divmod(ticks, 10_000)
    minutes, fields["second"] = np.divmod(seconds, 60)
    fields["hour"], fields["minute"] = np.divmod(minutes, 60)
