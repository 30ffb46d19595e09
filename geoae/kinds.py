"""The one table of the kinds of model that geoae knows.

Code that treats kinds differently looks up in this table what belongs to a kind. The table holds strings of the form
"module:name", so importing it imports no kind. To add a kind, add an entry to `KINDS` and write what the entry names.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from geoae.errors import UnknownNameError

DEFAULT = "record"
"""The kind of model files and recipes without a key `kind`, which are older than the other kinds."""


@dataclass(frozen=True)
class Kind:
    """What belongs to one kind of model. Fields whose value is "module:name" are read with `load_name`."""

    name: str
    """Value of `kind` in model.json and in recipes."""
    data: str
    """The data that models of this kind work on, in one word for tables."""
    description: str
    """Completes "Model X is ..." in messages."""
    contract: str
    """Frozen dataclass that describes the input of a model; its `kind` is `name`."""
    role: str
    """Class of the model: a `geoae.model.Model` with the methods of this kind."""
    scaler: str
    """Frozen dataclass that scales what the net sees."""
    recipe: str
    """Class of the recipes of this kind."""
    task: str
    """Function (recipe, data folder) -> TrainingTask. Its module loads torch."""
    score: str
    """What the validation score in dB measures, for messages."""
    card: str
    """Function (recipe, provenance) -> (lines about the data, lines about what was held out, line about the score)."""
    sources: str
    """Function (recipe, data folder) -> description of the training data with digests, for provenance."""
    rates: str
    """Function of the contract in model.json -> the columns "rate Hz" and "takes Hz" of a table of models."""
    calibrate: str = ""
    """Function (trained model, recipe, data folder) -> line on what the model was calibrated to; empty: none."""
    defaults: tuple[str, ...] = ()
    """Shipped models that are used if the user names none: one, or one for each number of dimensions."""


_ALL = (
    Kind(
        "record", "records", "a denoiser of records (seismic traces)",
        contract="geoae.records.contract:RecordContract", role="geoae.model.denoiser:Denoiser",
        scaler="geoae.records.scaling:RecordScaler", recipe="geoae.records.recipe:RecordRecipe",
        task="geoae.records.task:training_task", score="SI-SDR improvement",
        card="geoae.records.card:describe_record_model", sources="geoae.records.card:describe_record_sources",
        rates="geoae.records.contract:format_rates", calibrate="geoae.records.calibrate:calibrate_model",
        defaults=("seismic",),
    ),
    Kind(
        "field", "fields", "a denoiser of gridded fields",
        contract="geoae.fields.contract:FieldContract", role="geoae.model.denoiser:Denoiser",
        scaler="geoae.arrays.scaling:FieldScaler", recipe="geoae.fields.recipe:FieldRecipe",
        task="geoae.fields.task:training_task", score="error reduction", card="geoae.fields.card:describe_field_model",
        sources="geoae.fields.card:describe_field_sources", rates="geoae.model.contract:format_no_rates",
        defaults=("grid",),
    ),
    Kind(
        "codes", "codes", "a model with codes",
        contract="geoae.codes.contract:CodeContract", role="geoae.codes.model:Coder",
        scaler="geoae.arrays.scaling:FieldScaler",
        recipe="geoae.codes.recipe:CodeRecipe", task="geoae.codes.task:training_task", score="reconstruction",
        card="geoae.codes.card:describe_code_model", sources="geoae.codes.card:describe_code_sources",
        rates="geoae.model.contract:format_no_rates", defaults=("seismic-codes", "grid-codes"),
    ),
    Kind(
        "prior", "priors", "a prior of models (made by geoae.fit)",
        contract="geoae.priors.contract:PriorContract", role="geoae.priors.prior:Prior",
        scaler="geoae.arrays.transforms:Transform", recipe="geoae.priors.recipe:PriorRecipe",
        task="geoae.priors.task:training_task", score="reconstruction", card="geoae.priors.card:describe_prior_model",
        sources="geoae.priors.card:describe_prior_sources", rates="geoae.model.contract:format_no_rates",
    ),
)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""Name of a kind -> what belongs to it."""


def find_kind(name: str) -> Kind:
    """Find a kind by its name.

    Raises
    ------
    UnknownNameError
        No kind has this name.
    """
    if name not in KINDS:
        raise UnknownNameError(f"There is no kind of model {name!r}; choose one of {', '.join(KINDS)}.")
    return KINDS[name]


def load_name(name: str) -> Any:
    """Import the module of "module:name" and return the object of this name."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
