"""Principal components as a prior: the linear latent space, and the baseline of all other priors."""

from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.numbers import read_floats
from geoae.arrays.transforms import Transform, fit_transform
from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.model import weights_file
from geoae.priors.contract import PriorContract
from geoae.priors.data import FEWEST_HELD_OUT
from geoae.priors.linear import find_stored_components, fit_components
from geoae.priors.prior import Prior
from geoae.priors.space import LatentSpace

if TYPE_CHECKING:
    from geoae.nets.linear_ae import LinearAE


def pca_space(
    models: Array,
    latent: int = 20,
    *,
    transform: str | dict[str, Any] | Transform = "affine",
    held_out: Array | None = None,
    units: str = "",
) -> LatentSpace:
    """Make the latent space of principal components; codes of `models` have mean 0 and covariance I.

    Parameters
    ----------
    models
        (n, *shape), physical units; missing cells are NaN.
    latent
        Length of a code, at most n - 1 and the cells of a model.
    transform
        Transform of values before the components; see `geoae.arrays.transforms.fit_transform`.
    held_out
        Models (k, *shape) for the representation error; None: every tenth of `models` (of less than 80, an eighth of
        their number apart, so that 8 are held out), which is then not used for the components.
    units
        Units of the values.

    Raises
    ------
    InputError
        There are fewer models than codes, shapes differ, all models are equal, or values lie outside the domain of the
        transform.
    """
    return LatentSpace(pca_model(models, latent, transform=transform, held_out=held_out, units=units), "float64")


def pca_model(
    models: Array,
    latent: int,
    *,
    transform: str | dict[str, Any] | Transform = "affine",
    held_out: Array | None = None,
    units: str = "",
) -> Prior:
    """Make the prior of principal components, which can be saved and loaded; see `pca_space`."""
    models = read_floats(models, "The models are")
    if models.ndim < 2:
        raise InputError(f"The models have shape {models.shape}; expected (number of models, *cells of one).")
    if held_out is None:
        every = min(max(len(models) // FEWEST_HELD_OUT, 2), 10)
        out = np.arange(len(models)) % every == every - 1
        models, held_out = models[~out], models[out]
    held_out = read_floats(held_out, "The held-out models are")
    if held_out.shape[1:] != models.shape[1:]:
        raise InputError(
            f"Held-out models have cells {held_out.shape[1:]}, the others {models.shape[1:]}; they must be the same."
        )
    if len(models) <= latent or latent < 1:
        raise InputError(
            f"{len(models)} models are too few for {latent} codes: give more models than codes, or a smaller latent."
        )
    rule = fit_transform(transform, models)
    x = rule.apply(models)
    made = _linear_prior(fit_components(x, latent), rule, units)
    made.companions = {"mask": (~np.isnan(x)).any(0).astype(np.uint8), "held_out": held_out.astype(np.float32)}
    if len(held_out):
        # the encoder is exact for models without gaps; Gauss-Newton steps solve the least squares of models with gaps
        codes = LatentSpace(made, "float64").encode(held_out, refine=2 if np.isnan(held_out).any() else 0)
        made.companions["held_out_codes"] = codes.astype(np.float32)
    return made


def make_components_space(space: LatentSpace) -> LatentSpace | None:
    """Make a latent space of the principal components stored with a prior of `geoae.fit`, as many as its codes.

    None if there are none, as in a prior that consists of components.
    """
    import torch

    from geoae.nets.linear_ae import LinearAE, LinearAEConfig

    stored = find_stored_components(space)
    if stored is None:
        return None
    basis, offset = (torch.from_numpy(part) for part in stored)
    net = LinearAE(LinearAEConfig(space.shape, basis.shape[1])).eval().double()
    with torch.no_grad():
        inverse = torch.linalg.pinv(basis)
        net.from_code.weight.copy_(basis)
        net.from_code.bias.copy_(offset.ravel())
        net.to_code.weight.copy_(inverse)
        net.to_code.bias.copy_(-inverse @ offset.ravel())
    made = _linear_prior(net, space.transform, space.units)
    stored_arrays = space.model.companions
    made.companions = {name: stored_arrays[name] for name in ("mask", "held_out") if name in stored_arrays}
    return LatentSpace(made, "float64")


def _linear_prior(net: "LinearAE", rule: Transform, units: str) -> Prior:
    shape, n = net.shape, net.latent
    contract = PriorContract(f"pca-{n}", f"{n} principal components", shape, n, units)
    config = {"shape": list(shape), "latent": n}
    return Prior(contract, "linear-ae", config, net, rule, weights_file.pack_weights(net)[1][:12])
