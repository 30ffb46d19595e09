"""Which sampler is chosen."""

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.chains import samplers
from tests.invert.linear_space import LinearSpace


@pytest.mark.parametrize(
    ("d", "options", "sampler"),
    [
        (samplers.MAX_EMULATED, {"jacobian": lambda m: np.eye(m.size)}, "emulated"),
        (samplers.MAX_EMULATED, {}, "emulated"),
        (samplers.MAX_EMULATED + 1, {"jacobian": lambda m: np.eye(m.size)}, "hmc"),
        (samplers.MAX_EMULATED + 1, {}, "emcee"),
        (samplers.MAX_EMULATED + 1, {"sampler": "emulated"}, "emulated"),
    ],
)
def test_an_emulator_is_for_codes_that_are_not_many(d, options, sampler):
    options, asked = dict(options), {k: v for k, v in options.items() if k == "sampler"}
    options.pop("sampler", None)
    space = LinearSpace(np.zeros(d), np.eye(d))
    inverse = Inverse(space, lambda m: m, np.zeros(d), 0.5, representation=False, **options)
    found = inverse.solve("mcmc", n_learn=300, n_warmup=5, n_draws=4, n_starts=1, n_steps=2, **asked)
    assert found.info["sampler"] == sampler
