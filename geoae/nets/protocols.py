"""What a net must offer for each of its uses. A net needs no base class: it has the methods, or it has not.

`isinstance(net, Encodes)` tells whether the methods are there, and `geoae.testing.nets` checks what they compute.
Every net is a `torch.nn.Module` with a frozen dataclass `Config` and builds itself from one: `Net(Net.Config())`.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from geoae.nets.parts.couplings import Couplings

Windows = Float[Tensor, "batch channel *window"]
Codes = Float[Tensor, "batch latent"]


class Loss(NamedTuple):
    """The loss of one training step and its parts."""

    total: Float[Tensor, ""]
    """What the step minimises."""
    terms: dict[str, Tensor]
    """Name -> part of the loss, without gradient. Their sum is `total` up to rounding."""


class Denoises(Protocol):
    """A net that gives windows back without their noise."""

    def forward(self, x: Windows) -> Windows:
        """Estimate the signal in scaled windows.

        The first channels of `x` hold the data; further ones may say more about them. The result has the shape of the
        data.
        """
        ...


@runtime_checkable
class Encodes(Protocol):
    """A net that turns windows or models into codes and back."""

    @property
    def latent(self) -> int:
        """Numbers of a code."""
        ...

    def encode(self, x: Windows) -> Codes:
        """Codes of scaled windows (batch, 1, *window)."""
        ...

    def decode(self, code: Codes) -> Windows:
        """Scaled windows (batch, 1, *window) of codes."""
        ...


@runtime_checkable
class EncodesWindows(Encodes, Protocol):
    """A net for codes of windows of a fixed size, such as `geoae train` makes from a recipe of kind codes."""

    @property
    def window(self) -> tuple[int, ...]:
        """Samples of a window along each dimension."""
        ...

    def fit(self, windows: Windows) -> None:
        """Set the net's weights from scaled training windows, before the first training step."""
        ...


@runtime_checkable
class Samples(Encodes, Protocol):
    """A prior: codes drawn from N(0, I) decode to models like those of the training."""

    has_exact_encoder: bool
    """Whether `encode` gives the codes of least squared error where no cell of a model is missing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of a model along each dimension."""
        ...

    @property
    def likelihood(self) -> str:
        """Distribution of a cell around its decoded value: gaussian, learned or bernoulli."""
        ...


@runtime_checkable
class Variational(Samples, Protocol):
    """A prior whose encoder gives a Gaussian for each model: what training with an evidence lower bound asks for.

    The layers have codes of their own; `white` and `normal` map these to the codes that `encode` and `decode` use.
    """

    @property
    def noise(self) -> float:
        """Standard deviation of a cell, in units of scaled models; where it is learned, its first value."""
        ...

    @property
    def learned_log_variance(self) -> Float[Tensor, " cell"] | None:
        """Logarithm of the variance of each cell, where the likelihood is learned."""
        ...

    @property
    def code_map(self) -> Couplings | None:
        """The map that turns white codes into N(0, I), where the configuration asks for one."""
        ...

    def forward(self, shown: Windows) -> Float[Tensor, "batch number"]:
        """Decoded cells, then means, then logarithms of variances of the layers' codes, in one row each.

        `shown` (batch, 3, *shape) holds scaled models, 1 where a cell counts, and in the first `latent` cells of the
        last channel the normal numbers that codes are drawn with.
        """
        ...

    def start_linear(self, to_code: Tensor, mean: Tensor, from_code: Tensor, offset: Tensor) -> None:
        """Set the weights so that codes are `to_code` x + `mean` and models `from_code` z + `offset`."""
        ...

    def posterior(self, x: Windows) -> tuple[Codes, Codes]:
        """Mean and logarithm of the variance of the layers' codes of models (batch, 1, *shape)."""
        ...

    def whiten(self, mean: Float[Tensor, " latent"], covariance: Float[Tensor, "latent latent"]) -> None:
        """Give codes mean 0 and covariance I where the layers' codes have the ones given."""
        ...

    def white(self, code: Codes) -> Codes:
        """The layers' codes with mean 0 and covariance I."""
        ...

    def normal(self, code: Codes) -> Codes:
        """The layers' codes as `encode` gives them: distributed as N(0, I)."""
        ...

    def logits(self, code: Codes) -> Windows:
        """Decoded means of codes, or logits where the likelihood is bernoulli, before `sharpen`."""
        ...

    def sharpen(self, factor: float) -> None:
        """Multiply logits by `factor` when decoding."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """A density of codes that can be evaluated."""

    def log_prob(self, code: Codes) -> Float[Tensor, " batch"]:
        """Logarithm of the probability density at codes, nat."""
        ...
