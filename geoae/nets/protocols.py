"""The methods that a net must have for each of its uses, as Protocols. A net needs no base class.

`isinstance(net, Encodes)` tells whether a net has the methods, and `geoae.testing.nets` checks what they compute.
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
    """The value that the step minimises."""
    terms: dict[str, Tensor]
    """Name -> part of the loss, without gradient. Their sum is `total` up to rounding."""


class Denoises(Protocol):
    """A net that removes noise from windows."""

    def forward(self, x: Windows) -> Windows:
        """Estimate the signal in scaled windows.

        The first channels of `x` are the data; further channels may describe them. The result has the shape of the
        data.
        """
        ...


@runtime_checkable
class Estimates(Protocol):
    """A net that removes noise from windows, and says how sure it is of each sample."""

    def estimate(self, x: Windows) -> tuple[Windows, Windows]:
        """Estimate the signal in scaled windows, and the standard error of each of its samples.

        Both have the shape of the data; the signal is that of `Denoises.forward`.
        """
        ...


@runtime_checkable
class Encodes(Protocol):
    """A net that encodes windows or models, and decodes codes."""

    @property
    def latent(self) -> int:
        """Length of a code."""
        ...

    def encode(self, x: Windows) -> Codes:
        """Encode scaled windows (batch, 1, *window)."""
        ...

    def decode(self, code: Codes) -> Windows:
        """Decode codes to scaled windows (batch, 1, *window)."""
        ...


@runtime_checkable
class EncodesWindows(Encodes, Protocol):
    """A net for codes of windows of a fixed size, for recipes of kind codes."""

    @property
    def window(self) -> tuple[int, ...]:
        """Samples of a window along each dimension."""
        ...

    def fit(self, windows: Windows) -> None:
        """Set the net's weights from scaled training windows, before the first training step."""
        ...


@runtime_checkable
class Samples(Encodes, Protocol):
    """A prior: codes drawn from N(0, I) decode to models like the training models."""

    has_exact_encoder: bool
    """Whether `encode` returns the codes of least squared error for models without missing cells."""

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
    """A prior whose encoder gives a Gaussian posterior for each model, to be trained with an evidence lower bound.

    The codes of the layers have any distribution; `white` and `normal` map them to the codes of `encode`.
    """

    @property
    def noise(self) -> float:
        """Standard deviation of a cell, in units of scaled models; if it is learned, its initial value."""
        ...

    @property
    def learned_log_variance(self) -> Float[Tensor, " cell"] | None:
        """Logarithm of the variance of each cell, if the likelihood is "learned"; else None."""
        ...

    @property
    def code_map(self) -> Couplings | None:
        """The map from white codes to N(0, I), if the configuration has one; else None."""
        ...

    def forward(self, net_input: Windows) -> Float[Tensor, "batch number"]:
        """One row for each model: decoded cells, then means and logarithms of variances of the layers' codes.

        `net_input` (batch, 3, *shape) has scaled models, a mask with 1 for valid cells, and, in the first `latent`
        cells of the last channel, the normal random numbers for drawing codes.
        """
        ...

    def start_linear(self, to_code: Tensor, mean: Tensor, from_code: Tensor, offset: Tensor) -> None:
        """Set the weights so that codes are `to_code` x + `mean`, and models are `from_code` z + `offset`."""
        ...

    def posterior(self, x: Windows) -> tuple[Codes, Codes]:
        """Mean and logarithm of the variance of the layers' codes of models (batch, 1, *shape)."""
        ...

    def whiten(self, mean: Float[Tensor, " latent"], covariance: Float[Tensor, "latent latent"]) -> None:
        """Make codes of mean 0 and covariance I from layers' codes with this mean and covariance."""
        ...

    def white(self, code: Codes) -> Codes:
        """Whiten the layers' codes: mean 0 and covariance I."""
        ...

    def normal(self, code: Codes) -> Codes:
        """Map the layers' codes to those of `encode`, which are distributed as N(0, I)."""
        ...

    def logits(self, code: Codes) -> Windows:
        """Decoded means of cells, or logits if the likelihood is bernoulli, without the factor of `sharpen`."""
        ...

    def sharpen(self, factor: float) -> None:
        """Multiply logits by `factor` when decoding."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """A probability density of codes that can be evaluated."""

    def log_prob(self, code: Codes) -> Float[Tensor, " batch"]:
        """Logarithm of the probability density at codes, nat."""
        ...
