"""Refine codes by Gauss-Newton steps on the misfit of the decoded model, for many models at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MISFIT = 1e-3
"""Variance of the misfit in the units of the net; the smaller it is, the smaller the weight of the prior N(0, I)."""
CONVERGED = 1e-4
"""Relative decrease of the cost below which the code of a model has converged."""
PATIENCE = 4
"""Successive failed steps, each with ten times the damping of the last, after which the code of a model stays."""
CELLS = 2**24
"""Largest number of elements of the Jacobians in memory."""


def refine_codes(
    decode: Callable[["Tensor"], "Tensor"], z: "Tensor", x: "Tensor", valid: "Tensor", steps: int
) -> "Tensor":
    """Refine codes z (n, d) of models x (n, *shape) by Levenberg-Marquardt steps; cells with `valid` 0 do not count.

    Minimises the squared misfit / `MISFIT` + |z|^2. A step that does not lower it is rejected, and the next one is
    shorter (Marquardt, 1963, doi:10.1137/0111030).
    """
    import torch

    most = max(CELLS // (z.shape[1] * x[0].numel()), 1)
    with torch.no_grad():
        parts = zip(z.split(most), x.split(most), valid.split(most), strict=True)
        return torch.cat([_refine_part(decode, *part, steps) for part in parts])


def _refine_part(
    decode: Callable[["Tensor"], "Tensor"], z: "Tensor", x: "Tensor", valid: "Tensor", steps: int
) -> "Tensor":
    import torch

    n, d = z.shape
    eye = torch.eye(d, dtype=z.dtype, device=z.device)

    def misfit(codes: "Tensor", index: "Tensor") -> tuple["Tensor", "Tensor"]:
        residual = ((x[index] - decode(codes)[:, 0]) * valid[index]).flatten(1)
        return residual, residual.square().sum(1) / MISFIT + codes.square().sum(1)

    active = torch.arange(n, device=z.device)  # models that have not converged
    residual, cost = misfit(z, active)
    damping = torch.full((n,), 1e-2, dtype=z.dtype, device=z.device)
    z, failed = z.clone(), torch.zeros(n, dtype=torch.long, device=z.device)
    for _ in range(steps):
        at = z[active]
        # one pass of the decoder for all directions
        change = torch.func.vmap(lambda v, at=at: torch.func.jvp(decode, (at,), (v.expand_as(at),))[1])(eye)
        jacobian = (change[:, :, 0].transpose(0, 1) * valid[active, None]).flatten(2)
        hessian = jacobian @ jacobian.mT / MISFIT + eye
        slope = torch.einsum("ndc,nc->nd", jacobian, residual[active]) / MISFIT - at
        scale = damping[active, None, None] * torch.diag_embed(hessian.diagonal(dim1=1, dim2=2))
        better = at + torch.linalg.solve(hessian + scale, slope)
        new_residual, new_cost = misfit(better, active)
        good = new_cost < cost[active]
        done = good & (cost[active] - new_cost < CONVERGED * cost[active])
        taken = active[good]
        z[taken], residual[taken], cost[taken] = better[good], new_residual[good], new_cost[good]
        damping[active] = torch.where(good, damping[active] / 5, damping[active] * 10)
        failed[active] = torch.where(good, 0, failed[active] + 1)
        active = active[~done & (failed[active] < PATIENCE)]
        if not len(active):
            break
    return z
