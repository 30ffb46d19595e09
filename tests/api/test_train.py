"""Keywords of geoae.train and geoae.evaluate."""

import inspect
from dataclasses import fields

from geoae.api.train import evaluate, train
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
