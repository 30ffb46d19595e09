"""Recipes: what to train and how, fully, in plain data. Unknown keys are refused; nothing in a recipe can run code."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geoae import kinds
from geoae.errors import RecipeError
from geoae.files import yaml_files as settings


class Section(BaseModel):
    """Frozen, and a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetSection(Section):
    """The architecture."""

    name: str
    """A name that `geoae.nets.NETS` lists."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The settings of that net; what is left out takes the net's own default."""


class WindowSection(Section):
    """What the net sees at once, in samples at the model's rate."""

    length: int = Field(gt=0)
    """Window of inference; the crossfade between neighbours is length - stride."""
    stride: int = Field(gt=0)
    train_length: int = Field(ge=128)
    """Window of training, at least the longest frame of the loss; may be shorter, since the nets are convolutions."""
    multiple: int = Field(32, gt=0)
    """Windows of shorter records are padded to a multiple of this."""

    @model_validator(mode="after")
    def _no_sample_left_out(self) -> Self:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} is longer than length {self.length}: samples would never be seen")
        return self


class MixSection(Section):
    """How training windows are made; the fractions are probabilities for one window."""

    snr_db: tuple[float, float] = (-12.0, 25.0)
    """Range of 10 log10 of signal over noise power, in the 20 s from the P onset."""
    noise_only: float = Field(0.06, ge=0, le=1)
    clean_only: float = Field(0.05, ge=0, le=1)
    several_events: float = Field(0.25, ge=0, le=1)
    synthetic_events: float = Field(0.2, ge=0, le=1)
    time_stretch: float = Field(0.5, ge=0, le=1)
    distant: float = Field(0.06, ge=0, le=1)
    """Stretched 2 to 8 times: the slow, long shape of distant events."""
    response: float = Field(0.5, ge=0, le=1)
    band_pass: float = Field(0.5, ge=0, le=1)
    synthetic_noise: float = Field(0.2, ge=0, le=1)
    noise_pile_up: float = Field(0.2, ge=0, le=1)
    machinery: float = Field(0.1, ge=0, le=1)
    gusts: float = Field(0.2, ge=0, le=1)
    """Noise whose level wanders within the window."""
    footsteps: float = Field(0.03, ge=0, le=1)
    spikes: float = Field(0.08, ge=0, le=1)
    steps: float = Field(0.04, ge=0, le=1)
    gaps: float = Field(0.1, ge=0, le=1)
    quantised: float = Field(0.05, ge=0, le=1)
    low_rate: float = Field(0.12, ge=0, le=1)
    missing_component: float = Field(0.2, ge=0, le=1)
    min_event_snr_db: float = 15.0
    """Events below this are no targets: their own noise would be learnt as signal."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.snr_db[0] > self.snr_db[1]:
            raise ValueError(f"snr_db {list(self.snr_db)} must go from low to high")
        return self


class SplitSection(Section):
    """Stations with crc32(NET.STA) % modulus == remainder validate and are never trained on."""

    modulus: int = Field(4, ge=2)
    remainder: int = Field(0, ge=0)
    n_windows: int = Field(120, gt=0)
    """Validation mixtures, drawn once from `seed`."""

    @model_validator(mode="after")
    def _some_stations(self) -> Self:
        if self.remainder >= self.modulus:
            raise ValueError(f"remainder {self.remainder} must be below modulus {self.modulus}")
        return self


class LoopSection(Section):
    """The loop, whatever is learnt."""

    steps: int = Field(gt=0)
    batch: int = Field(16, gt=0)
    """Windows a step, over all processes together."""
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(1e-5, ge=0)
    warmup_steps: int = Field(300, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: Muon (Jordan et al., 2024) for the matrices of the net's blocks, AdamW for all else; one learning rate."""
    clip_norm: float = Field(5.0, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    """Of the averaged weights that are validated and shipped (Polyak & Juditsky, 1992, doi:10.1137/0330046)."""
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """auto: bfloat16 autocast on CUDA, and on CPUs with instructions for it."""
    validate_every: int = Field(500, gt=0)
    keep: Literal["best", "last"] = "best"
    """Which averaged weights become the model: those of the best validation, or of the last step. The last owe
    nothing to the validation stations, so scores on them are fair."""
    weights: Literal["float32", "float16"] = "float32"
    """What the weights of the model are rounded to; float16 takes half the space on disk. Nets compute in float32."""
    patience: int = Field(20, gt=0)
    """Validations without a better score after which training stops."""
    seed: int = 20251121


class OptimizeSection(LoopSection):
    """The loop, and the loss of a denoiser of records."""

    spectral_weight: float = Field(5.0, ge=0)
    """Weight of the error of short-time spectra in `losses.denoising_loss`; the first term is an error in dB."""
    onset_weight: float = Field(0.0, ge=0)
    """Weight of that error around onsets."""


class AnyRecipe(Section):
    """What every recipe holds. Its key `kind` names the kind of model; recipes of records have no such key."""

    name: str
    """Of the model that comes out."""
    summary: str
    net: NetSection
    optimize: LoopSection
    limits: str = ""
    """What the model is not for; goes onto its card."""


class Recipe(AnyRecipe):
    """One complete training of a denoiser of records."""

    start: str = ""
    """Shipped model, or the folder of one with the same net, whose weights training begins with; empty: none."""
    rate_hz: float = Field(100.0, gt=0)
    """Sampling rate that the net works at; readers' data are brought to it."""
    rate_range_hz: tuple[float, float] = (8.0, 1000.0)
    """Recordings outside this range are not for this model."""
    window: WindowSection
    mix: MixSection = MixSection()
    split: SplitSection = SplitSection()
    optimize: OptimizeSection

    @model_validator(mode="after")
    def _rate_in_range(self) -> Self:
        if not self.rate_range_hz[0] <= self.rate_hz <= self.rate_range_hz[1]:
            raise ValueError(f"rate_hz {self.rate_hz:g} must lie in rate_range_hz {list(self.rate_range_hz)}")
        return self


def kind_of(recipe: AnyRecipe) -> kinds.Kind:
    """The kind of model that a recipe makes."""
    return kinds.find(getattr(recipe, "kind", kinds.DEFAULT))


def load_recipe(path: Path) -> AnyRecipe:
    """Read a recipe.

    Raises
    ------
    RecipeError
        The file is missing, is no YAML, or holds an unknown key or a value out of range: all of them are named.
    """
    data = settings.read(path, "recipe")
    kind = data.get("kind", kinds.DEFAULT) if isinstance(data, dict) else kinds.DEFAULT
    if not isinstance(kind, str) or kind not in kinds.KINDS:
        raise RecipeError(f"{path.name} is no recipe: kind is {kind!r}; choose one of {', '.join(kinds.KINDS)}.")
    recipe: type[AnyRecipe] = kinds.resolve(kinds.KINDS[kind].recipe)
    return settings.checked(recipe, data, path, "recipe")
