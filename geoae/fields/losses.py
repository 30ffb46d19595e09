"""The loss of denoisers of fields whose targets are noisy."""

from jaxtyping import Float
from torch import Tensor


def squared_error(estimate: Tensor, target: Tensor, counts: Tensor) -> Float[Tensor, ""]:
    """Mean square of estimate - target over what counts; all windows weigh alike."""
    axes = tuple(range(1, estimate.ndim))
    error = ((estimate - target) * counts).square().sum(axes) / counts.sum(axes).clamp(min=1)
    return error.mean()
