"""Keywords of geoae.train and geoae.evaluate."""

import inspect
from dataclasses import fields

import pytest

from geoae.api.train import evaluate, train
from geoae.errors import GeoAEError
from geoae.jobs.evaluate import EvaluateOptions
from geoae.jobs.train import TrainOptions
from geoae.records.scores import Comparison


def test_options_are_those_of_train_with_the_same_defaults():
    """A keyword of `train` that says how to run is a field of `TrainOptions`."""
    parameters = inspect.signature(train).parameters
    for option in fields(TrainOptions):
        assert parameters[option.name].default == option.default
    assert parameters.keys() - {f.name for f in fields(TrainOptions)} == {"recipe", "data", "out", "report", "tick"}


def test_options_are_those_of_evaluate_with_the_same_defaults():
    """A keyword of `evaluate` that says what is scored, or how, is a field of `EvaluateOptions`."""
    parameters = inspect.signature(evaluate).parameters
    for option in fields(EvaluateOptions):
        assert parameters[option.name].default == option.default
    assert parameters.keys() - {f.name for f in fields(EvaluateOptions)} == {"data", "model", "out", "report"}
    assert EvaluateOptions(7, "all", 3).comparison(5) == Comparison(7, "all", 3, 5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: train(None, "data", "out"), "The recipe is a path, and a NoneType was given"),
        (lambda: train("recipe.yml", "data", None), "The model folder is a path"),
        (lambda: train("no-such-recipe.yml", "data", "out"), "no-such-recipe.yml"),
        (lambda: evaluate(None), "The folder of data is a path"),
        (lambda: evaluate("no-such-data", out=3), "The folder of results is a path"),
    ],
)
def test_paths_are_text_or_paths(call, says):
    """Anything else is named in one line."""
    with pytest.raises(GeoAEError, match=says):
        call()
