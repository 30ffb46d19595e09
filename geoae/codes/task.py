"""The training task of a model with codes: windows of fields or records, loss and validation score."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoae import nets
from geoae.arrays.scaling import FieldScaler
from geoae.codes.contract import CodeContract
from geoae.codes.mixing import WindowPool, draw_windows, scale_windows
from geoae.codes.recipe import CodeRecipe
from geoae.errors import InputError
from geoae.nets.protocols import EncodesWindows, Loss
from geoae.training.loop import Predict, TrainingTask


def training_task(recipe: CodeRecipe, data: Path) -> TrainingTask:
    """Make the training task from the fields or records that the recipe names, below the folder `data`.

    Raises
    ------
    InputError
        The data do not exist or are smaller than a window, or the net has no codes.
    """
    window, latent = _find_sizes(recipe)
    train, validation = (scale_windows(x) for x in draw_windows(recipe, data, window))
    floor = recipe.optimize.floor**2

    def loss(estimate: Tensor, parts: tuple[Tensor, ...]) -> Loss:
        error = (estimate - parts[0]).square().flatten(1).mean(1).add(floor).log().mean()
        return Loss(error, {"error": error.detach()})

    def score(net: Predict) -> float:
        errors = [np.square(net(part) - part).reshape(len(part), -1).mean(1)
                for part in np.array_split(validation, -(-len(validation) // 256))]  # fmt: skip
        return float(-10 * np.log10(np.concatenate(errors) + floor).mean())

    def contract(provenance: dict[str, Any]) -> CodeContract:
        return CodeContract(recipe.name, recipe.summary, window, window, latent, recipe.units, (), provenance)

    def prepare(net: nn.Module) -> None:
        assert isinstance(net, EncodesWindows)
        net.fit(torch.from_numpy(train))

    return TrainingTask(
        WindowPool(train), loss, score, contract, FieldScaler(len(window), 1), "reconstruction_db", prepare
    )


def _find_sizes(recipe: CodeRecipe) -> tuple[tuple[int, ...], int]:
    """Shape of a window and length of a code of the net in the recipe."""
    net = nets.build(recipe.net.name, recipe.net.config)
    if not isinstance(net, EncodesWindows):
        raise InputError(f"Net {recipe.net.name!r} makes no codes of windows. Choose one that does, such as window-ae.")
    ndim = 1 if recipe.data.records else 2
    if len(net.window) != ndim:
        raise InputError(
            f"Net {recipe.net.name!r} encodes windows of {len(net.window)} dimensions; these data have {ndim}. "
            "Set net.config.ndim in the recipe."
        )
    return net.window, net.latent
