"""What `geoae.fit` can be asked for, and the recipe of a prior that follows from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.transforms import Transform
from geoae.errors import InputError
from geoae.priors.data import PriorModels
from geoae.priors.recipe import PriorRecipe

NETS = ("vae", "pca")
LIKELIHOODS = ("auto", "gaussian", "learned", "bernoulli")
MOST_DENSE = 20000
"""Cells up to which layers see all of them at once: nearer for the same time of training than convolutions."""


@dataclass(frozen=True)
class FitOptions:
    """How a prior is made of models. Checked when it is built; an InputError says what is wrong."""

    latent: int = 20
    """Numbers of a code."""
    transform: str | dict[str, Any] | Transform = "affine"
    """Of values before the net: see `geoae.arrays.transforms.fit_transform`."""
    likelihood: str = "auto"
    """gaussian, learned, bernoulli; auto: bernoulli where models have two values only, else gaussian."""
    net: str = "vae"
    """vae, or pca for principal components."""
    shape: tuple[int, ...] | None = None
    """Cells of a model, to be cut out of one image; None: models are given one by one."""
    exclude: tuple[tuple[int, ...], ...] = ()
    """First corners (row, column) of parts of the image that no model may touch."""
    mirror: tuple[int, ...] = ()
    """Axes of a model along which half of the training models are turned around."""
    hold_out: float = 0.1
    """Share kept out of training: of groups, or of an image's width."""
    block: float = 10.0
    """Size of the blocks that coordinates are divided into, in their units."""
    data_weight: float = 1.0
    """Weight of the misfit in what data see, where a sensitivity is given."""
    beta: float = 1.0
    """Weight of the KL term."""
    free_bits: float = 0.0
    """KL of each number of a code, nat, below which it does not count."""
    noise: float = 0.05
    """Standard deviation of a gaussian likelihood, in units of the models' own."""
    steps: int | None = None
    """Of training, at most; None: 4000 for one-dimensional models, 1500 for two-dimensional ones."""
    batch: int = 64
    """Models a step."""
    patience: int = 8
    """Validations after the best one at which training ends."""
    config: dict[str, Any] | None = None
    """Further settings of the net."""
    units: str | None = None
    """Of the values; None: as the attribute of a DataArray says."""
    name: str = "prior"
    """Of the prior."""
    seed: int = 0
    """Of everything that is drawn."""
    device: str = "cpu"
    """auto, cpu, cuda or mps."""
    threads: int | None = None
    """CPU threads; None: all that this process may use, at most 8."""

    def __post_init__(self) -> None:
        steps, threads = (1 if value is None else value for value in (self.steps, self.threads))
        for key, value in (("latent", self.latent), ("batch", self.batch), ("patience", self.patience),
                           ("steps", steps), ("threads", threads)):  # fmt: skip
            if value < 1:
                raise InputError(f"{key} is {value}; it must be at least 1.")
        if not 0 < self.hold_out < 1:
            raise InputError(f"hold_out is {self.hold_out:g}; it is a share between 0 and 1, such as 0.1.")
        if self.net not in NETS:
            raise InputError(f'net is {self.net!r}; choose "vae" or "pca".')
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"likelihood is {self.likelihood!r}; choose one of {', '.join(LIKELIHOODS)}.")

    def recipe(self, data: PriorModels, source: str, units: str, sees: bool) -> PriorRecipe:
        """The recipe of a variational autoencoder of these models.

        Parameters
        ----------
        data
            Training and held-out models.
        source
            What the recipe calls the models; another name for other models keeps their checkpoints apart.
        units
            Of the values.
        sees
            Whether a sensitivity is given.
        """
        likelihood = self.likelihood
        if likelihood == "auto":
            likelihood = "bernoulli" if has_two_values(data.some) else "gaussian"
        ndim = len(data.shape)
        optimize = {"steps": self.steps or (1500 if ndim == 2 else 4000), "batch": self.batch,
                    # on wide layers a step of Muon takes longer than all the rest
                    "optimizer": "muon" if ndim == 1 else "adamw",
                    "learning_rate": 2e-3, "final_learning_rate": 2e-5, "warmup_steps": 50, "ema_decay": 0.98,
                    "validate_every": 100, "patience": self.patience, "seed": self.seed, "beta": self.beta,
                    "free_bits": self.free_bits, "anneal_steps": 200, "data_weight": self.data_weight if sees else 0.0,
                    "precision": "auto" if likelihood == "bernoulli" else "float32"}  # fmt: skip
        sizes = choose_net_sizes(data.shape, self.latent, likelihood, self.noise) | (self.config or {})
        return PriorRecipe.model_validate({
            "kind": "prior", "name": self.name, "summary": f"{ndim}-D models as {self.latent} codes.", "units": units,
            "transform": self.transform if not isinstance(self.transform, Transform) else "affine",
            "data": {"image": source, "shape": data.shape} if self.shape is not None else {"models": source},
            "net": {"name": "vae", "config": sizes}, "optimize": optimize})  # fmt: skip


def has_two_values(models: Any) -> bool:
    """Whether all finite values of an array are its smallest or its largest."""
    found = models[np.isfinite(models)]
    return bool(((found == found.min()) | (found == found.max())).all())


def choose_net_sizes(shape: tuple[int, ...], latent: int, likelihood: str, noise: float) -> dict[str, Any]:
    """Settings of the net for models of a shape: dense, or with a coarsest grid of about ten points a side."""
    levels = max(int(np.log2(max(max(shape) / 16, 1))), 0)
    if len(shape) == 1:
        widths, patch, hidden = [32, 16][: levels + 1], 1, 256
    else:
        widths, patch, hidden = [48, 24, 12][: min(levels, 3)] or [24], 2 if min(shape) > 8 else 1, 512
    return {"ndim": len(shape), "shape": list(shape), "latent": latent, "likelihood": likelihood, "noise": noise,
            "hidden": hidden, "depth": 3, "widths": widths, "patch": patch,
            "layers": "dense" if np.prod(shape) <= MOST_DENSE else "convolutions"}  # fmt: skip
