"""The recipe of a denoiser of fields: trained on clean fields, ensemble members, or noisy fields alone."""

from typing import Literal, Self

from pydantic import Field, model_validator

from geoae.arrays.neighbours import ZOOM
from geoae.nets import has_one_window_size
from geoae.training.recipe import AnyRecipe, Section


class FieldData(Section):
    """Files of the data folder."""

    files: tuple[str, ...] = ()
    """Names or patterns, relative to the folder of --data; FILE:VARIABLE for one variable of a file."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are left out."""
    noise: tuple[str, ...] = ()
    """Files that contain only noise, such as differences of neighbouring orbits; see `mix.recorded_noise`."""
    validation: tuple[str, ...] = ()
    """Files for validation only; empty: validation windows are other draws of the training data."""


class FieldWindow(Section):
    """Windows of the net, in grid points along both dimensions, and its neighbours in time, in slices."""

    length: int = Field(gt=0)
    """Window of inference; neighbouring windows overlap by length - stride."""
    stride: int = Field(gt=0)
    train_length: int = Field(64, ge=16)
    """Window of training."""
    multiple: int = Field(8, gt=0)
    """Windows of smaller grids are padded to a multiple of this number of points."""
    near: int = Field(2, ge=0)
    far: int = Field(16, ge=0)
    """The net also sees the means over `near` and over `far` slices before and after the denoised one."""
    enough: int = Field(0, ge=0)
    """Grids with fewer points along a side are interpolated, four times as dense, for the net."""
    overview: int = Field(0, ge=0)
    """Points along a side of the blocks averaged in overviews of slices without neighbours in time; 0: no overview."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} is longer than length {self.length}: points would be skipped")
        if self.near > self.far:
            raise ValueError(f"near {self.near} must not exceed far {self.far}")
        if self.train_length % self.multiple or self.length % self.multiple:
            raise ValueError(f"length and train_length must be multiples of {self.multiple}")
        if self.enough and any(n % ZOOM for n in (self.length, self.stride, self.multiple)):
            raise ValueError(f"with enough, length, stride and multiple must be multiples of {ZOOM}")
        return self


class FieldMix(Section):
    """How training windows are made; the fractions are probabilities for one window."""

    target: Literal["clean", "members", "blind-spot"] = "clean"
    """clean: the files hold clean fields; noise is added. members: each file is a noisy member of one ensemble, and
    another member is the target (Noise2Noise, Lehtinen et al., 2018, arXiv:1803.04189). blind-spot: the files are
    noisy, and the net predicts hidden points from the others (Noise2Void, Krull et al., 2019, arXiv:1811.10980)."""
    noise_level: tuple[float, float] = (0.01, 10.0)
    """Range of the noise level, in standard deviations of the window; uniform in its logarithm."""
    recorded_noise: float = Field(0.5, ge=0, le=1)
    """Noise from the files of `data.noise`, if there are any, instead of simulated noise."""
    drawn: float = Field(0.5, ge=0, le=1)
    """Synthetic fields instead of fields of the files; with 1, no files are needed."""
    added: float = Field(0.25, ge=0, le=1)
    """A synthetic field added to a field of the files; for members, a slow change in time that all members share."""
    zoomed: float = Field(0.5, ge=0, le=1)
    """Enlarged up to `largest_zoom` times, or thinned by two."""
    largest_zoom: float = Field(3.0, ge=1)
    """Largest factor of `zoomed`."""
    turned: float = Field(0.75, ge=0, le=1)
    """Mirrored or transposed; use 0 if the net should learn places on the grid."""
    alone: float = Field(0.35, ge=0, le=1)
    """Without neighbours in time."""
    unrelated: float = Field(0.08, ge=0, le=1)
    """With neighbours in time that are unrelated to the slice."""
    wide: float = Field(0.0, ge=0, le=1)
    """Cut from fields up to `window.overview` windows wide, with the noise of their overviews."""
    overview: str = ""
    """Shipped model, or folder of a model, that predicts the noise of overviews."""
    missing: float = Field(0.45, ge=0, le=1)
    """With missing points, such as clouds and coasts."""
    small: float = Field(0.1, ge=0, le=1)
    """Grids smaller than the window, often coarsened."""
    small_noise: float = Field(1.0, gt=0)
    """Largest noise level on small grids, in standard deviations; more noise would hide a field of so few points."""
    small_noiseless: float = Field(0.2, ge=0, le=1)
    """Small grids without noise; `noiseless` if that is larger."""
    noiseless: float = Field(0.02, ge=0, le=1)
    """Without noise."""
    hidden: float = Field(0.02, gt=0, lt=0.5)
    """Fraction of hidden points in a blind-spot window."""

    @model_validator(mode="after")
    def _check_noise_level(self) -> Self:
        if not 0 < self.noise_level[0] <= self.noise_level[1]:
            raise ValueError(f"noise_level {list(self.noise_level)} must go from low to high, above 0")
        return self


class FieldRecipe(AnyRecipe):
    """One complete training of a denoiser of fields."""

    kind: Literal["field"]
    start: str = ""
    """Shipped model, or folder of a model with the same net, whose weights are the start; empty: random weights."""
    units: str = ""
    """Units of the fields that the model takes; empty: any."""
    dims: tuple[str, ...] = ()
    """Names of the horizontal dimensions that the model takes; empty: any."""
    data: FieldData = FieldData()
    window: FieldWindow
    mix: FieldMix = FieldMix()
    n_validation: int = Field(160, gt=0)
    """Number of validation windows."""

    @model_validator(mode="after")
    def _check_window_size(self) -> Self:
        w = self.window
        if has_one_window_size(self.net.name) and not w.length == w.train_length == w.multiple:
            raise ValueError(
                f"{self.net.name} takes windows of one size; window.length, train_length and multiple "
                f"are {w.length}, {w.train_length} and {w.multiple}: make them the same"
            )
        return self

    @model_validator(mode="after")
    def _check_overview(self) -> Self:
        if self.mix.wide and not (self.window.overview > 1 and self.mix.overview and self.mix.target == "clean"):
            raise ValueError(
                "mix.wide needs window.overview of 2 or more, a model mix.overview, and mix.target clean; they are "
                f"{self.window.overview}, {self.mix.overview!r} and {self.mix.target}"
            )
        return self

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if not self.data.files and self.mix.drawn < 1:
            raise ValueError("data.files is empty; name files, or draw all fields: mix.drawn: 1")
        if self.mix.target != "clean" and not self.data.files:
            raise ValueError(f"mix.target {self.mix.target} needs data.files")
        if self.mix.target != "clean" and self.data.noise:
            raise ValueError(f"mix.target {self.mix.target} adds no noise; leave data.noise out")
        return self
