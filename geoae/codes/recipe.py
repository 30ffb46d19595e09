"""Recipes for models with codes: autoencoders of windows of fields or of records."""

from typing import Literal, Self

from pydantic import Field, model_validator

from geoae.training.recipe import AnyRecipe, LoopSection, Section, SplitSection


class CodeData(Section):
    """What is learnt from, below the folder given with --data: files of fields, or sets of records."""

    files: tuple[str, ...] = ()
    """Names or patterns of files of fields; FILE:VARIABLE for one variable of a file."""
    exclude: tuple[str, ...] = ()
    """Patterns of what is held out."""
    records: tuple[str, ...] = ()
    """Folders in the SeisBench form, such as events and noise."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.files) == bool(self.records):
            raise ValueError("name files (of fields) or records (sets in the SeisBench form), one of the two")
        return self


class DrawSection(Section):
    """How windows are drawn; the fractions are probabilities for one window."""

    n: int = Field(40_000, gt=0)
    """Training windows, all held in memory."""
    n_validation: int = Field(2000, gt=0)
    aligned: float = Field(0.4, ge=0, le=1)
    """Of fields: where windows lie when a field is encoded, side by side from its first point; others lie anywhere, and
    may be mirrored."""
    drawn: float = Field(0.0, ge=0, le=1)
    """Of fields: drawn, not read."""
    thinned: float = Field(0.15, ge=0, le=1)
    """Means of two or four samples in a row (along each axis) make one."""


class CodeLoop(LoopSection):
    """The loop, and the loss: the mean over windows of the logarithm of the squared error."""

    floor: float = Field(0.005, gt=0)
    """Error, as a part of the window's standard deviation, below which less counts little."""


class CodeRecipe(AnyRecipe):
    """One complete training of a model with codes."""

    kind: Literal["codes"]
    data: CodeData
    draw: DrawSection = DrawSection()
    split: SplitSection = SplitSection(modulus=10)
    """Stations of records with crc32(NET.STA) % modulus == remainder, and slices of fields whose number in time leaves
    that remainder, validate and are never trained on."""
    optimize: CodeLoop
    units: str = ""
    """Units of the data that the model is for; empty: any."""
