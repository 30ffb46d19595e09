"""The variational autoencoder of models: few codes, a straight path to the cells, and what layers add to it.

Kingma & Welling (2014, arXiv:1312.6114), with residual layers between the code and a coarse grid, and convolutions that
fold it out by pixel shuffling (Shi et al., 2016, arXiv:1609.05158), which keeps edges sharp.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

from geoae.errors import InputError
from geoae.nets.parts.couplings import Couplings

LIKELIHOODS = ("gaussian", "learned", "bernoulli")
LAYERS = ("convolutions", "dense")
Codes = Float[Tensor, "batch latent"]


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of the net, and what its output means."""

    ndim: int = 2
    """Dimensions of a model: 1 or 2."""
    shape: tuple[int, ...] = (64, 64)
    """Cells of a model, any number."""
    latent: int = 20
    likelihood: str = "gaussian"
    """gaussian: of standard deviation `noise`; learned: of one that each cell learns; bernoulli: values lie between
    0 and 1."""
    noise: float = 0.1
    """Standard deviation of a cell, in units of the scaled models; where learned, what it begins with."""
    hidden: int = 512
    """Width of the layers between the code and the coarsest grid."""
    depth: int = 2
    """How many of them."""
    widths: tuple[int, ...] = (48, 24, 12)
    """Channels from the coarsest grid to the finest; each is twice as fine as the one before."""
    patch: int = 2
    """Cells, along each dimension, of one point of the finest grid."""
    layers: str = "convolutions"
    """convolutions: between the cells and the coarsest grid; dense: none, every hidden number sees every cell, which
    suits models of few cells, such as profiles with sharp interfaces (`widths` and `patch` do not count then)."""
    pool: int = 1
    """Of dense layers: cells along each dimension of which the encoder's layers see the mean only, which saves time
    where structures are many cells wide."""
    couplings: int = 0
    """Maps that bend codes after the training until they are N(0, I), not only white; 0: they are made white."""
    coupling_width: int = 64
    """Hidden numbers of each of them."""


class VAE(nn.Module):
    """Models (batch, 1, *shape), scaled, to codes (batch, latent) and back.

    Codes have mean 0 and covariance I once `whiten` has run, and are N(0, I) once `bend` is fitted.
    """

    Config = VAEConfig
    has_exact_encoder = False
    shift: Tensor
    stretch: Tensor
    back: Tensor
    sharpness: Tensor
    grids: list[tuple[int, ...]]

    def __init__(self, config: VAEConfig):
        super().__init__()
        _check(config)
        self.config = c = config
        cells = math.prod(c.shape)
        if self._folds:
            self._convolutions(c)
        else:
            self.gather = nn.Linear(math.prod(-(-n // c.pool) for n in c.shape), c.hidden)
            self.write: Any = nn.Linear(c.hidden, cells)
        self.blocks = nn.ModuleDict(
            {side: nn.ModuleList(_Residual(c.hidden) for _ in range(c.depth)) for side in ("encoder", "decoder")}
        )
        self.to_posterior = nn.Linear(c.hidden, 2 * c.latent)
        self.straight_in = nn.Linear(cells, c.latent)
        self.from_code = nn.Linear(c.latent, c.hidden)
        self.straight_out = nn.Linear(c.latent, cells)
        ends: tuple[Any, ...] = (self.to_posterior, self.write)
        for layer in ends:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.log_variance = nn.Parameter(
            torch.full((cells,), 2 * math.log(c.noise)), requires_grad=c.likelihood == "learned"
        )
        self.register_buffer("shift", torch.zeros(c.latent))
        self.register_buffer("stretch", torch.eye(c.latent))
        self.register_buffer("back", torch.eye(c.latent))
        self.register_buffer("sharpness", torch.ones(()))
        self.bend = Couplings(c.latent, c.couplings, c.coupling_width)

    def _convolutions(self, c: VAEConfig) -> None:
        self.grids = [tuple(-(-n // c.patch) for n in c.shape)]
        for _ in c.widths[1:]:
            self.grids.insert(0, tuple(-(-n // 2) for n in self.grids[0]))
        conv: Any = nn.Conv1d if c.ndim == 1 else nn.Conv2d
        coarse, many, w = math.prod(self.grids[0]), 2**c.ndim, c.widths
        self.read = conv(c.patch**c.ndim, w[-1], 3, padding=1)
        self.fold = nn.ModuleList(conv(w[i + 1] * many, w[i], 3, padding=1) for i in range(len(w) - 1))
        self.gather = nn.Linear(w[0] * coarse, c.hidden)
        self.spread = nn.Linear(c.hidden, w[0] * coarse)
        self.unfold = nn.ModuleList(conv(w[i], w[i + 1] * many, 3, padding=1) for i in range(len(w) - 1))
        self.finish = nn.ModuleList(conv(n, n, 3, padding=1) for n in w)
        self.write = conv(w[-1], c.patch**c.ndim, 3, padding=1)

    @property
    def _folds(self) -> bool:
        return self.config.layers == "convolutions"

    @property
    def latent(self) -> int:
        """Numbers of a code."""
        return self.config.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of a model along each dimension."""
        return self.config.shape

    @property
    def likelihood(self) -> str:
        """Distribution of a cell around its decoded value, one of `LIKELIHOODS`."""
        return self.config.likelihood

    @property
    def noise(self) -> float:
        """Standard deviation of a cell, in units of scaled models; where it is learned, its first value."""
        return self.config.noise

    @property
    def learned_log_variance(self) -> Float[Tensor, " cell"] | None:
        """Logarithm of the variance of each cell, where the likelihood is learned."""
        return self.log_variance if self.likelihood == "learned" else None

    @property
    def code_map(self) -> Couplings | None:
        """The map that turns white codes into N(0, I), where the configuration asks for one."""
        return self.bend if self.config.couplings else None

    @torch.no_grad()
    def start_linear(self, to_code: Tensor, mean: Tensor, from_code: Tensor, offset: Tensor) -> None:
        """Start as a linear autoencoder: codes `to_code` x + `mean`, models `from_code` z + `offset`."""
        self.straight_in.weight.copy_(to_code)
        self.straight_in.bias.copy_(mean)
        self.straight_out.weight.copy_(from_code)
        self.straight_out.bias.copy_(offset)
        self.to_posterior.bias[self.latent :] = -4.0  # components are known well

    @torch.no_grad()
    def whiten(self, mean: Tensor, covariance: Tensor) -> None:
        """Codes from here on have mean 0 and covariance I where those of the layers have the ones given."""
        lower = torch.linalg.cholesky(covariance.double())
        self.shift.copy_(mean)
        self.stretch.copy_(lower)
        self.back.copy_(torch.linalg.inv(lower))

    def posterior(self, x: Float[Tensor, "batch 1 *shape"]) -> tuple[Codes, Codes]:
        """Mean and logarithm of the variance of the layers' codes, before they are whitened."""
        h = self._through("encoder", self.gather(self._folded(x).flatten(1)))
        mean, log_variance = self.to_posterior(h).to(x.dtype).chunk(2, 1)
        return mean + self.straight_in(x.flatten(1)), log_variance.clamp(-14, 4)

    def _folded(self, x: Tensor) -> Tensor:
        """Models, means of their cells, or what convolutions make of them on the coarsest grid."""
        c = self.config
        if not self._folds:
            mean: Any = F.avg_pool1d if c.ndim == 1 else F.avg_pool2d
            return x if c.pool == 1 else mean(x, c.pool, ceil_mode=True, count_include_pad=False)
        wanted = [m * c.patch for m in self.grids[-1]]
        room = [pad for n, m in zip(reversed(c.shape), reversed(wanted), strict=True) for pad in (0, m - n)]
        h = self.read(_fold(F.pad(x, room), c.patch))
        for layer in reversed(list(self.fold)):
            h = layer(_fold(_even(F.silu(h)), 2))
        return F.silu(h)

    def output(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """What the layers make of their codes: means, or logits where the likelihood is bernoulli."""
        h = self._unfolded(F.silu(self._through("decoder", self.from_code(code))))
        added = self.write(h)
        if self._folds:
            added = _crop(_unfold(added, self.config.patch), self.config.shape)
        return (added.flatten(1) + self.straight_out(code)).unflatten(1, (1, *self.config.shape))

    def _unfolded(self, h: Tensor) -> Tensor:
        """The layers' last numbers, or what convolutions make of them on the finest grid."""
        if not self._folds:
            return h
        h = self.spread(h).unflatten(1, (self.config.widths[0], *self.grids[0]))
        h = h + self.finish[0](F.silu(h))
        for layer, finish, grid in zip(self.unfold, list(self.finish)[1:], self.grids[1:], strict=True):
            h = _crop(_unfold(layer(F.silu(h)), 2), grid)
            h = h + finish(F.silu(h))
        return F.silu(h)

    def _through(self, side: str, h: Tensor) -> Tensor:
        blocks: Any = self.blocks[side]
        for block in blocks:
            h = block(h)
        return h

    def encode(self, x: Float[Tensor, "batch 1 *shape"]) -> Codes:
        """Codes of models, the means of their posteriors."""
        return self.normal(self.posterior(x)[0])

    def decode(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """Models of codes; where the likelihood is bernoulli, between 0 and 1."""
        y = self.logits(code)
        return torch.sigmoid(y * self.sharpness) if self.likelihood == "bernoulli" else y

    def logits(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """Means, or logits, of codes that are N(0, I), before `sharpen`."""
        return self.output(self.shift + self.bend.from_normal(code) @ self.stretch.mT)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply logits by `factor` when decoding: the larger, the fewer cells lie between 0 and 1."""
        self.sharpness.fill_(factor)

    def white(self, code: Codes) -> Codes:
        """The layers' codes with mean 0 and covariance I."""
        return (code - self.shift) @ self.back.mT

    def normal(self, code: Codes) -> Codes:
        """The layers' codes as N(0, I) has them."""
        return self.bend.to_normal(self.white(code))[0]

    def forward(self, shown: Float[Tensor, "batch 3 *shape"]) -> Float[Tensor, "batch numbers"]:
        """For the loss: output cells, means and logarithms of variances of the codes, side by side.

        `shown` holds models, where they count, and in its first `latent` cells the normal numbers that the codes are
        drawn with: a training that is resumed draws the same ones.
        """
        mean, log_variance = self.posterior(shown[:, :1])
        drawn = mean + shown[:, 2].flatten(1)[:, : self.latent] * (0.5 * log_variance).exp()
        return torch.cat([self.output(drawn).flatten(1).to(drawn.dtype), mean, log_variance], 1)


def _check(c: VAEConfig) -> None:
    if c.ndim not in (1, 2) or len(c.shape) != c.ndim:
        raise InputError(
            f"Settings 'ndim' {c.ndim} and 'shape' {list(c.shape)} do not fit: models have 1 or 2 dimensions."
        )
    if c.couplings and c.latent < 2:
        raise InputError("Setting 'couplings' needs codes of 2 numbers or more: each bends one half by the other.")
    if c.likelihood not in LIKELIHOODS:
        raise InputError(f"Setting 'likelihood' is {c.likelihood!r}; choose one of {', '.join(LIKELIHOODS)}.")
    if c.layers not in LAYERS:
        raise InputError(f"Setting 'layers' is {c.layers!r}; choose one of {', '.join(LAYERS)}.")
    if c.pool > 1 and c.layers != "dense":
        raise InputError(f"Setting 'pool' is {c.pool}; it is for dense layers. Leave it out, or choose layers: dense.")
    if c.pool > min(c.shape):
        raise InputError(
            f"Setting 'pool' is {c.pool}, more cells than a model of shape {list(c.shape)} has along a side."
        )
    if c.latent > math.prod(c.shape):
        raise InputError(f"Setting 'latent' is {c.latent}, more than the {math.prod(c.shape)} cells of a model.")


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


def _fold(x: Tensor, by: int) -> Tensor:
    """(batch, c, n, ...) -> (batch, c by^ndim, n / by, ...): neighbouring points become channels."""
    ndim = x.ndim - 2
    for axis in range(2, 2 + ndim):
        x = x.unflatten(2 * axis - 2, (x.shape[2 * axis - 2] // by, by))
    inner = list(range(3, 3 + 2 * ndim, 2))
    return x.permute(0, 1, *inner, *(i - 1 for i in inner)).flatten(1, 1 + ndim)


def _unfold(x: Tensor, by: int) -> Tensor:
    """The inverse of `_fold`."""
    ndim = x.ndim - 2
    x = x.unflatten(1, (-1, *[by] * ndim))
    order = [axis for i in range(ndim) for axis in (2 + ndim + i, 2 + i)]
    x = x.permute(0, 1, *order)
    for axis in range(2, 2 + ndim):
        x = x.flatten(axis, axis + 1)
    return x


def _even(x: Tensor) -> Tensor:
    """Grids of an odd number of points get one more, of zeros."""
    return F.pad(x, [pad for n in reversed(x.shape[2:]) for pad in (0, n % 2)])


def _crop(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    cut: tuple[Any, ...] = (..., *(slice(n) for n in shape))
    return x[cut]
