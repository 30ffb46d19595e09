"""Training of a denoiser of fields: windows, loss, and validation score."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from geoae.arrays import neighbours
from geoae.arrays.scaling import FieldScaler
from geoae.errors import InputError
from geoae.fields.contract import FieldContract
from geoae.fields.data import load_slices
from geoae.fields.losses import squared_error
from geoae.fields.mixing import FieldMixer
from geoae.fields.recipe import FieldRecipe
from geoae.model import Denoiser, Model, load_model, require_contract, require_role
from geoae.nets.protocols import Loss
from geoae.training.loop import Predict, TrainingTask, make_weight_loader
from geoae.training.losses import log_error_db

CEILING_DB = 50.0
"""Ceiling of the signal-to-error ratio in the loss: better estimates are hardly rewarded."""


def training_task(recipe: FieldRecipe, data: Path) -> TrainingTask:
    """Training task with the fields that the recipe names, in the folder `data`.

    Raises
    ------
    InputError
        A pattern matches no file, a file has no field, or members differ in shape.
    """
    training, validation = build_field_mixers(recipe, data)
    clean = recipe.mix.target == "clean"

    def loss(estimate: Tensor, parts: tuple[Tensor, ...]) -> Loss:
        shown, target, counts = parts
        estimate, noisy = estimate * counts, shown[:, :1] * counts
        if clean:
            rows = [x.flatten(-2) for x in (estimate, target, noisy)]
            error = log_error_db(rows[0], rows[1], rows[2], CEILING_DB).mean()
        else:  # the mean of noisy targets is the clean target, and a mean minimises squared errors
            error = squared_error(estimate, target, counts)
        return Loss(error, {"error": error.detach()})

    def contract(provenance: dict[str, Any]) -> FieldContract:
        w = recipe.window
        return FieldContract(recipe.name, recipe.summary, (w.length, w.length), (w.stride, w.stride), w.multiple,
                             w.near, w.far, w.enough, w.overview, recipe.units, recipe.dims, provenance)  # fmt: skip

    scaler = FieldScaler(axes=2, channels=neighbours.N_VALUES)
    return TrainingTask(
        training, loss, lambda net: validate_fields(net, validation, recipe.n_validation), contract, scaler,
        "error_less_db",
        make_weight_loader(recipe.start),
    )  # fmt: skip


def build_field_mixers(recipe: FieldRecipe, data: Path) -> tuple[FieldMixer, FieldMixer]:
    """Mixers of training windows and of validation windows (of validation files, if any, or of other draws)."""
    named, seed = recipe.data, recipe.optimize.seed
    held_out = (*named.exclude, *named.validation, *named.noise)
    fields = [x.values for x in load_slices(data, named.files, held_out)] if named.files else []
    noise = [x.values for x in load_slices(data, named.noise)] if named.noise else []
    noise_of = (
        _make_overview_noise(load_model(recipe.mix.overview), recipe.window.train_length) if recipe.mix.wide else None
    )
    training = FieldMixer(fields, recipe.mix, recipe.window, seed, noise, noise_of)
    validation = [x.values for x in load_slices(data, named.validation)] if named.validation else fields
    if recipe.mix.target == "members" and named.validation and len(validation) < 2:
        raise InputError("data.validation names one member; validation across members needs two.")
    return training, FieldMixer(validation, recipe.mix, recipe.window, seed + 1, noise, noise_of)


def _make_overview_noise(model: Model, window: int) -> Predict:
    """Noise of windows, as the model of overviews predicts it; raises InputError if its windows have another size."""
    found = require_contract(model, FieldContract).window
    if found != (window, window):
        raise InputError(
            f"mix.overview: model {model.name!r} has windows of {' x '.join(map(str, found))} points; "
            f"those of the recipe have {window} x {window}. Choose a model with the same windows."
        )
    return require_role(model, Denoiser).noise


def validate_fields(net: Predict, mixer: FieldMixer, n: int, batch: int = 16) -> float:
    """Median over windows of the reduction of the squared error in dB, relative to the noisy window."""
    gains: list[float] = []
    for start in range(0, n, batch):
        parts = zip(*(mixer[i] for i in range(start, min(start + batch, n))), strict=True)
        shown, target, counts = (np.stack(x) for x in parts)
        errors = [np.square((x - target) * counts).sum((-1, -2, -3)) for x in (shown[:, :1], net(shown))]
        noisy = errors[0] > 0
        gains.extend(10 * np.log10(errors[0][noisy] / np.maximum(errors[1][noisy], 1e-30)))
    return float(np.median(gains)) if gains else float("nan")
