"""Principal components of models, and the components stored with a prior for comparison."""

from typing import TYPE_CHECKING

import numpy as np

from geoae.arrays.types import Array
from geoae.priors.space import LatentSpace

if TYPE_CHECKING:
    from geoae.nets.linear_ae import LinearAE


def fit_components(scaled: Array, latent: int) -> "LinearAE":
    """Fit principal components to scaled models (n, *shape), as a net whose codes of them have mean 0 and variance 1.

    Missing cells are NaN; see `geoae.nets.linear_ae.LinearAE.fit`.
    """
    import torch

    from geoae.nets.linear_ae import LinearAE, LinearAEConfig

    valid = ~np.isnan(scaled)
    net = LinearAE(LinearAEConfig(scaled.shape[1:], latent))
    net.fit(torch.from_numpy(np.where(valid, scaled, 0.0)), torch.from_numpy(valid.astype(np.float64)))
    return net.eval()


def find_stored_components(space: LatentSpace) -> tuple[Array, Array] | None:
    """Basis (cells, d) and offset (cells,) of the components stored with a prior; None if there are none."""
    stored = space.model.companions
    if "pca_basis" not in stored:
        return None
    return stored["pca_basis"].astype(np.float64), stored["pca_offset"].astype(np.float64)


def reconstruct_with_components(space: LatentSpace, models: Array) -> Array | None:
    """Reconstruct models (n, *shape) from the stored components; None if there are none."""
    codes = encode_components(space, models)
    return None if codes is None else decode_components(space, codes)


def encode_components(space: LatentSpace, models: Array) -> Array | None:
    """Coefficients (n, d) of models in the stored components, with variance 1 in training; None without components."""
    stored = find_stored_components(space)
    if stored is None:
        return None
    basis, offset = stored
    x = space.transform.apply(models).reshape(len(models), -1) - offset
    valid = np.isfinite(x)
    x = np.nan_to_num(x)
    if valid.all():
        codes: Array = np.linalg.lstsq(basis, x.T, rcond=None)[0].T
        return codes
    return np.stack([np.linalg.lstsq(basis[t], v[t], rcond=None)[0] for t, v in zip(valid, x, strict=True)])


def decode_components(space: LatentSpace, codes: Array) -> Array | None:
    """Models (n, *shape), in physical units, of coefficients (n, d) in the stored components; None without them."""
    stored = find_stored_components(space)
    if stored is None:
        return None
    basis, offset = stored
    x = (codes @ basis.T + offset).reshape(-1, *space.shape)
    models: Array = np.where(space.mask, space.transform.undo(x), np.nan)
    return models
