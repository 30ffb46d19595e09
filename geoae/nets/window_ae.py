"""An autoencoder of windows: a mixture of sets of principal components, with a small net that corrects them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geoae.errors import InputError
from geoae.nets.parts.spectral import make_cosine_basis

_FLOOR = 1e-5  # squared error relative to the variance of the window; smaller errors count as perfect


@dataclass(frozen=True)
class WindowAEConfig:
    """Sizes of the net."""

    ndim: int = 2
    """Dimensions of a window: 1 or 2."""
    window: int = 32
    """Samples along each of them."""
    sizes: tuple[int, ...] = (4, 16, 64)
    """Lengths of the beginning of a code that are trained most often; the last is the length of the whole code."""
    basis: int = 384
    """Number of basis components of a window."""
    experts: int = 24
    """Number of sets of components. The first set is that of all windows, so that a code is as good as plain components
    with one number fewer."""
    rounds: int = 12
    """Iterations of `fit`: windows choose sets, then sets are fitted to their windows."""
    width: int = 128
    depth: int = 2


class WindowAE(nn.Module):
    """Nested codes: the beginning of a code is a coarser code, as good as a code of that length (Rippel et al., 2014).

    The first number of a code is the set of components that reconstructs the window best; the others are coefficients
    in this set, the largest first. `fit` makes the sets from data: a mixture of principal components (Kambhatla & Leen,
    1997, doi:10.1162/neco.1997.9.7.1493). A net corrects codes and decoded windows. Its inputs are inverse hyperbolic
    sines, which stay small, so that windows unlike the training data are still reconstructed about as by components.
    """

    Config = WindowAEConfig
    basis: Tensor
    scale: Tensor
    mean: Tensor
    axes: Tensor
    spread: Tensor

    def __init__(self, config: WindowAEConfig):
        super().__init__()
        self.config, n, m = config, config.window**config.ndim, config.sizes[-1] - 1
        if config.ndim > 2:
            raise InputError(f"Setting 'ndim' is {config.ndim}; windows have 1 or 2 dimensions.")
        if list(config.sizes) != sorted(set(config.sizes)) or m < 1 or not m < config.basis <= n:
            raise InputError(
                f"Settings 'sizes' {list(config.sizes)} and 'basis' {config.basis} must rise from 2 up to the {n} "
                "samples of a window."
            )
        b, k = config.basis, config.experts
        # half precision: its error is far below that of any code, and it halves the file
        self.register_buffer("basis", _make_cosines(config.window, config.ndim)[:b].half())
        self.register_buffer("scale", torch.ones(b))
        self.register_buffer("mean", torch.zeros(k, b))
        self.register_buffer("axes", torch.eye(b)[:m].expand(k, m, b).half().contiguous())
        self.register_buffer("spread", torch.ones(k, m))
        self.more_code = _make_mlp(b + k, m, config)
        self.more_window = _make_mlp(2 * m + k, b, config)

    @property
    def latent(self) -> int:
        """Length of a whole code."""
        return self.config.sizes[-1]

    @property
    def window(self) -> tuple[int, ...]:
        """Samples of a window along each dimension."""
        return (self.config.window,) * self.config.ndim

    def encode(self, x: Float[Tensor, "batch 1 *window"]) -> Float[Tensor, "batch latent"]:
        """Encode windows that are scaled by `FieldScaler`."""
        c, left = self._coefficients(x)
        chosen = self._choose(c, left)[0]
        own = self._coefficients_in_set(c, chosen) / self.spread[chosen]
        features = torch.cat([(c / self.scale).asinh(), functional.one_hot(chosen, self.config.experts)], 1)
        return torch.cat([chosen[:, None].to(c.dtype), own + self.more_code(features)], 1)

    def decode(self, code: Float[Tensor, "batch size"]) -> Float[Tensor, "batch 1 *window"]:
        """Decode codes, or the first numbers of codes, to windows."""
        whole = functional.pad(code, (0, self.latent - code.shape[1]))
        return self._decode(whole, torch.arange(self.latent, device=code.device) < code.shape[1])

    def forward(self, x: Float[Tensor, "batch 1 *window"]) -> Float[Tensor, "batch 1 *window"]:
        """Reconstruct windows from their codes; in training, from beginnings of their codes."""
        code = self.encode(x)
        if not self.training:
            return self.decode(code)
        size = torch.tensor([self._training_length(i) for i in range(len(x))], device=x.device)
        return self._decode(code, torch.arange(self.latent, device=x.device) < size[:, None])

    @torch.no_grad()
    def fit(self, windows: Float[Tensor, "batch 1 *window"]) -> None:
        """Fit the sets of components to scaled windows.

        The weight of a window is the inverse of its reconstruction error, so that smooth and rough windows count alike.
        """
        x, m = windows.flatten(1), self.latent - 1
        weight = torch.ones(len(x))
        for _ in range(4):
            _, power, vectors = _compute_components(x, weight, centred=False)
            left = x.square().sum(1) - (x @ vectors[:, : max(self.latent // 2, 1)]).square().sum(1)
            weight = 1 / (left / x.shape[1]).clamp(min=_FLOOR)
        self.basis.copy_(vectors.T[: self.config.basis])
        self.scale.copy_(power[: self.config.basis].clamp(min=1e-10).sqrt())
        self.spread.copy_(self.scale[:m])
        # the first set is fitted to all windows: it serves windows that suit no other set
        _, power, vectors = _compute_components(x, torch.ones(len(x)), centred=False)
        self.axes[0] = torch.linalg.qr(self.basis.float() @ vectors[:, :m])[0].T
        self.spread[0] = power[:m].clamp(min=1e-10).sqrt()
        c, left = self._coefficients(windows)
        chosen, weight = self._first_choice(c), torch.ones(len(c))
        for _ in range(self.config.rounds):
            for k in range(1, self.config.experts):
                members = chosen == k
                if members.sum() > 2 * self.latent:  # a set with few windows stays unchanged
                    mean, power, vectors = _compute_components(
                        c[members], weight[members] / weight[members].mean(), centred=True
                    )
                    self.mean[k], self.axes[k] = mean, vectors.T[:m]
                    self.spread[k] = power[:m].clamp(min=1e-10).sqrt()
            chosen, errors = self._choose(c, left)
            weight = (1 / (errors + _FLOOR)).mean(1)

    def _coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients in the basis, and the sum of squares outside the basis."""
        x = x.flatten(1)
        c = functional.linear(x, self.basis.float())
        return c, (x.square().sum(1) - c.square().sum(1)).clamp(min=0)

    def _first_choice(self, c: Tensor) -> Int[Tensor, " batch"]:
        """Group windows by k-means: fields by their pattern; records, which have any phase, by their spectrum."""
        features = (c[:, :128].square() + 1e-6).log() if self.config.ndim == 1 else c[:, : self.latent]
        n = max(self.config.experts - 1, 1)
        centres = features[torch.linspace(0, len(features) - 1, n).long()].clone()
        for _ in range(12):
            nearest = torch.cat([torch.cdist(part, centres).argmin(1) for part in features.split(4096)])
            for k in range(n):
                if (nearest == k).any():
                    centres[k] = features[nearest == k].mean(0)
        return nearest + 1

    def _choose(self, c: Tensor, left: Tensor) -> tuple[Int[Tensor, " batch"], Float[Tensor, "batch size"]]:
        """Choose the best set of each window, by the sum over sizes of log errors; also returns these errors."""
        sizes = torch.tensor(self.config.sizes, device=c.device) - 1
        axes, n = self.axes.float(), self.config.window**self.config.ndim
        shift = torch.einsum("kmb,kb->km", axes, self.mean)
        found = []
        for part, rest in zip(c.split(2048), left.split(2048), strict=True):
            own = (torch.einsum("nb,kmb->nkm", part, axes) - shift).square().cumsum(-1)
            whole = torch.stack([(part - mean).square().sum(1) for mean in self.mean], 1)
            none = torch.zeros_like(own[..., :1])
            given = torch.cat([none, own], -1)[..., sizes]
            errors = ((whole + rest[:, None])[..., None] - given).clamp(min=0) / n
            best = (errors + _FLOOR).log().sum(-1).argmin(1)
            found.append((best, errors[torch.arange(len(best)), best]))
        return torch.cat([b for b, _ in found]), torch.cat([e for _, e in found])

    def _coefficients_in_set(self, c: Tensor, chosen: Tensor) -> Tensor:
        """Coefficients of windows in their chosen sets."""
        all_sets = functional.linear(c, self.axes.float().flatten(0, 1)).view(len(c), self.config.experts, -1)
        shift = torch.einsum("kmb,kb->km", self.axes.float(), self.mean)
        return all_sets[torch.arange(len(c)), chosen] - shift[chosen]

    def _decode(self, code: Tensor, given: Tensor) -> Tensor:
        """Decode codes of which only some numbers are given."""
        given = given.expand_as(code)[:, 1:]
        chosen = code[:, 0].detach().round().long().clamp(0, self.config.experts - 1)
        group = functional.one_hot(chosen, self.config.experts).to(code.dtype)
        own = code[:, 1:] * given
        # rows that are zero outside the chosen set: one product for all sets
        rows = (group[:, :, None] * (own * self.spread[chosen])[:, None]).flatten(1)
        c = self.mean[chosen] + rows @ self.axes.float().flatten(0, 1)
        c = c + self.more_window(torch.cat([own.asinh(), given.to(code.dtype), group], 1)) * self.scale
        return (c @ self.basis.float()).view(-1, 1, *[self.config.window] * self.config.ndim)

    def _training_length(self, i: int) -> int:
        """Length of the beginning of the code that window `i` of a batch trains; for one window in four, any length."""
        if i % 4 < 3:
            return self.config.sizes[-1 - (i - i // 4) % len(self.config.sizes)]
        return round(self.latent ** ((i // 4 + 1) * 0.6180339887 % 1))  # multiples of the golden ratio spread evenly


def _compute_components(x: Tensor, weight: Tensor, centred: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean of rows (zero if not `centred`), variances of the components, and their directions (columns)."""
    mean = (x * weight[:, None]).sum(0) / weight.sum() if centred else torch.zeros_like(x[0])
    y = x - mean
    power, vectors = torch.linalg.eigh(((y * weight[:, None]).T @ y / weight.sum()).double())
    power, vectors = power.flip(0), vectors.flip(1)
    # makes the signs independent of the linear algebra library
    signs = vectors[vectors.abs().argmax(0), torch.arange(len(power))].sign()
    return mean, power.float(), (vectors * signs).float()


def _make_mlp(n_in: int, n_out: int, config: WindowAEConfig) -> nn.Sequential:
    """A perceptron whose last layer starts with zeros, so that it adds nothing before training."""
    layers: list[nn.Module] = [nn.Linear(n_in, config.width), nn.GELU()]
    for _ in range(config.depth - 1):
        layers += [nn.Linear(config.width, config.width), nn.GELU()]
    last = nn.Linear(config.width, n_out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def _make_cosines(n: int, ndim: int) -> Float[Tensor, "samples samples"]:
    """Orthonormal cosines of windows, from low to high frequency: the basis before `fit`."""
    one = torch.from_numpy(make_cosine_basis(n))
    if ndim == 1:
        return one.float()
    both = torch.einsum("ai,bj->abij", one, one).reshape(n * n, n * n)
    k = torch.arange(n)
    return both[torch.argsort((k[:, None] + k).flatten(), stable=True)].float()
