"""A time axis that stores only start and rate: the lazy datetime64[ns] coordinate of every record.

Sample i lies at start + i / rate, rounded to the nearest ns (halves up). Rounding errors do not accumulate.
"""

import copy
import math
from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any, Self

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # comes with xarray; its stubs do not
import xarray as xr
from xarray.indexes import CoordinateTransform, CoordinateTransformIndex, Index, PandasIndex

from geoae.errors import InputError
from geoae.labels.lazy_indexing import IndexSelResult

DIM = "time"


def time_coordinates(start_ns: int, rate_hz: float, n: int) -> xr.Coordinates:
    """Lazy coordinate "time" of `n` samples.

    Parameters
    ----------
    start_ns
        Time of the first sample, ns since 1970-01-01 UTC.
    rate_hz
        Samples per second.
    n
        Number of samples.

    Examples
    --------
    >>> x = xr.DataArray(np.zeros(3), dims="time", coords=time_coordinates(0, 4.0, 3))
    >>> x.time.values.astype("int64").tolist()
    [0, 250000000, 500000000]
    """
    return xr.Coordinates.from_xindex(TimeIndex(_TimeTransform(start_ns, rate_hz, n)))


def start_ns(da: xr.DataArray) -> int:
    """Return the time of the first sample in ns since 1970-01-01 UTC; a coordinate of plain numbers is in seconds."""
    if (transform := _transform(da)) is not None:
        return transform.start_ns
    if DIM not in da.coords or da.sizes[DIM] == 0:
        return 0
    first = da[DIM].values[0]
    if np.issubdtype(first.dtype, np.datetime64):
        return int(first.astype("datetime64[ns]").astype(np.int64))
    return round(Fraction(float(first)) * 10**9)


def rate_hz(da: xr.DataArray) -> float:
    """Return the samples per second of an array with a dimension "time".

    Raises
    ------
    InputError
        The rate is unknown, or the steps of the time coordinate differ by more than a tenth of a step.
    """
    if DIM not in da.dims:
        raise InputError(f"The array has dimensions {da.dims}, but 'time' is needed. Rename or add the time dimension.")
    if (transform := _transform(da)) is not None:
        return transform.rate_hz
    if "sampling_rate_hz" in da.attrs:
        return float(da.attrs["sampling_rate_hz"])
    if DIM not in da.coords or da.sizes[DIM] < 2:
        raise InputError(
            "The sampling rate is unknown: give the array a time coordinate of two samples or more, "
            "or set attrs['sampling_rate_hz']."
        )
    return _rate_of_steps(da[DIM].values)


def sample_offset_ns(position: np.ndarray | int, rate_hz: float) -> np.ndarray:
    """Return the time from sample 0 to `position` in ns, exact to rounding (halves up), for positions below 2**34."""
    step = Fraction(10**9) / Fraction(rate_hz)
    whole = math.floor(step)
    # the fraction of a ns in three parts of 28 bits: each product fits in 63 bits, the error is below 2**-50 ns
    limbs = math.ceil((step - whole) * 2**84)
    high, middle, low = limbs >> 56, (limbs >> 28) & (2**28 - 1), limbs & (2**28 - 1)
    i = np.asarray(position, dtype=np.int64)
    carry = (i * middle + ((i * low) >> 28)) >> 28
    offset: np.ndarray = i * whole + ((i * high + carry + 2**27) >> 28)
    return offset


def first_position(offset_ns: int, rate_hz: float) -> int:
    """Return the first sample that lies at or after `offset_ns` from sample 0; may be negative or beyond the end."""
    # sample times are rounded to the ns, so a sample may lie up to half a ns before its time
    return math.ceil((Fraction(offset_ns) - Fraction(1, 2)) * Fraction(rate_hz) / 10**9)


class _TimeTransform(CoordinateTransform):
    """Sample k lies at origin + (first + k * stride) / rate. Slices keep the origin, so no rounding adds up."""

    def __init__(self, origin_ns: int, origin_rate_hz: float, n: int):
        super().__init__([DIM], {DIM: int(n)}, dtype=np.dtype("datetime64[ns]"))
        self.origin_ns = int(origin_ns)
        self.origin_rate_hz = float(origin_rate_hz)
        self.first = 0
        self.stride = 1

    @property
    def n(self) -> int:
        return int(self.dim_size[self.dims[0]])

    @property
    def start_ns(self) -> int:
        return self.origin_ns + int(sample_offset_ns(self.first, self.origin_rate_hz))

    @property
    def rate_hz(self) -> float:
        return self.origin_rate_hz / self.stride

    def times(self, positions: Any) -> np.ndarray:
        """Return the times of sample numbers, datetime64[ns]."""
        indices = self.first + np.asarray(positions, dtype=np.int64) * self.stride
        ns = self.origin_ns + sample_offset_ns(indices, self.origin_rate_hz)
        return np.asarray(ns).astype("datetime64[ns]")

    def forward(self, dim_positions: dict[str, Any]) -> dict[Hashable, Any]:
        return {self.coord_names[0]: self.times(dim_positions[self.dims[0]])}

    def reverse(self, coord_labels: dict[Hashable, Any]) -> dict[str, Any]:
        labels = np.asarray(coord_labels[self.coord_names[0]]).astype("datetime64[ns]").astype(np.int64)
        return {self.dims[0]: (labels - self.start_ns) * (self.rate_hz / 1e9)}

    def equals(self, other: CoordinateTransform, **kwargs: Any) -> bool:
        if not isinstance(other, _TimeTransform):
            return False
        return (self.n, self.start_ns, self.rate_hz) == (other.n, other.start_ns, other.rate_hz)

    def part(self, part: range) -> "_TimeTransform":
        new = copy.copy(self)  # keeps the names, which rename() may have changed
        new.dim_size = {self.dims[0]: len(part)}
        new.first = self.first + part.start * self.stride
        new.stride = self.stride * part.step
        return new

    def lower_bound(self, label_ns: int) -> int:
        """Return the first sample at or after a time, within 0 ... n."""
        index = first_position(label_ns - self.origin_ns, self.origin_rate_hz)
        return min(max(math.ceil(Fraction(index - self.first, self.stride)), 0), self.n)


class TimeIndex(CoordinateTransformIndex):
    """Index of a lazy time axis: slices stay lazy, labels are found by arithmetic."""

    transform: _TimeTransform

    @property
    def _dim(self) -> str:
        return self.transform.dims[0]

    def isel(self, indexers: Mapping[Any, Any]) -> Index | None:
        """Lazy for slices that run forward, dense for arrays of positions, none for a scalar."""
        indexer = indexers[self._dim]
        if isinstance(indexer, slice):
            part = range(self.transform.n)[indexer]
            if part.step > 0:
                return type(self)(self.transform.part(part))
            indexer = np.asarray(part)
        if np.ndim(indexer) != 1:
            return None
        dim = indexer.dims[0] if isinstance(indexer, xr.Variable) else self._dim
        positions = np.asarray(indexer)
        positions = np.flatnonzero(positions) if positions.dtype == bool else positions
        times = pd.DatetimeIndex(self.transform.times(np.arange(self.transform.n)[positions]), name=self._dim)
        return PandasIndex(times, dim)

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Positions of times: exactly, or with method="nearest"; slices include both ends, as in pandas."""
        label = next(iter(labels.values()))
        if isinstance(label, slice):
            return IndexSelResult({self._dim: self._slice(label)})
        if method not in (None, "nearest"):
            raise ValueError(f"method={method!r} is not supported by a lazy time axis. Use 'nearest' or leave it out.")
        values = label.values if isinstance(label, xr.DataArray | xr.Variable) else label
        times = _to_ns(values)
        found = np.rint(self.transform.reverse({self._dim: times})[self._dim]).astype(np.int64)
        found = np.clip(found, 0, max(self.transform.n - 1, 0))
        limit = np.timedelta64(0, "ns") if method is None else tolerance
        if self.transform.n == 0 or (
            limit is not None and np.any(np.abs(self.transform.times(found) - times) > pd.Timedelta(limit).to_numpy())
        ):
            raise KeyError(f"no sample at {values!r}; method='nearest' takes the closest one")
        if isinstance(label, xr.Variable):
            return IndexSelResult({self._dim: xr.Variable(label.dims, found)})
        if isinstance(label, xr.DataArray):
            return IndexSelResult({self._dim: xr.DataArray(found, dims=label.dims)})
        return IndexSelResult({self._dim: found if found.ndim else int(found)})

    def _slice(self, label: slice) -> slice:
        start = 0 if label.start is None else self.transform.lower_bound(_bound_ns(label.start, "start"))
        stop = self.transform.n if label.stop is None else self.transform.lower_bound(_bound_ns(label.stop, "stop") + 1)
        return slice(start, max(start, stop), label.step)

    def join(self, other: Any, how: str = "inner") -> Self:
        """Return the intersection (how="inner") or the union (how="outer") of two axes on the same sample grid."""
        shift = self._shift(other)
        here, there = range(self.transform.n), range(shift, shift + other.transform.n)
        if how in ("left", "right"):
            return self if how == "left" else other
        pick_start, pick_stop = (max, min) if how == "inner" else (min, max)
        start, stop = pick_start(here.start, there.start), pick_stop(here.stop, there.stop)
        return type(self)(self.transform.part(range(start, max(start, stop))))

    def reindex_like(self, other: Any) -> dict[Hashable, Any]:
        """Position in this axis of each sample of another; -1 where there is none."""
        positions = np.arange(other.transform.n) + self._shift(other)
        return {self._dim: np.where((positions >= 0) & (positions < self.transform.n), positions, -1)}

    def _shift(self, other: Any) -> int:
        """Position on this axis of the first sample of another axis."""
        here, there = self.transform, other.transform
        shift = float((there.start_ns - here.start_ns) * here.rate_hz / 1e9)
        # two axes on one grid may differ by 1 ns through rounding
        if here.rate_hz != there.rate_hz or abs(shift - round(shift)) > 2e-9 * here.rate_hz + 1e-6:
            raise InputError(
                f"Two time axes do not lie on the same samples (rates {here.rate_hz:g} and {there.rate_hz:g} Hz, "
                f"shift {shift:.3f} samples). Resample one of the arrays, or select with method='nearest'."
            )
        return round(shift)

    @classmethod
    def concat(cls, indexes: Any, dim: Hashable, positions: Any = None) -> Any:
        """Join axes end to end: lazy if each continues the axis before it, else dense."""
        first = indexes[0].transform
        ends = np.cumsum([index.transform.n for index in indexes])
        expected = first.times(np.append(0, ends[:-1]))
        starts = np.array([index.transform.start_ns for index in indexes], dtype="datetime64[ns]")
        near = np.abs((starts - expected).astype(np.int64)) <= 1
        if positions is None and near.all() and all(index.transform.rate_hz == first.rate_hz for index in indexes):
            return cls(first.part(range(0, int(ends[-1]))))
        return PandasIndex.concat([PandasIndex(index.to_pandas_index(), dim) for index in indexes], dim, positions)

    def to_pandas_index(self) -> pd.Index:
        """Return the dense axis, for functions that need one (resample, groupby, plots)."""
        return pd.DatetimeIndex(self.transform.times(np.arange(self.transform.n)), name=self._dim)

    def __repr__(self) -> str:
        start = np.datetime64(self.transform.start_ns, "ns")
        return f"TimeIndex(start={start}, rate_hz={self.transform.rate_hz:g}, n={self.transform.n})"

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]


def _transform(da: xr.DataArray) -> _TimeTransform | None:
    index = da.xindexes.get(DIM)
    return index.transform if isinstance(index, TimeIndex) else None


def _rate_of_steps(times: np.ndarray) -> float:
    if np.issubdtype(times.dtype, np.datetime64):
        steps = np.diff(times.astype("datetime64[ns]").astype(np.int64)).astype(np.float64) / 1e9
    else:
        steps = np.diff(times.astype(np.float64))
    step = float(np.median(steps))
    if not step > 0 or float(np.max(np.abs(steps - step))) > 0.1 * step:
        raise InputError(
            f"The time coordinate is not even: steps from {steps.min():g} to {steps.max():g} s. "
            "Put the data on an even axis first, with NaN where samples are missing."
        )
    # the mean step is more precise than one step rounded to the ns; the median guards against outliers
    mean = float(steps.mean())
    rate = 1 / (mean if abs(mean - step) < 1e-3 * step else step)
    # take a whole number of Hz if the resolution of the coordinate allows it
    tolerance = rate * (1e-9 / (steps.size * step) + 1e-9)
    return float(round(rate)) if 0 < abs(rate - round(rate)) <= tolerance else rate


def _to_ns(values: Any) -> np.ndarray:
    if np.ndim(values) == 0:
        return np.asarray(_timestamp(values).to_datetime64()).astype("datetime64[ns]")
    times = pd.DatetimeIndex(np.asarray(values))
    return np.asarray(times if times.tz is None else times.tz_convert(None)).astype("datetime64[ns]")


def _timestamp(value: Any) -> pd.Timestamp:
    value = value.item() if isinstance(value, np.ndarray) and value.dtype == object else value
    # times of other libraries (UTCDateTime) go through str(): pandas reads their ISO text exactly
    known = isinstance(value, str | np.datetime64 | np.ndarray | pd.Timestamp) or type(value).__module__ == "datetime"
    time = pd.Timestamp(value if known else str(value))
    return time if time.tzinfo is None else time.tz_convert(None)


def _bound_ns(value: Any, side: str) -> int:
    time = int(_timestamp(value).as_unit("ns").value)
    if isinstance(value, str) and side == "stop":
        # as in pandas, "2010-09-01" as the end of a slice means all of that day
        return max(time, int(pd.Period(value).end_time.as_unit("ns").value))
    return time
