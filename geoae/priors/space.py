"""LatentSpace: encoder, decoder, prior density and derivatives of a prior, in physical units.

Codes are distributed as N(0, I). Methods accept any leading dimensions. They take numpy arrays and return float64
arrays, or take torch tensors and return tensors with gradients.
"""

import copy
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.arrays.numbers import read_floats, require_seed
from geoae.arrays.transforms import Transform
from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.model import Model, load_model, require_contract
from geoae.priors import places
from geoae.priors.contract import PriorContract
from geoae.stores.schema import CODE, LATENT, MODEL_DIGEST, MODEL_NAME

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator
    from torch import Tensor

PART = 256
"""Models decoded in one call of the net."""


class LatentSpace:
    """Codes z of a prior, and the models m to which they decode.

    Parameters
    ----------
    model
        A prior: the result of `geoae.fit`, or the folder in which it was saved.
    precision
        "float32", as in training, or "float64".
    device
        "cpu", "cuda", "mps".

    Attributes
    ----------
    d : int
        Length of a code.
    shape : tuple of int
        Cells of a model along each dimension.
    mask : array of bool
        Valid cells; the others were missing in all training models, and decode to NaN.
    units, name, digest : str
        Units of the values, name of the prior, first digits of the SHA-256 of its weights.

    Raises
    ------
    InputError
        The model is no prior.
    """

    def __init__(self, model: Model | str | Path, precision: str = "float32", device: str = "cpu"):
        import torch

        from geoae.nets.protocols import Samples

        self.model = load_model(model)
        contract = require_contract(self.model, PriorContract)
        self.d, self.shape, self.units, self.name = contract.latent, contract.shape, contract.units, contract.name
        self.digest, self.device, self.precision = self.model.digest, device, precision
        if precision not in ("float32", "float64"):
            raise InputError(f'precision is {precision!r}; choose "float32" or "float64".')
        assert isinstance(self.model.scaler, Transform)
        self.transform = self.model.scaler
        stored = self.model.companions.get("mask")
        self.mask: NDArray[np.bool_] = np.ones(self.shape, bool) if stored is None else stored.astype(bool)
        self._type = torch.float64 if precision == "float64" else torch.float32
        # a copy, because the caller may move or change the model
        net = copy.deepcopy(self.model.net).to(device, self._type).eval().requires_grad_(False)
        if not isinstance(net, Samples):
            raise InputError(f"Net {self.model.net_name!r} of model {self.name!r} is no prior; vae and linear-ae are.")
        self._net: Samples = net
        self._outside = None if self.mask.all() else torch.from_numpy(~self.mask).to(device)
        self._residuals: tuple[Array, Array] | None = None

    def __repr__(self) -> str:
        units = f" in {self.units}" if self.units else ""
        return f"LatentSpace({self.name!r}: {self.d} codes of models {self.shape}{units}; {self.model.digest})"

    def decode(self, z: Any) -> Any:
        """Decode codes (..., d) to models (..., *shape) in physical units."""
        if self._is_array(z):
            return self._part_by_part(self._decode, self._check_codes(z), self.shape)
        return self._decode(z.reshape(-1, self.d)).reshape(*z.shape[:-1], *self.shape)

    def encode(self, m: Any, refine: int = 0) -> Any:
        """Encode models (..., *shape) in physical units as codes (..., d); missing cells are NaN.

        Parameters
        ----------
        m
            Models.
        refine
            Largest number of Gauss-Newton steps that reduce the misfit of the decoded model. The encoder alone (0) is
            fast but less accurate, and takes missing cells as average.

        Raises
        ------
        InputError
            The shape is not that of the prior, or values lie outside the domain of the transform.
        """
        lead = self._leading_shape(m)
        if not self._is_array(m):
            return self._encode(m.reshape(-1, *self.shape), refine).reshape(*lead, self.d)
        values = read_floats(m, "The models are").reshape(-1, *self.shape)
        x = self.transform.apply(values)
        return self._part_by_part(lambda part: self._from_scaled(part, refine), x, (self.d,), self.shape).reshape(
            *lead, self.d
        )

    def sample(self, n: int, seed: int = 0) -> NDArray[np.float64]:
        """Draw codes (n, d) from the prior; the same seed gives the same codes."""
        if not isinstance(n, int | np.integer) or n < 0:
            raise InputError(f"n is {n!r}; give the number of codes to draw.")
        return np.random.default_rng(require_seed(seed)).standard_normal((n, self.d))

    def log_prior(self, z: Any) -> Any:
        """Logarithm of the density of N(0, I) at codes (..., d)."""
        z = self._check_codes(z) if self._is_array(z) else z
        return -0.5 * (z * z).sum(-1) - 0.5 * self.d * math.log(2 * math.pi)

    def jvp(self, z: Any, dz: Any) -> Any:
        """Change (..., *shape) of the decoded model at `z` for a small change `dz` of codes, both (..., d)."""
        if not self._is_array(z):
            return self._jvp(z.reshape(-1, self.d), dz.reshape(-1, self.d)).reshape(*z.shape[:-1], *self.shape)
        z, dz = np.broadcast_arrays(self._check_codes(z), self._check_codes(dz))
        both = np.stack([z.reshape(-1, self.d), dz.reshape(-1, self.d)], 1)
        out = self._part_by_part(lambda part: self._jvp(part[:, 0], part[:, 1]), both, self.shape, both.shape[1:])
        return out.reshape(*z.shape[:-1], *self.shape)

    def vjp(self, z: Any, dm: Any) -> Any:
        """Adjoint of `jvp`: from (..., *shape) to (..., d). Values in cells outside the mask do not count."""
        if not self._is_array(z):
            return self._vjp(z.reshape(-1, self.d), dm.reshape(-1, *self.shape)).reshape(z.shape)
        z = self._check_codes(z)
        self._leading_shape(dm)
        dm = np.where(self.mask, read_floats(dm, "The changes of models are"), 0.0)
        lead = np.broadcast_shapes(z.shape[:-1], dm.shape[: dm.ndim - len(self.shape)])
        flat = np.broadcast_to(dm, (*lead, *self.shape)).reshape(math.prod(lead), -1)
        both = np.concatenate([np.broadcast_to(z, (*lead, self.d)).reshape(-1, self.d), flat], 1)
        out = self._part_by_part(
            lambda part: self._vjp(part[:, : self.d], part[:, self.d :].reshape(-1, *self.shape)),
            both, (self.d,), both.shape[1:],
        )  # fmt: skip
        return out.reshape(*lead, self.d)

    def jacobian(self, z: Any) -> Any:
        """Derivative (..., *shape, d) of the decoded model at codes (..., d)."""
        if not self._is_array(z):
            return self._jacobian(z.reshape(-1, self.d)).reshape(*z.shape[:-1], *self.shape, self.d)
        # the number of codes in a part is limited to `PART` tangents
        return self._part_by_part(
            self._jacobian, self._check_codes(z), (*self.shape, self.d), most=max(PART // self.d, 1)
        )

    def linear_operator(self, z: Any) -> "LinearOperator":
        """Derivative of the decoded model at one code, as a scipy LinearOperator of shape (cells, d)."""
        from scipy.sparse.linalg import LinearOperator

        z = self._single_code(z)
        return LinearOperator(
            (math.prod(self.shape), self.d),
            matvec=lambda v: self.jvp(z, np.ravel(v)).ravel(),
            rmatvec=lambda v: self.vjp(z, np.reshape(v, self.shape)),
            matmat=lambda v: self.jvp(np.broadcast_to(z, v.T.shape), v.T).reshape(v.shape[1], -1).T,
            dtype=np.float64,
        )

    def check_derivative(self, z: Any = None, seed: int = 0) -> dict[str, float]:
        """Relative errors of `jvp` against central differences, and of `vjp` as the adjoint of `jvp`.

        Computed in float64, whatever the precision of this space. Errors above 1e-5 show a fault, or a kink of a
        normal-score transform.
        """
        space = self if self.precision == "float64" else LatentSpace(self.model, "float64", self.device)
        rng = np.random.default_rng(require_seed(seed))
        z = rng.standard_normal(self.d) if z is None else self._single_code(z)
        dz, step = rng.standard_normal(self.d), 1e-5
        slope = np.where(self.mask, space.jvp(z, dz), 0.0)
        found = np.where(self.mask, (space.decode(z + step * dz) - space.decode(z - step * dz)) / (2 * step), 0.0)
        dm = np.where(self.mask, rng.standard_normal(self.shape), 0.0)
        forward, backward = float((slope * dm).sum()), float(space.vjp(z, dm) @ dz)
        size = max(float(np.linalg.norm(slope)), 1e-300)
        return {
            "finite_difference": float(np.linalg.norm(slope - found)) / size,
            "adjoint": abs(forward - backward) / (size * float(np.linalg.norm(dm))),
        }

    def representation_residuals(self) -> tuple[Array, Array]:
        """Held-out models (n, *shape) and their best reconstructions, whose difference is the representation error.

        Raises
        ------
        InputError
            The prior has no held-out models.
        """
        if self._residuals is None:
            self._residuals = self.held_out, self.decode(self.held_out_codes)
        return self._residuals

    @property
    def held_out(self) -> NDArray[np.float64]:
        """Held-out models (n, *shape); missing cells are NaN."""
        found = self.model.companions.get("held_out")
        if found is None or not len(found):
            raise InputError(f"Prior {self.name!r} has no held-out models. Make it with geoae.fit(..., hold_out=0.1).")
        return found.astype(np.float64)

    @cached_property
    def facies(self) -> tuple[float, float] | None:
        """The two values of the cells of all held-out models; None if there are other values, or no models."""
        found = self.model.companions.get("held_out")
        if found is None or not len(found):
            return None
        found = found[np.isfinite(found)]
        low, high = float(found.min()), float(found.max())
        return (low, high) if low < high and bool(((found == low) | (found == high)).all()) else None

    @property
    def held_out_codes(self) -> NDArray[np.float64]:
        """Best codes (n, d) of the held-out models."""
        found = self.model.companions.get("held_out_codes")
        return self.encode(self.held_out, refine=8) if found is None else found.astype(np.float64)

    def interpolate(self, a: Any, b: Any, n: int = 9, how: str = "spherical") -> NDArray[np.float64]:
        """Interpolate between codes `a` and `b`: returns (n, d); `how` is "spherical" or "linear"."""
        return places.interpolate_codes(self._single_code(a), self._single_code(b), n, how)

    def neighbours(self, z: Any, n: int = 5, among: Any = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices and distances (..., n) of the codes nearest to `z`, in `among` (k, d) or those of held-out models."""
        candidates = self.held_out_codes if among is None else self._check_codes(among)
        return places.find_nearest_codes(self._check_codes(z), candidates, n)

    def atlas(self, n: int = 7, axes: tuple[int, int] = (0, 1), centre: Any = None) -> tuple[Array, Array]:
        """Codes (n, n, d) on a grid over two axes, evenly spaced in prior probability, and their decoded models."""
        start = np.zeros(self.d) if centre is None else self._single_code(centre)
        z = places.make_atlas(start, n, axes)
        return z, self.decode(z)

    def labelled(self, z: Any, dims: tuple[str, ...] = (), coords: dict[str, Any] | None = None) -> xr.DataArray:
        """Codes (..., d) as a DataArray with the digest of the model; `dims` names the leading dimensions."""
        z = self._check_codes(z)
        names = (*dims, LATENT) if dims else (*(f"dim_{i}" for i in range(z.ndim - 1)), LATENT)
        if len(names) != z.ndim:
            raise InputError(f"dims {list(dims)} name {len(dims)} leading dimensions; the codes have {z.ndim - 1}.")
        attrs = {MODEL_DIGEST: self.digest, MODEL_NAME: self.name}
        return xr.DataArray(z, dims=names, coords=coords or {}, name=CODE, attrs=attrs)

    # computations with tensors that have one leading dimension

    def _decode(self, z: "Tensor") -> "Tensor":
        m = self.transform.undo(self._net.decode(z.to(self.device, self._type))[:, 0])
        return m if self._outside is None else m.masked_fill(self._outside, math.nan)

    def _encode(self, m: "Tensor", refine: int) -> "Tensor":
        return self._from_scaled(self.transform.apply(m.to(self.device, self._type)), refine)

    def _from_scaled(self, x: "Tensor", refine: int) -> "Tensor":
        from geoae.priors.refine import refine_codes

        valid = (~x.isnan()).to(x.dtype)
        if self._outside is not None:
            valid = valid.masked_fill(self._outside, 0.0)
        x = x.nan_to_num(0.0) * valid
        z: Tensor = self._net.encode(x[:, None])
        if self._net.has_exact_encoder and bool(valid.all()):
            return z  # already the best code
        return refine_codes(self._net.decode, z, x, valid, refine) if refine else z

    def _jacobian(self, z: "Tensor") -> "Tensor":
        """Jacobians (n, *shape, d) at codes (n, d); the tangents of a code share one pass of the decoder."""
        import torch

        jacobian_of_one = torch.func.jacfwd(lambda code: self._decode(code[None])[0])
        jacobians: Tensor = torch.func.vmap(jacobian_of_one)(z)
        return jacobians

    def _jvp(self, z: "Tensor", dz: "Tensor") -> "Tensor":
        import torch

        return torch.func.jvp(self._decode_without_nan, (z.to(self._type),), (dz.to(self._type),))[1]

    def _vjp(self, z: "Tensor", dm: "Tensor") -> "Tensor":
        import torch

        return torch.func.vjp(self._decode_without_nan, z.to(self._type))[1](dm.to(self._type))[0]

    def _decode_without_nan(self, z: "Tensor") -> "Tensor":
        """Decoded models with 0 outside the mask, so that derivatives are 0 there."""
        m = self.transform.undo(self._net.decode(z)[:, 0])
        return m if self._outside is None else m.masked_fill(self._outside, 0.0)

    # from numpy to tensors and back

    def _part_by_part(
        self, function: Any, x: Array, out: tuple[int, ...], item: tuple[int, ...] | None = None, most: int = PART
    ) -> NDArray[np.float64]:
        """Apply a function of tensors to x (..., *item), `most` items at a time: returns (..., *out)."""
        import torch

        item = (self.d,) if item is None else item
        lead = x.shape[: x.ndim - len(item)]
        flat = x.reshape(-1, *item)
        result = np.empty((len(flat), *out))
        with torch.no_grad():
            for i in range(0, len(flat), most):
                part = torch.from_numpy(np.ascontiguousarray(flat[i : i + most])).to(self.device, self._type)
                result[i : i + most] = function(part).cpu().numpy()
        return result.reshape(*lead, *out)

    def _is_array(self, x: Any) -> bool:
        """Whether `x` is an array rather than a tensor."""
        import torch

        return not isinstance(x, torch.Tensor)

    def _check_codes(self, z: Any) -> NDArray[np.float64]:
        if isinstance(z, xr.DataArray) and z.attrs.get(MODEL_DIGEST, self.digest) != self.digest:
            raise InputError(
                f"These are codes of model {z.attrs.get(MODEL_NAME)!r} ({z.attrs[MODEL_DIGEST]}); this is "
                f"{self.name!r} ({self.digest}). Load the model that made them, or encode anew."
            )
        x = read_floats(z, "The codes are")
        if x.shape[-1:] != (self.d,):
            raise InputError(
                f"Codes of shape {x.shape} do not fit: the last dimension must be the {self.d} of {self.name!r}."
            )
        return x

    def _single_code(self, z: Any) -> NDArray[np.float64]:
        x = self._check_codes(z)
        if x.ndim != 1:
            raise InputError(f"Expected one code, of shape ({self.d},); got {x.shape}.")
        return x

    def _leading_shape(self, m: Any) -> tuple[int, ...]:
        n = len(self.shape)
        shape = tuple(np.shape(m)) if self._is_array(m) else tuple(m.shape)
        if len(shape) < n or shape[len(shape) - n :] != self.shape:
            raise InputError(
                f"Models of shape {shape} do not fit: {self.name!r} is of models {self.shape}; leading dimensions are "
                "free."
            )
        return shape[: len(shape) - n]
