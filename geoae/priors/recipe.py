"""Recipes for priors: variational autoencoders of an array of models, or of models cut out of one large image."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from geoae.training.recipe import AnyRecipe, LoopSection, Section


class PriorData(Section):
    """Training data below the folder given with --data."""

    models: str = ""
    """FILE:NAME of an array (n, *cells) in an npz file, or of a variable of a netCDF file or zarr store."""
    image: str = ""
    """FILE:NAME of one large image from which models of `shape` are cut at random."""
    shape: tuple[int, ...] = ()
    exclude: tuple[tuple[int, ...], ...] = ()
    """First corners (row, column) of parts of the image, of this shape, that no training model touches."""
    sensitivity: str = ""
    """FILE:NAME of an array (data, cells): derivative of data by model, divided by the data's sigma."""
    invert: bool = False
    """For an image between 0 and 1: use one minus the image."""
    mirror: tuple[int, ...] = ()
    """Axes along which training models are reversed at random, if reversed models are as likely as they are: [0, 1] for
    meandering channels, which gives four times as many models from one image."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.models) == bool(self.image):
            raise ValueError("name models or an image, one of the two")
        if self.image and len(self.shape) not in (1, 2):
            raise ValueError("an image needs the shape of the models cut out of it, such as [64, 64]")
        return self


class HoldOut(Section):
    """Models that are held out from training: whole blocks of them, or a strip of the image."""

    share: float = Field(0.1, gt=0, lt=1)
    by: tuple[str, ...] = ()
    """Names of coordinate arrays (n,) in the same file, such as [lat, lon]: models of one block are held out together.
    Empty: runs of neighbouring models are."""
    block: float = Field(10.0, gt=0)
    """Size of a block, in the units of the coordinates."""
    n: int = Field(200, ge=2)
    """Largest number of held-out models for validation and for the model folder."""


class PriorLoop(LoopSection):
    """The training loop and the weights of the evidence lower bound."""

    beta: float = Field(1.0, ge=0)
    """Weight of the KL term (Higgins et al., 2017)."""
    anneal_steps: int = Field(0, ge=0)
    """Steps over which the weight rises from 0."""
    free_bits: float = Field(0.0, ge=0)
    """KL of each code element, in nat, below which it is not minimised."""
    data_weight: float = Field(0.0, ge=0)
    """Weight of the misfit of linearised data, which are computed with `sensitivity`."""


class PriorRecipe(AnyRecipe):
    """One complete training of a prior."""

    kind: Literal["prior"]
    data: PriorData
    hold_out: HoldOut = HoldOut()
    transform: str | dict[str, Any] = "affine"
    """affine, log, logit, normal-score, or a dict with that as `kind` and its settings."""
    units: str = ""
    optimize: PriorLoop
    max_grey: float = Field(0.1, gt=0, le=1)
    """For a bernoulli prior: largest share of grey cells (0.1 to 0.9) in drawn models, reached by sharpening."""
