"""Chains on an emulator: their draws are those of the posterior, even if the emulator is inaccurate."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.chains import emulated, learning
from geoae.invert.chains.convergence import r_hat
from geoae.invert.chains.emulator import Emulator
from tests.invert import bent
from tests.invert.linear_space import LinearSpace


@pytest.mark.parametrize("options", [{}, {"adjoint": bent.adjoint}])
def test_chains_follow_a_bent_valley(options):
    """With and without gradients of the forward model, which are used only if there are any."""
    mean, spread, misfit = bent.exact()
    posterior = bent.inverse(**options).solve("mcmc")
    assert posterior.info["sampler"] == "emulated"
    assert (posterior.info["n_gradients"] > 0) is bool(options)
    assert r_hat(posterior.chains).max() < 1.05
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.15 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.12)
    assert bent.squared_misfit(posterior) == pytest.approx(misfit, rel=0.2)
    np.testing.assert_allclose(posterior.predicted, bent.valley(posterior.codes), atol=1e-9)


def test_draws_are_right_with_an_inaccurate_emulator(monkeypatch):
    """With a linear emulator, fewer trajectories are accepted, and draws still have the same distribution."""

    class LinearEmulator(Emulator):
        def energy(self, x):
            misfit, z = self.linear[0] + x @ self.linear[1:] - self.measured, self.to_codes(x)
            return (0.5 * (misfit**2).sum(1) + 0.5 * (z**2).sum(1) + self.outside_cost,
                    misfit @ self.linear[1:].T + z @ self.root)  # fmt: skip

    monkeypatch.setattr(learning, "Emulator", LinearEmulator)
    mean, spread, _ = bent.exact()
    posterior = bent.inverse().solve("mcmc", n_draws=4000, n_learn=400)
    assert posterior.info["accepted"] < 0.6
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.2 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.2)


def test_trajectories_on_the_forward_model_alone_give_the_posterior(monkeypatch):
    """Every move includes one, and all moves on the emulator are rejected."""
    monkeypatch.setattr(emulated, "FORWARD_EVERY", 1)
    monkeypatch.setattr(emulated, "acceptance_probability", np.zeros_like)
    mean, spread, _ = bent.exact()
    posterior = bent.inverse(adjoint=bent.adjoint).solve("mcmc", n_draws=150, n_chains=60, n_warmup=3, n_learn=600)
    assert posterior.info["accepted"] == 0
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.2 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.2)
    np.testing.assert_allclose(posterior.predicted, bent.valley(posterior.codes), atol=1e-9)


def test_emulators_are_fitted_to_the_most_recent_runs(monkeypatch):
    """Their number is limited, also with many chains in the warm-up."""
    monkeypatch.setattr(learning, "MAX_RUNS", 300)
    sizes, fit = [], Emulator.fit
    monkeypatch.setattr(Emulator, "fit", lambda codes, *others: sizes.append(len(codes)) or fit(codes, *others))
    bent.inverse().solve("mcmc", n_learn=600, n_chains=40, n_warmup=30, n_draws=4)
    assert max(sizes) == 300


def test_chains_of_uninformative_data_are_draws_of_the_prior():
    posterior = bent.inverse(lambda m: 1e-6 * m).solve("mcmc", n_draws=200)
    np.testing.assert_allclose(posterior.codes.std(0), 1, atol=0.15)


def test_few_runs_are_enough_for_a_linear_problem():
    """The emulator is exact after the first runs."""
    line = LinearSpace(np.zeros(2), np.eye(2))
    posterior = Inverse(line, np.eye(2), np.zeros(2), 0.5, representation=False).solve("mcmc", n_draws=4, n_warmup=0)
    assert posterior.info["n_learnt"] < 1000
    assert posterior.info["accepted"] > 0.95


def test_the_emulator_is_fitted_to_as_many_runs_as_asked_for_and_those_of_the_warm_up():
    """The last move of all walkers may make a few more."""
    few = bent.inverse().solve("mcmc", n_learn=400, n_warmup=0, n_draws=4).info
    more = bent.inverse().solve("mcmc", n_learn=400, n_warmup=30, n_draws=4).info
    assert few["n_learnt"] <= 400 + learning.N_WALKERS
    assert few["n_learnt"] < more["n_learnt"] <= few["n_learnt"] + 30 * few["n_chains"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_learn": -1}, "n_learn is -1; give a whole number of at least 0"),
        ({"n_learn": 2.5}, "n_learn is 2.5"),
        ({"n_warmup": "long"}, "n_warmup is 'long'"),
        ({"sampler": ["hmc"]}, r"sampler is \['hmc'\]; choose"),
        ({"sampler": "nuts"}, 'sampler is \'nuts\'; choose "emulated", "hmc", "emcee"'),
        ({"time_limit_s": 1e-9}, "after 321 of at most 2400 runs that an emulator learns from.*Give more time"),
    ],
)
def test_invalid_options_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        bent.inverse().solve("mcmc", n_starts=3, **options)
