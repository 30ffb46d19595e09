"""Principal components of models: computed in one place, and those that a prior brings along for comparison."""

from typing import TYPE_CHECKING

import numpy as np

from geoae.arrays.types import Array
from geoae.priors.space import LatentSpace

if TYPE_CHECKING:
    from geoae.nets.linear_ae import LinearAE


def fit_components(scaled: Array, latent: int) -> "LinearAE":
    """The principal components of scaled models (n, *shape), as a net whose codes have mean 0 and variance 1 over them.

    NaN marks missing cells; see `geoae.nets.linear_ae.LinearAE.fit`.
    """
    import torch

    from geoae.nets.linear_ae import LinearAE, LinearAEConfig

    there = ~np.isnan(scaled)
    net = LinearAE(LinearAEConfig(scaled.shape[1:], latent))
    net.fit(torch.from_numpy(np.where(there, scaled, 0.0)), torch.from_numpy(there.astype(np.float64)))
    return net.eval()


def find_stored_components(space: LatentSpace) -> tuple[Array, Array] | None:
    """Basis (cells, d) and offset (cells,) of the components that a prior brings along; None where it brings none."""
    stored = space.model.companions
    if "pca_basis" not in stored:
        return None
    return stored["pca_basis"].astype(np.float64), stored["pca_offset"].astype(np.float64)


def reconstruct_with_components(space: LatentSpace, models: Array) -> Array | None:
    """Models (n, *shape) rebuilt from as many principal components as the prior has codes; None without components."""
    codes = encode_components(space, models)
    return None if codes is None else decode_components(space, codes)


def encode_components(space: LatentSpace, models: Array) -> Array | None:
    """Principal components (n, d) of models (n, *shape), of variance 1 in training; None where none are stored."""
    stored = find_stored_components(space)
    if stored is None:
        return None
    basis, offset = stored
    x = space.transform.apply(models).reshape(len(models), -1) - offset
    there = np.isfinite(x)
    x = np.nan_to_num(x)
    if there.all():
        codes: Array = np.linalg.lstsq(basis, x.T, rcond=None)[0].T
        return codes
    return np.stack([np.linalg.lstsq(basis[t], v[t], rcond=None)[0] for t, v in zip(there, x, strict=True)])


def decode_components(space: LatentSpace, codes: Array) -> Array | None:
    """Models (n, *shape), physical units, of numbers (n, d) of the components; None where none are stored."""
    stored = find_stored_components(space)
    if stored is None:
        return None
    basis, offset = stored
    x = (codes @ basis.T + offset).reshape(-1, *space.shape)
    models: Array = np.where(space.mask, space.transform.undo(x), np.nan)
    return models
