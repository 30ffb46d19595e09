"""The variational autoencoder of models: a linear path between cells and a short code, plus nonlinear layers.

Kingma & Welling (2014, arXiv:1312.6114). Residual layers lie between the code and a coarse grid; convolutions refine
the grid by pixel shuffling (Shi et al., 2016, arXiv:1609.05158), which keeps edges sharp.
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
    """Sizes of the net, and the distribution of its output."""

    ndim: int = 2
    """Dimensions of a model: 1 or 2."""
    shape: tuple[int, ...] = (64, 64)
    """Cells of a model along each dimension, any numbers."""
    latent: int = 20
    likelihood: str = "gaussian"
    """gaussian: with standard deviation `noise`; learned: with a learned standard deviation for each cell; bernoulli:
    for values between 0 and 1."""
    noise: float = 0.1
    """Standard deviation of a cell, in units of scaled models; if learned, its initial value."""
    hidden: int = 512
    """Width of the layers between the code and the coarsest grid."""
    depth: int = 2
    """Number of these layers."""
    widths: tuple[int, ...] = (48, 24, 12)
    """Channels on each grid, from the coarsest to the finest; each grid is twice as fine as the one before."""
    patch: int = 2
    """Cells along each dimension that form one point of the finest grid."""
    layers: str = "convolutions"
    """convolutions: between the cells and the coarsest grid; dense: every hidden unit is connected to every cell, for
    models of few cells, such as profiles with sharp interfaces (`widths` and `patch` are not used)."""
    pool: int = 1
    """For dense layers: cells along each dimension that are averaged before the encoder, which saves time if structures
    are many cells wide."""
    couplings: int = 0
    """Couplings that map codes to N(0, I) after training; 0: codes are only whitened."""
    coupling_width: int = 64
    """Hidden units of each coupling."""


class VAE(nn.Module):
    """Encode scaled models (batch, 1, *shape) as codes (batch, latent), and decode codes.

    Codes have mean 0 and covariance I after `whiten`, and are N(0, I) after `bend` is fitted.
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
        _check_config(config)
        self.config = c = config
        cells = math.prod(c.shape)
        if self._has_convolutions:
            self._make_convolutions(c)
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

    def _make_convolutions(self, c: VAEConfig) -> None:
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
    def _has_convolutions(self) -> bool:
        return self.config.layers == "convolutions"

    @property
    def latent(self) -> int:
        """Length of a code."""
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
        """Standard deviation of a cell, in units of scaled models; if it is learned, its initial value."""
        return self.config.noise

    @property
    def learned_log_variance(self) -> Float[Tensor, " cell"] | None:
        """Logarithm of the variance of each cell, if the likelihood is "learned"; else None."""
        return self.log_variance if self.likelihood == "learned" else None

    @property
    def code_map(self) -> Couplings | None:
        """The map from white codes to N(0, I), if the configuration has one; else None."""
        return self.bend if self.config.couplings else None

    @torch.no_grad()
    def start_linear(self, to_code: Tensor, mean: Tensor, from_code: Tensor, offset: Tensor) -> None:
        """Start as a linear autoencoder: codes `to_code` x + `mean`, models `from_code` z + `offset`."""
        self.straight_in.weight.copy_(to_code)
        self.straight_in.bias.copy_(mean)
        self.straight_out.weight.copy_(from_code)
        self.straight_out.bias.copy_(offset)
        self.to_posterior.bias[self.latent :] = -4.0  # the posterior of principal components is narrow

    @torch.no_grad()
    def whiten(self, mean: Tensor, covariance: Tensor) -> None:
        """Make codes of mean 0 and covariance I from layers' codes with this mean and covariance."""
        lower = torch.linalg.cholesky(covariance.double())
        self.shift.copy_(mean)
        self.stretch.copy_(lower)
        self.back.copy_(torch.linalg.inv(lower))

    def posterior(self, x: Float[Tensor, "batch 1 *shape"]) -> tuple[Codes, Codes]:
        """Mean and logarithm of the variance of the layers' codes, before whitening."""
        h = self._apply_blocks("encoder", self.gather(self._read_cells(x).flatten(1)))
        mean, log_variance = self.to_posterior(h).to(x.dtype).chunk(2, 1)
        return mean + self.straight_in(x.flatten(1)), log_variance.clamp(-14, 4)

    def _read_cells(self, x: Tensor) -> Tensor:
        """Input of the encoder's layers: models, means of cells, or the output of convolutions on the coarsest grid."""
        c = self.config
        if not self._has_convolutions:
            mean: Any = F.avg_pool1d if c.ndim == 1 else F.avg_pool2d
            return x if c.pool == 1 else mean(x, c.pool, ceil_mode=True, count_include_pad=False)
        wanted = [m * c.patch for m in self.grids[-1]]
        room = [pad for n, m in zip(reversed(c.shape), reversed(wanted), strict=True) for pad in (0, m - n)]
        h = self.read(_fold(F.pad(x, room), c.patch))
        for layer in reversed(list(self.fold)):
            h = layer(_fold(_pad_to_even(F.silu(h)), 2))
        return F.silu(h)

    def output(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """Decode the layers' codes to means of cells, or to logits if the likelihood is bernoulli."""
        h = self._refine_grid(F.silu(self._apply_blocks("decoder", self.from_code(code))))
        added = self.write(h)
        if self._has_convolutions:
            added = _crop(_unfold(added, self.config.patch), self.config.shape)
        return (added.flatten(1) + self.straight_out(code)).unflatten(1, (1, *self.config.shape))

    def _refine_grid(self, h: Tensor) -> Tensor:
        """The output of the decoder's layers, or of convolutions from the coarsest to the finest grid."""
        if not self._has_convolutions:
            return h
        h = self.spread(h).unflatten(1, (self.config.widths[0], *self.grids[0]))
        h = h + self.finish[0](F.silu(h))
        for layer, finish, grid in zip(self.unfold, list(self.finish)[1:], self.grids[1:], strict=True):
            h = _crop(_unfold(layer(F.silu(h)), 2), grid)
            h = h + finish(F.silu(h))
        return F.silu(h)

    def _apply_blocks(self, side: str, h: Tensor) -> Tensor:
        blocks: Any = self.blocks[side]
        for block in blocks:
            h = block(h)
        return h

    def encode(self, x: Float[Tensor, "batch 1 *shape"]) -> Codes:
        """Encode models; codes are the means of the posteriors."""
        return self.normal(self.posterior(x)[0])

    def decode(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """Decode codes to models; values lie between 0 and 1 if the likelihood is bernoulli."""
        y = self.logits(code)
        return torch.sigmoid(y * self.sharpness) if self.likelihood == "bernoulli" else y

    def logits(self, code: Codes) -> Float[Tensor, "batch 1 *shape"]:
        """Decode codes to means, or to logits if the likelihood is bernoulli, without the factor of `sharpen`."""
        return self.output(self.shift + self.bend.from_normal(code) @ self.stretch.mT)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply logits by `factor` when decoding: the larger it is, the fewer cells are neither 0 nor 1."""
        self.sharpness.fill_(factor)

    def white(self, code: Codes) -> Codes:
        """Whiten the layers' codes: mean 0 and covariance I."""
        return (code - self.shift) @ self.back.mT

    def normal(self, code: Codes) -> Codes:
        """Map the layers' codes to those of `encode`, which are distributed as N(0, I)."""
        return self.bend.to_normal(self.white(code))[0]

    def forward(self, net_input: Float[Tensor, "batch 3 *shape"]) -> Float[Tensor, "batch numbers"]:
        """One row for each model: output cells, then means and logarithms of variances of the layers' codes.

        The channels of `net_input` are the model, its mask of valid cells, and normal random numbers for drawing the
        code, in the first `latent` cells. As input, the random numbers are the same in a resumed training.
        """
        mean, log_variance = self.posterior(net_input[:, :1])
        drawn = mean + net_input[:, 2].flatten(1)[:, : self.latent] * (0.5 * log_variance).exp()
        return torch.cat([self.output(drawn).flatten(1).to(drawn.dtype), mean, log_variance], 1)


def _check_config(c: VAEConfig) -> None:
    if c.ndim not in (1, 2) or len(c.shape) != c.ndim:
        raise InputError(
            f"Settings 'ndim' {c.ndim} and 'shape' {list(c.shape)} do not fit: models have 1 or 2 dimensions."
        )
    if c.couplings and c.latent < 2:
        raise InputError(
            "Setting 'couplings' needs codes of 2 numbers or more: each coupling maps one half by the other."
        )
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


def _fold(x: Tensor, factor: int) -> Tensor:
    """(batch, c, n, ...) -> (batch, c factor^ndim, n / factor, ...): neighbouring points become channels."""
    ndim = x.ndim - 2
    for axis in range(2, 2 + ndim):
        x = x.unflatten(2 * axis - 2, (x.shape[2 * axis - 2] // factor, factor))
    inner = list(range(3, 3 + 2 * ndim, 2))
    return x.permute(0, 1, *inner, *(i - 1 for i in inner)).flatten(1, 1 + ndim)


def _unfold(x: Tensor, factor: int) -> Tensor:
    """The inverse of `_fold`."""
    ndim = x.ndim - 2
    x = x.unflatten(1, (-1, *[factor] * ndim))
    order = [axis for i in range(ndim) for axis in (2 + ndim + i, 2 + i)]
    x = x.permute(0, 1, *order)
    for axis in range(2, 2 + ndim):
        x = x.flatten(axis, axis + 1)
    return x


def _pad_to_even(x: Tensor) -> Tensor:
    """Pad grids with an odd number of points by a zero."""
    return F.pad(x, [pad for n in reversed(x.shape[2:]) for pad in (0, n % 2)])


def _crop(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    cut: tuple[Any, ...] = (..., *(slice(n) for n in shape))
    return x[cut]
