"""Solutions that are killed and resume from their checkpoint."""

import numpy as np
import pytest

from geoae.errors import StoreError
from geoae.invert import Inverse
from tests.invert.problems import matrix


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("rml", {}),
        ("esmda", {"n_members": 30, "n_steps": 6}),
        ("mcmc", {"n_draws": 150, "n_warmup": 60, "n_learn": 500}),
        ("mcmc", {"n_draws": 150, "n_warmup": 60, "sampler": "hmc"}),
        ("mcmc", {"n_draws": 150, "n_warmup": 60, "sampler": "emcee", "n_chains": 8}),
    ],
)
def test_a_killed_solution_resumes_from_its_checkpoint(known, tmp_path, method, options):
    """The resumed run has the same draws as a run that was not killed."""
    space, g = known[0].space, matrix()
    calls_left = [0]

    class Killed:
        batched = True

        def __call__(self, m):
            calls_left[0] -= 1
            if calls_left[0] == 0:
                raise KeyboardInterrupt
            return m @ g.T

        def adjoint(self, m, w):
            return g.T @ w

    inverse = Inverse(space, Killed(), known[0].data, 0.3, representation=False)
    whole = inverse.solve(method, **options)
    calls_left[0] = -calls_left[0] * 2 // 3  # two thirds of the calls of a whole run
    kept = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        inverse.solve(method, checkpoint=kept, **options)
    assert kept.exists()
    before = inverse.forward.n_runs
    resumed = inverse.solve(method, checkpoint=kept, **options)
    assert inverse.forward.n_runs - before < whole.info["n_runs"]
    np.testing.assert_allclose(resumed.codes, whole.codes, atol=1e-10)
    with pytest.raises(StoreError, match="another inversion"):
        inverse.solve(method, checkpoint=kept, seed=9, **options)
    kept.write_bytes(b"no archive")
    with pytest.raises(StoreError, match="cannot be read"):
        inverse.solve(method, checkpoint=kept, **options)
