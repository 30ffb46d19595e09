"""Recipes: a complete description of a training as plain data. Unknown keys are errors; a recipe cannot run code."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geoae import kinds
from geoae.errors import RecipeError
from geoae.files.yaml_files import read_yaml, validate_yaml


class Section(BaseModel):
    """A section of a recipe: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetSection(Section):
    """The architecture of the net."""

    name: str
    """Name of a net, as in `geoae.nets.NETS`."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings of the net; the others have their default values."""


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
    """Settings of the training loop."""

    steps: int = Field(gt=0)
    batch: int = Field(16, gt=0)
    """Windows in one step, over all processes."""
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(1e-5, ge=0)
    warmup_steps: int = Field(300, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: Muon (Jordan et al., 2024) for the matrices in the blocks of the net, AdamW for the rest."""
    clip_norm: float = Field(5.0, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights, which are validated and saved (Polyak & Juditsky, 1992, doi:10.1137/0330046)."""
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """auto: bfloat16 autocast on CUDA and on CPUs with bfloat16 instructions, else float32."""
    validate_every: int = Field(500, gt=0)
    keep: Literal["best", "last"] = "best"
    """Averaged weights that become the model: those of the best validation, or of the last step. The last do not depend
    on the validation stations, so that scores on these stations are fair."""
    weights: Literal["float32", "float16"] = "float32"
    """Precision of the saved weights; float16 takes half the space on disk. Nets compute in float32."""
    patience: int = Field(20, gt=0)
    """Validations without a better score after which training stops."""
    seed: int = 20251121


class AnyRecipe(Section):
    """Sections that all recipes share. The key `kind` names the kind of model; recipes of records do not have it."""

    name: str
    """Name of the trained model."""
    summary: str
    net: NetSection
    optimize: LoopSection
    limits: str = ""
    """Limits of the model, for its card."""


def find_recipe_kind(recipe: AnyRecipe) -> kinds.Kind:
    """Find the kind of model that a recipe trains."""
    # recipes of records have no field `kind`: provenance in model.json must not change
    return kinds.find_kind(getattr(recipe, "kind", kinds.DEFAULT))


def load_recipe(path: Path) -> AnyRecipe:
    """Read a recipe.

    Raises
    ------
    RecipeError
        The file is missing, is not YAML, or has unknown keys or values out of range, which are all listed.
    """
    data = read_yaml(path, "recipe")
    kind = data.get("kind", kinds.DEFAULT) if isinstance(data, dict) else kinds.DEFAULT
    if not isinstance(kind, str) or kind not in kinds.KINDS:
        raise RecipeError(f"{path.name} is no recipe: kind is {kind!r}; choose one of {', '.join(kinds.KINDS)}.")
    recipe: type[AnyRecipe] = kinds.load_name(kinds.KINDS[kind].recipe)
    return validate_yaml(recipe, data, path, "recipe")
