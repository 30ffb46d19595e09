"""Better codes than the encoder's: Gauss-Newton steps on the misfit of the decoded model, many models at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MISFIT = 1e-3
"""Variance of the misfit, in the net's units: how little the prior N(0, I) of codes counts."""
CELLS = 2**24
"""Numbers of Jacobians held at once."""


def gauss_newton(
    decode: Callable[["Tensor"], "Tensor"], z: "Tensor", x: "Tensor", there: "Tensor", steps: int
) -> "Tensor":
    """Codes (n, d) after Levenberg-Marquardt steps from `z` towards models x (n, *shape) where `there` is 1.

    Minimises the squared misfit / `MISFIT` + |z|^2; a step that does not lower it is not taken, and the next one is
    shorter (Marquardt, 1963, doi:10.1137/0111030).
    """
    import torch

    most = max(CELLS // (z.shape[1] * x[0].numel()), 1)
    with torch.no_grad():
        parts = zip(z.split(most), x.split(most), there.split(most), strict=True)
        return torch.cat([_part(decode, *part, steps) for part in parts])


def _part(decode: Callable[["Tensor"], "Tensor"], z: "Tensor", x: "Tensor", there: "Tensor", steps: int) -> "Tensor":
    import torch

    n, d = z.shape
    eye = torch.eye(d, dtype=z.dtype, device=z.device)

    def misfit(codes: "Tensor") -> tuple["Tensor", "Tensor"]:
        left = ((x - decode(codes)[:, 0]) * there).flatten(1)
        return left, left.square().sum(1) / MISFIT + codes.square().sum(1)

    left, cost = misfit(z)
    damping = torch.full((n,), 1e-2, dtype=z.dtype, device=z.device)
    for _ in range(steps):
        # the decoder once, and all directions through it at once
        change = torch.func.vmap(lambda v, at=z: torch.func.jvp(decode, (at,), (v.expand_as(at),))[1])(eye)
        jacobian = (change[:, :, 0].transpose(0, 1) * there[:, None]).flatten(2)
        hessian = jacobian @ jacobian.mT / MISFIT + eye
        slope = torch.einsum("ndc,nc->nd", jacobian, left) / MISFIT - z
        scale = damping[:, None, None] * torch.diag_embed(hessian.diagonal(dim1=1, dim2=2))
        better = z + torch.linalg.solve(hessian + scale, slope)
        left_then, cost_then = misfit(better)
        good = cost_then < cost
        z = torch.where(good[:, None], better, z)
        left, cost = torch.where(good[:, None], left_then, left), torch.where(good, cost_then, cost)
        damping = torch.where(good, damping / 5, damping * 10)
    return z
