"""The options of `geoae.fit`, and the recipe of a prior that follows from them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.numbers import require_seed
from geoae.arrays.transforms import Transform
from geoae.errors import InputError
from geoae.priors.data import PriorModels
from geoae.priors.recipe import PriorRecipe

NETS = ("vae", "pca")
N_LATENT = 20
"""Default length of a code; half as many codes as training models, and as many as cells, if these are fewer."""
LIKELIHOODS = ("auto", "gaussian", "learned", "bernoulli")
MOST_DENSE = 20000
"""Largest models, in cells, that get dense layers, which reach smaller errors than convolutions in the same time."""


@dataclass(frozen=True)
class FitOptions:
    """How `geoae.fit` makes a prior. Values are checked; a wrong one raises InputError."""

    latent: int | None = None
    """Length of a code; None: `N_LATENT`, or less for few or small models."""
    transform: str | dict[str, Any] | Transform = "affine"
    """Transform of values before the net: see `geoae.arrays.transforms.fit_transform`."""
    likelihood: str = "auto"
    """gaussian, learned or bernoulli; auto: bernoulli if models have two values only, else gaussian."""
    net: str = "vae"
    """vae: a variational autoencoder; pca: principal components."""
    shape: tuple[int, ...] | None = None
    """Cells of models that are cut out of one image; None: the data are an array of models."""
    exclude: tuple[tuple[int, ...], ...] = ()
    """First corners (row, column) of parts of the image, of this shape, that no training model touches."""
    mirror: tuple[int, ...] = ()
    """Axes of a model along which half of the training models are reversed."""
    hold_out: float = 0.1
    """Share held out from training: of groups, or of the width of the image."""
    block: float = 10.0
    """Size of the blocks into which coordinates are divided, in their units."""
    data_weight: float = 1.0
    """Weight of the data misfit in the loss, if a sensitivity is given."""
    beta: float = 1.0
    """Weight of the KL term."""
    free_bits: float = 0.0
    """KL of each code element, in nat, below which it is not minimised."""
    noise: float = 0.05
    """Standard deviation of a gaussian likelihood, relative to that of the models."""
    steps: int | None = None
    """Largest number of training steps; None: 4000 for one-dimensional models, 1500 for two-dimensional ones."""
    batch: int = 64
    """Models in one training step."""
    patience: int = 8
    """Validations without a better score after which training ends."""
    config: dict[str, Any] | None = None
    """Further settings of the net."""
    units: str | None = None
    """Units of the values; None: the attribute `units` of a DataArray."""
    name: str = "prior"
    """Name of the prior."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "cpu"
    """auto, cpu, cuda or mps."""
    threads: int | None = None
    """CPU threads; None: all cores of this process, at most 8."""

    def __post_init__(self) -> None:
        latent, steps, threads = (1 if value is None else value for value in (self.latent, self.steps, self.threads))
        for key, value in (("latent", latent), ("batch", self.batch), ("patience", self.patience),
                           ("steps", steps), ("threads", threads)):  # fmt: skip
            if not isinstance(value, int | np.integer) or value < 1:
                raise InputError(f"{key} is {value!r}; give a whole number of at least 1.")
        require_seed(self.seed)
        if not isinstance(self.hold_out, float | int | np.number) or not 0 < self.hold_out < 1:
            raise InputError(f"hold_out is {self.hold_out!r}; it is a share between 0 and 1, such as 0.1.")
        if self.net not in NETS:
            raise InputError(f'net is {self.net!r}; choose "vae" or "pca".')
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"likelihood is {self.likelihood!r}; choose one of {', '.join(LIKELIHOODS)}.")

    def choose_latent(self, data: PriorModels) -> int:
        """Return the length of a code for these models: the option, or its default.

        Raises
        ------
        InputError
            Models have fewer cells, or there are not more training models.
        """
        cells, n_training = int(np.prod(data.shape)), len(data.sample)
        if self.latent is None:
            return max(min(N_LATENT, n_training // 2, cells), 1)
        if self.latent > cells:
            raise InputError(f"latent is {self.latent}; a model has {cells} cells. Give a smaller latent.")
        if self.latent >= n_training:
            raise InputError(
                f"{n_training} training models are too few for {self.latent} codes ({len(data.held_out)} more are held "
                "out): give more models than codes, or a smaller latent."
            )
        return int(self.latent)

    def make_recipe(self, data: PriorModels, source: str, units: str, has_sensitivity: bool) -> PriorRecipe:
        """Make the recipe of a variational autoencoder for these models.

        Parameters
        ----------
        data
            Training and held-out models.
        source
            Name of the models in the recipe; different names keep the checkpoints of different models apart.
        units
            Units of the values.
        has_sensitivity
            Whether a sensitivity is given.
        """
        latent, likelihood = self.choose_latent(data), self.likelihood
        if likelihood == "auto":
            likelihood = "bernoulli" if has_two_values(data.sample) else "gaussian"
        ndim = len(data.shape)
        optimize = {"steps": self.steps or (1500 if ndim == 2 else 4000), "batch": self.batch,
                    # on wide layers, Muon takes longer than the rest of a step
                    "optimizer": "muon" if ndim == 1 else "adamw",
                    "learning_rate": 2e-3, "final_learning_rate": 2e-5, "warmup_steps": 50, "ema_decay": 0.98,
                    "validate_every": 100, "patience": self.patience, "seed": self.seed, "beta": self.beta,
                    "free_bits": self.free_bits, "anneal_steps": 200,
                    "data_weight": self.data_weight if has_sensitivity else 0.0,
                    "precision": "auto" if likelihood == "bernoulli" else "float32"}  # fmt: skip
        sizes = choose_net_sizes(data.shape, latent, likelihood, self.noise) | (self.config or {})
        return PriorRecipe.model_validate({
            "kind": "prior", "name": self.name, "summary": f"{ndim}-D models as {latent} codes.", "units": units,
            "transform": self.transform if not isinstance(self.transform, Transform) else "affine",
            "data": {"image": source, "shape": data.shape} if self.shape is not None else {"models": source},
            "net": {"name": "vae", "config": sizes}, "optimize": optimize})  # fmt: skip


def has_two_values(models: Any) -> bool:
    """Whether all finite values of an array equal its minimum or its maximum."""
    values = models[np.isfinite(models)]
    return bool(((values == values.min()) | (values == values.max())).all())


def choose_net_sizes(shape: tuple[int, ...], latent: int, likelihood: str, noise: float) -> dict[str, Any]:
    """Choose the settings of the net for models of a shape: dense, or a coarsest grid of about ten points a side."""
    levels = max(int(np.log2(max(max(shape) / 16, 1))), 0)
    if len(shape) == 1:
        widths, patch, hidden = [32, 16][: levels + 1], 1, 256
    else:
        widths, patch, hidden = [48, 24, 12][: min(levels, 3)] or [24], 2 if min(shape) > 8 else 1, 512
    return {"ndim": len(shape), "shape": list(shape), "latent": latent, "likelihood": likelihood, "noise": noise,
            "hidden": hidden, "depth": 3, "widths": widths, "patch": patch,
            "layers": "dense" if np.prod(shape) <= MOST_DENSE else "convolutions"}  # fmt: skip
