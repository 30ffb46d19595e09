"""Better codes than the encoder's: Gauss-Newton steps on the misfit of the decoded model, many models at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MISFIT = 1e-3
"""Variance of the misfit in the net's units; the smaller, the less the prior N(0, I) of codes weighs."""
CONVERGED = 1e-4
"""Relative decrease of the cost below which a model has converged."""
PATIENCE = 4
"""Steps in a row that may fail, each with ten times the damping of the one before, before a model is given up."""
CELLS = 2**24
"""Numbers of Jacobians held at once."""


def refine_codes(
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

    def misfit(codes: "Tensor", some: "Tensor") -> tuple["Tensor", "Tensor"]:
        left = ((x[some] - decode(codes)[:, 0]) * there[some]).flatten(1)
        return left, left.square().sum(1) / MISFIT + codes.square().sum(1)

    on = torch.arange(n, device=z.device)  # models that have not converged
    left, cost = misfit(z, on)
    damping = torch.full((n,), 1e-2, dtype=z.dtype, device=z.device)
    z, failed = z.clone(), torch.zeros(n, dtype=torch.long, device=z.device)
    for _ in range(steps):
        at = z[on]
        # one pass of the decoder for all directions
        change = torch.func.vmap(lambda v, at=at: torch.func.jvp(decode, (at,), (v.expand_as(at),))[1])(eye)
        jacobian = (change[:, :, 0].transpose(0, 1) * there[on, None]).flatten(2)
        hessian = jacobian @ jacobian.mT / MISFIT + eye
        slope = torch.einsum("ndc,nc->nd", jacobian, left[on]) / MISFIT - at
        scale = damping[on, None, None] * torch.diag_embed(hessian.diagonal(dim1=1, dim2=2))
        better = at + torch.linalg.solve(hessian + scale, slope)
        left_then, cost_then = misfit(better, on)
        good = cost_then < cost[on]
        done = good & (cost[on] - cost_then < CONVERGED * cost[on])
        taken = on[good]
        z[taken], left[taken], cost[taken] = better[good], left_then[good], cost_then[good]
        damping[on] = torch.where(good, damping[on] / 5, damping[on] * 10)
        failed[on] = torch.where(good, 0, failed[on] + 1)
        on = on[~done & (failed[on] < PATIENCE)]
        if not len(on):
            break
    return z
