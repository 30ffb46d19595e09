"""Gaussian errors of data, independent or with a covariance, and whitening."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from geoae.arrays.numbers import read_floats
from geoae.arrays.types import Float64Array
from geoae.errors import InputError


@dataclass(frozen=True, eq=False)
class Noise:
    """Gaussian errors of the data, which count as one axis (data,), with mean `offset`.

    Their covariance is L (I + floor I + U diag(axis_variances - floor) U^T) L^T with L L^T = `covariance` and U =
    `axes`: a known part, and a part estimated from samples, possibly fewer than data. Products are computed in these
    axes, never with a dense matrix (data, data).
    """

    covariance: Float64Array
    """(data, data), positive definite; or (data,) variances where the errors are independent."""
    offset: Float64Array
    """(data,) mean of the errors."""
    axes: Float64Array | None = None
    """(data, p) orthonormal, in data whitened by `covariance`; None where that is the whole covariance."""
    axis_variances: Float64Array | None = None
    """(p,) variances added along the axes."""
    floor: float = 0.0
    """Variance added in each direction outside of the axes."""

    @property
    def n(self) -> int:
        """Number of data."""
        return len(self.offset)

    @cached_property
    def _factor(self) -> Float64Array:
        if self.covariance.ndim == 1:
            return np.sqrt(self.covariance)
        return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)

    @cached_property
    def dense(self) -> Float64Array:
        """The covariance as a matrix, (data, data)."""
        if self.axes is None:
            return np.diag(self.covariance) if self.covariance.ndim == 1 else self.covariance
        root = self.colour(np.eye(self.n))
        return root.T @ root

    @cached_property
    def precision(self) -> Float64Array:
        """The inverse of `dense`."""
        white = self.whiten(np.eye(self.n))
        return white @ white.T

    @cached_property
    def variance(self) -> Float64Array:
        """Variance of each datum, (data,)."""
        known = self.covariance if self.covariance.ndim == 1 else np.diagonal(self.covariance)
        if self.axes is None or self.axis_variances is None:
            return known
        return known * (1 + self.floor) + (self._base_colour(self.axes.T) ** 2).T @ (self.axis_variances - self.floor)

    def whiten(self, x: Float64Array) -> Float64Array:
        """Whiten differences of data (..., data): unit variance and no correlation."""
        return self._scale_axes(self._base_whiten(x), -0.5)

    def colour(self, x: Float64Array) -> Float64Array:
        """Undo `whiten` for (..., data)."""
        return self._base_colour(self._scale_axes(x, 0.5))

    def whiten_adjoint(self, x: Float64Array) -> Float64Array:
        """Apply the transpose of `whiten` to (..., data): a gradient by whitened data becomes one by the data."""
        x = self._scale_axes(x, -0.5)
        if self.covariance.ndim == 1:
            return x / self._factor
        return linalg.solve_triangular(self._factor, x.reshape(-1, self.n).T, lower=True, trans="T").T.reshape(x.shape)

    def sample(self, n: int, rng: np.random.Generator) -> Float64Array:
        """Draw errors (n, data), with their mean."""
        return self.offset + self.colour(rng.normal(size=(n, self.n)))

    def add_errors(
        self, offset: Float64Array, axes: Float64Array, axis_variances: Float64Array, floor: float
    ) -> "Noise":
        """Add independent errors, whose covariance is given along axes of data that are whitened by these errors."""
        return Noise(self.covariance, self.offset + offset, axes, axis_variances, floor)

    def _base_whiten(self, x: Float64Array) -> Float64Array:
        if self.covariance.ndim == 1:
            return x / self._factor
        return linalg.solve_triangular(self._factor, x.reshape(-1, self.n).T, lower=True).T.reshape(x.shape)

    def _base_colour(self, x: Float64Array) -> Float64Array:
        return x * self._factor if self.covariance.ndim == 1 else x @ self._factor.T

    def _scale_axes(self, x: Float64Array, power: float) -> Float64Array:
        """Multiply by a power of the symmetric matrix I + floor I + U diag(axis_variances - floor) U^T."""
        if self.axes is None or self.axis_variances is None:
            return x
        outside = (1 + self.floor) ** power
        return outside * x + ((x @ self.axes) * ((1 + self.axis_variances) ** power - outside)) @ self.axes.T


def thin_svd(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Left singular vectors (n, p), falling singular values (p,) and right vectors (data, p) of x (n, data).

    They are computed from the eigenvectors of the smaller Gram matrix. This is several times as fast as a full
    decomposition, and less exact in the smallest singular values, which are dropped.
    """
    wide = x.shape[0] < x.shape[1]
    squared, vectors = linalg.eigh(x @ x.T if wide else x.T @ x, check_finite=False)
    kept = squared > max(squared[-1], 0.0) * 1e-14
    singular, vectors = np.sqrt(squared[kept])[::-1], vectors[:, kept][:, ::-1]
    return (vectors, singular, x.T @ vectors / singular) if wide else (x @ vectors / singular, singular, vectors)


def read_noise(noise: ArrayLike, shape: tuple[int, ...], used: NDArray[np.bool_]) -> Noise:
    """Read the noise from a standard deviation, one for each datum, or a covariance.

    Parameters
    ----------
    noise
        One standard deviation, an array of them in the shape of the data, or a covariance (data, data) of the data in
        C order. Units of the data, or their square for a covariance.
    shape
        Shape of the data.
    used
        (data,) whether each datum was measured.

    Raises
    ------
    InputError
        The noise has another shape, is not finite, is not positive, or is a covariance that is not symmetric and
        positive definite.
    """
    try:
        values = read_floats(noise, "The noise is")
    except InputError as error:
        raise InputError(f"{error} Give a standard deviation, one for each datum, or a covariance.") from error
    n = used.size
    if values.ndim == 0 or values.shape in (shape, (n,)):
        sigma = np.broadcast_to(values if values.ndim == 0 else values.ravel(), n)[used]
        if not np.isfinite(sigma).all() or (sigma <= 0).any():
            invalid = sigma[~(sigma > 0) | ~np.isfinite(sigma)]
            raise InputError(
                f"The noise has a standard deviation of {invalid[0]:g} for {invalid.size} of {sigma.size} data; each "
                "must be above zero. For data without noise, give the uncertainty of the forward model."
            )
        return Noise(sigma**2, np.zeros(sigma.size))
    if values.shape != (n, n):
        raise InputError(
            f"The noise has shape {values.shape}, and the data have {shape}: give one standard deviation, one for each "
            f"datum {shape}, or a covariance {(n, n)}."
        )
    covariance = values[np.ix_(used, used)]
    return Noise(_require_positive_definite(covariance), np.zeros(len(covariance)))


def _require_positive_definite(covariance: Float64Array) -> Float64Array:
    if not np.isfinite(covariance).all():
        raise InputError("The covariance of the noise holds values that are not finite.")
    scale = np.abs(covariance).max()
    if (worst := np.abs(covariance - covariance.T).max()) > 1e-8 * scale:
        raise InputError(
            f"The covariance of the noise is not symmetric: C and its transpose differ by up to {worst:g}."
        )
    smallest = np.linalg.eigvalsh(covariance)[0]
    if smallest <= 1e-14 * scale:
        raise InputError(
            f"The covariance of the noise is not positive definite: its smallest eigenvalue is {smallest:g}. Add the "
            "variance of independent noise to its diagonal."
        )
    return (covariance + covariance.T) / 2
