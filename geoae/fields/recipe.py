"""Recipes for denoisers of fields: from clean fields, from members of an ensemble, or from noisy fields alone."""

from typing import Literal, Self

from pydantic import Field, model_validator

from geoae.arrays.neighbours import FINER
from geoae.nets import has_one_window_size
from geoae.training.recipe import AnyRecipe, Section


class FieldData(Section):
    """Which files of the data folder."""

    files: tuple[str, ...] = ()
    """Names or patterns, below the folder given with --data; FILE:VARIABLE for one variable of a file."""
    exclude: tuple[str, ...] = ()
    """Patterns of what is held out."""
    noise: tuple[str, ...] = ()
    """Files that hold noise alone, such as differences of neighbouring orbits; used besides simulated noise."""
    validation: tuple[str, ...] = ()
    """Files that validate and are never trained on; none: validation fields are drawn."""


class FieldWindow(Section):
    """What the net sees at once, in grid points along either dimension, and slices along time."""

    length: int = Field(gt=0)
    """Window of inference; the crossfade between neighbours is length - stride."""
    stride: int = Field(gt=0)
    train_length: int = Field(64, ge=16)
    multiple: int = Field(8, gt=0)
    """Windows of smaller grids are padded to a multiple of this."""
    near: int = Field(2, ge=0)
    far: int = Field(16, ge=0)
    """Slices before and after whose means the net sees."""
    enough: int = Field(0, ge=0)
    """Grids with fewer points along a side are interpolated, four times as dense, before the net sees them."""
    overview: int = Field(0, ge=0)
    """Points along a side that are averaged to one in overviews of slices without neighbours; 0: no overviews."""

    @model_validator(mode="after")
    def _no_point_left_out(self) -> Self:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} is longer than length {self.length}: points would never be seen")
        if self.near > self.far:
            raise ValueError(f"near {self.near} must not exceed far {self.far}")
        if self.train_length % self.multiple or self.length % self.multiple:
            raise ValueError(f"length and train_length must be multiples of {self.multiple}")
        if self.enough and any(n % FINER for n in (self.length, self.stride, self.multiple)):
            raise ValueError(f"with enough, length, stride and multiple must be multiples of {FINER}")
        return self


class FieldMix(Section):
    """How training windows are made; the fractions are probabilities for one window."""

    target: Literal["clean", "members", "blind-spot"] = "clean"
    """clean: the files hold clean fields, to which simulated noise is added. members: each file is a noisy member of
    one ensemble, and another member is the target (Noise2Noise, Lehtinen et al., 2018, arXiv:1803.04189). blind-spot:
    the files are noisy; points are hidden and have to be told from the others (Noise2Void, Krull et al., 2019,
    arXiv:1811.10980)."""
    noise_level: tuple[float, float] = (0.01, 10.0)
    """Of simulated noise, in standard deviations of the window; drawn evenly in its logarithm."""
    recorded_noise: float = Field(0.5, ge=0, le=1)
    """Where `data.noise` names files: noise out of them instead of simulated noise."""
    drawn: float = Field(0.5, ge=0, le=1)
    """Fields that are drawn, not read; 1 needs no data."""
    added: float = Field(0.25, ge=0, le=1)
    """A drawn field on one that was read; on members a slow change in time that all of them share."""
    zoomed: float = Field(0.5, ge=0, le=1)
    """Enlarged up to `largest_zoom` times, or thinned by two."""
    largest_zoom: float = Field(3.0, ge=1)
    turned: float = Field(0.75, ge=0, le=1)
    """Mirrored or transposed; none where a place on the grid is to be learnt."""
    alone: float = Field(0.35, ge=0, le=1)
    """Without neighbours in time."""
    unrelated: float = Field(0.08, ge=0, le=1)
    """With neighbours that have nothing to do with the slice."""
    wide: float = Field(0.0, ge=0, le=1)
    """Cut out of fields up to `window.overview` windows wide, beside what overviews of these show."""
    overview: str = ""
    """Shipped model, or the folder of one, that finds the noise of overviews."""
    missing: float = Field(0.45, ge=0, le=1)
    small: float = Field(0.1, ge=0, le=1)
    """Grids smaller than the window, often coarse: of every few points, or of means."""
    small_noise: float = Field(1.0, gt=0)
    """Most noise on them, in standard deviations; under more of it none could tell a field of so few points."""
    small_noiseless: float = Field(0.2, ge=0, le=1)
    """Of them are without noise, or `noiseless` where that is more."""
    noiseless: float = Field(0.02, ge=0, le=1)
    hidden: float = Field(0.02, gt=0, lt=0.5)
    """Share of points that a blind-spot window hides."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.noise_level[0] <= self.noise_level[1]:
            raise ValueError(f"noise_level {list(self.noise_level)} must go from low to high, above 0")
        return self


class FieldRecipe(AnyRecipe):
    """One complete training of a denoiser of fields."""

    kind: Literal["field"]
    start: str = ""
    """Shipped model, or the folder of one with the same net, whose weights training begins with; empty: none."""
    units: str = ""
    """Units of the fields that the model is for; empty: any."""
    dims: tuple[str, ...] = ()
    """Horizontal dimensions that the model is for; none: any."""
    data: FieldData = FieldData()
    window: FieldWindow
    mix: FieldMix = FieldMix()
    n_validation: int = Field(160, gt=0)
    """Validation windows, drawn once."""

    @model_validator(mode="after")
    def _windows_of_one_size(self) -> Self:
        w = self.window
        if has_one_window_size(self.net.name) and not w.length == w.train_length == w.multiple:
            raise ValueError(
                f"{self.net.name} knows the spectra of windows of one size; window.length, train_length and multiple "
                f"are {w.length}, {w.train_length} and {w.multiple}: make them the same"
            )
        return self

    @model_validator(mode="after")
    def _somebody_to_look(self) -> Self:
        if self.mix.wide and not (self.window.overview > 1 and self.mix.overview and self.mix.target == "clean"):
            raise ValueError(
                "mix.wide needs window.overview of 2 or more, a model mix.overview, and mix.target clean; they are "
                f"{self.window.overview}, {self.mix.overview!r} and {self.mix.target}"
            )
        return self

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        if not self.data.files and self.mix.drawn < 1:
            raise ValueError("data.files is empty; name files, or draw all fields: mix.drawn: 1")
        if self.mix.target != "clean" and not self.data.files:
            raise ValueError(f"mix.target {self.mix.target} needs data.files")
        if self.mix.target != "clean" and self.data.noise:
            raise ValueError(f"mix.target {self.mix.target} adds no noise; leave data.noise out")
        return self
