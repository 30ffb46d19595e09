"""Options of methods and of forward models: frozen, checked, and refused when unknown."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Forward
from geoae.invert.forward.forward import ForwardOptions
from geoae.invert.options import OPTIONS, McmcOptions, describe_options, read_options


@pytest.mark.parametrize("method", list(OPTIONS))
def test_every_method_has_default_options(method):
    options = read_options(method, {"n_draws": None})
    assert describe_options(options)["n_draws"] is None
    with pytest.raises(FrozenInstanceError):
        options.n_draws = 3
    with pytest.raises(InputError, match=rf"solve\('{method}'\) has no option n_walker; it has .*n_draws"):
        read_options(method, {"n_walker": 3})


@pytest.mark.parametrize(
    ("method", "option", "least"),
    [
        ("laplace", "n_draws", 2),
        ("rml", "n_draws", 2),
        ("rml", "n_refine", 0),
        ("map", "n_starts", 1),
        ("esmda", "n_members", 10),
        ("esmda", "n_steps", 1),
        ("mcmc", "n_draws", 4),
        ("mcmc", "n_chains", 1),
        ("mcmc", "n_warmup", 0),
    ],
)
def test_numbers_have_a_least_value(method, option, least):
    assert describe_options(read_options(method, {option: least}))[option] == least
    for value in (least - 1, 2.5, "many"):
        with pytest.raises(InputError, match=rf"{option} is {value!r}; give a whole number of at least {least}"):
            read_options(method, {option: value})


def test_defaults_of_a_method_replace_none():
    chosen = describe_options(McmcOptions(n_chains=3), n_warmup=7)
    assert (chosen["n_chains"], chosen["n_warmup"]) == (3, 7)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"run_limit_s": 0}, "run_limit_s is 0; give seconds above zero"),
        ({"jacobian": np.eye(2)}, "jacobian is a ndarray; give a function"),
        ({"adjoint": 3}, "adjoint is a int; give a function"),
        ({"workers": "many"}, "give a number of processes"),
    ],
)
def test_options_of_a_forward_model_are_checked(options, says):
    with pytest.raises(InputError, match=says):
        Forward(np.eye(2), **options)
    with pytest.raises(InputError, match=says):
        ForwardOptions(**options)


def test_an_unknown_option_of_a_forward_model_is_refused():
    with pytest.raises(InputError, match="no option jacobain; it has jacobian"):
        Forward(np.eye(2), jacobain=np.eye(2))
