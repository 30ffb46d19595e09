"""The training loss of denoisers of fields with noisy targets."""

from jaxtyping import Float
from torch import Tensor


def squared_error(estimate: Tensor, target: Tensor, counts: Tensor) -> Float[Tensor, ""]:
    """Mean over windows of the mean square of estimate - target, over the points where `counts` is 1."""
    axes = tuple(range(1, estimate.ndim))
    error = ((estimate - target) * counts).square().sum(axes) / counts.sum(axes).clamp(min=1)
    return error.mean()
