"""Recipes for priors: variational autoencoders of models, given one by one or cut out of one large image."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from geoae.training.recipe import AnyRecipe, LoopSection, Section


class PriorData(Section):
    """What is learnt from, below the folder given with --data."""

    models: str = ""
    """FILE:NAME of an array (n, *cells) in an npz file, or of a variable of a netCDF file or zarr store."""
    image: str = ""
    """FILE:NAME of one large image, out of which models of `shape` are cut at random."""
    shape: tuple[int, ...] = ()
    exclude: tuple[tuple[int, ...], ...] = ()
    """First corners (row, column) in the image of parts of that shape that no training model may touch."""
    sensitivity: str = ""
    """FILE:NAME of an array (data, cells): derivative of data by model, divided by the data's sigma."""
    invert: bool = False
    """Of an image between 0 and 1: take one minus it."""
    mirror: tuple[int, ...] = ()
    """Axes of a model along which models turned around are as likely as they are, such as [0, 1] for channels that
    meander: one image then says four times as much."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.models) == bool(self.image):
            raise ValueError("name models or an image, one of the two")
        if self.image and len(self.shape) not in (1, 2):
            raise ValueError("an image needs the shape of the models cut out of it, such as [64, 64]")
        return self


class HoldOut(Section):
    """Models that are never trained on: whole blocks of them, or a region of the image."""

    share: float = Field(0.1, gt=0, lt=1)
    by: tuple[str, ...] = ()
    """Names of arrays (n,) in the same file, such as [lat, lon]; models whose coordinates lie in one block stay
    together. Without, runs of neighbouring models do."""
    block: float = Field(10.0, gt=0)
    """Size of a block, in the units of the coordinates."""
    n: int = Field(200, ge=2)
    """How many of them at most validate, and go into the model folder."""


class PriorLoop(LoopSection):
    """The loop, and the evidence lower bound."""

    beta: float = Field(1.0, ge=0)
    """Weight of the KL term (Higgins et al., 2017)."""
    anneal_steps: int = Field(0, ge=0)
    """Steps over which the weight rises from 0."""
    free_bits: float = Field(0.0, ge=0)
    """KL of each number of a code, nat, below which nothing is gained."""
    data_weight: float = Field(0.0, ge=0)
    """Weight of the misfit in what `sensitivity` says that data see."""


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
    """Of a bernoulli prior: share of cells of drawn models between 0.1 and 0.9; the decoder is sharpened down to it."""
