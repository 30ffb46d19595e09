"""Recipes for models with codes: autoencoders of windows of fields or records."""

from typing import Literal, Self

from pydantic import Field, model_validator

from geoae.training.recipe import AnyRecipe, LoopSection, Section, SplitSection


class CodeData(Section):
    """Training data below the folder given with --data: files of fields, or data sets of records."""

    files: tuple[str, ...] = ()
    """Names or patterns of files of fields; FILE:VARIABLE for one variable of a file."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are held out."""
    records: tuple[str, ...] = ()
    """Folders in SeisBench format, such as events and noise."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.files) == bool(self.records):
            raise ValueError("name files (of fields) or records (data sets in SeisBench format), one of the two")
        return self


class DrawSection(Section):
    """How windows are drawn; fractions are probabilities for each window."""

    n: int = Field(40_000, gt=0)
    """Training windows, all held in memory."""
    n_validation: int = Field(2000, gt=0)
    aligned: float = Field(0.4, ge=0, le=1)
    """For fields: fraction of windows at positions that encoding uses, side by side from the first point. Other windows
    lie anywhere and may be mirrored."""
    drawn: float = Field(0.0, ge=0, le=1)
    """For fields: fraction of windows from synthetic fields."""
    thinned: float = Field(0.15, ge=0, le=1)
    """Fraction of windows whose samples are means of two or four neighbouring samples along each axis."""


class CodeLoop(LoopSection):
    """The loop, and the loss: the mean over windows of the logarithm of the squared error."""

    floor: float = Field(0.005, gt=0)
    """Error relative to the standard deviation of the window; below it, a smaller error improves the loss little."""


class CodeRecipe(AnyRecipe):
    """One complete training of a model with codes."""

    kind: Literal["codes"]
    data: CodeData
    draw: DrawSection = DrawSection()
    split: SplitSection = SplitSection(modulus=10)
    """Stations with crc32(NET.STA) % modulus == remainder, and time slices of fields with index % modulus == remainder,
    validate and are never trained on."""
    optimize: CodeLoop
    units: str = ""
    """Units of the data that the model takes; empty: any."""
