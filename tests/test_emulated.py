"""Chains on an emulator: what it learns, and that draws are those of the posterior whatever it is worth."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.chains import emulated, learning, samplers
from geoae.invert.chains.convergence import r_hat
from geoae.invert.chains.emulator import Emulator
from tests import bent
from tests.linear_space import LinearSpace


def learnt(data, n=200, d=3, seed=0):
    """An emulator of a function of codes (n, d), the codes it was learnt from, and the measured data."""
    rng = np.random.default_rng(seed)
    codes, measured = rng.normal(size=(n, d)), rng.normal(size=4)
    return Emulator.learn(codes, data(codes), measured, np.diag([4.0, 1.0, 0.25])), codes, measured


def lines(z):
    return z @ np.arange(12.0).reshape(3, 4) + 2


def bends(z):
    return lines(z) + np.sin(2 * z[:, :1]) * np.arange(4.0)


def cost(data, measured, z):
    return 0.5 * ((data(z) - measured) ** 2).sum(1) + 0.5 * (z**2).sum(1)


def test_an_emulator_of_a_line_is_that_line():
    """Far from what it was learnt from, too."""
    emulator, _, measured = learnt(lines)
    z = 10 * np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(emulator.energy(emulator.of(z))[0], cost(lines, measured, z), rtol=1e-6)
    np.testing.assert_allclose(emulator.codes(emulator.of(z)), z, atol=1e-9)


def test_an_emulator_is_right_where_it_was_learnt_and_nearly_so_between():
    emulator, codes, measured = learnt(bends)
    z = 0.7 * np.random.default_rng(1).normal(size=(50, 3))
    np.testing.assert_allclose(emulator.energy(emulator.of(codes))[0], cost(bends, measured, codes), rtol=0.01)
    between = emulator.energy(emulator.of(z))[0] - cost(bends, measured, z)
    straight = lines(z) + (bends(codes) - lines(codes)).mean(0)
    without = cost(lambda _: straight, measured, z) - cost(bends, measured, z)
    assert np.abs(between).mean() < 0.1 * np.abs(without).mean()


def test_the_slope_of_an_emulator_is_that_of_its_cost():
    emulator, _, _ = learnt(bends)
    x, step = np.random.default_rng(2).normal(size=(6, 3)), 1e-5
    slope = emulator.energy(x)[1]
    for i, along in enumerate(step * np.eye(3)):
        found = (emulator.energy(x + along)[0] - emulator.energy(x - along)[0]) / (2 * step)
        np.testing.assert_allclose(slope[:, i], found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"adjoint": bent.adjoint}])
def test_chains_follow_a_bent_valley(options):
    """With gradients of the forward model and without, which then is asked for none."""
    mean, spread, misfit = bent.exact()
    posterior = bent.inverse(**options).solve("mcmc")
    assert posterior.info["sampler"] == "emulated"
    assert (posterior.info["n_gradients"] > 0) is bool(options)
    assert r_hat(posterior.chains).max() < 1.05
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.15 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.12)
    assert bent.squared_misfit(posterior) == pytest.approx(misfit, rel=0.2)
    np.testing.assert_allclose(posterior.predicted, bent.valley(posterior.codes), atol=1e-9)


def test_draws_are_right_on_an_emulator_that_is_wrong(monkeypatch):
    """One that knows a straight line alone: fewer trajectories are taken, and where they end is what it was."""

    class Straight(Emulator):
        def energy(self, x):
            misfit, z = self.straight[0] + x @ self.straight[1:] - self.wanted, self.codes(x)
            return (0.5 * (misfit**2).sum(1) + 0.5 * (z**2).sum(1) + self.beside,
                    misfit @ self.straight[1:].T + z @ self.root)  # fmt: skip

    monkeypatch.setattr(learning, "Emulator", Straight)
    mean, spread, _ = bent.exact()
    posterior = bent.inverse().solve("mcmc", n_draws=4000, n_learn=400)
    assert posterior.info["accepted"] < 0.6
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.2 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.2)


def test_true_trajectories_alone_leave_the_posterior_as_it_is(monkeypatch):
    """Every move is one, and none of the emulator is taken."""
    monkeypatch.setattr(emulated, "TRUE_EVERY", 1)
    monkeypatch.setattr(emulated, "chance_of", np.zeros_like)
    mean, spread, _ = bent.exact()
    posterior = bent.inverse(adjoint=bent.adjoint).solve("mcmc", n_draws=150, n_chains=60, n_warmup=3, n_learn=600)
    assert posterior.info["accepted"] == 0
    np.testing.assert_allclose(posterior.codes.mean(0), mean, atol=0.2 * spread.max())
    np.testing.assert_allclose(posterior.codes.std(0), spread, rtol=0.2)
    np.testing.assert_allclose(posterior.predicted, bent.valley(posterior.codes), atol=1e-9)


def test_only_the_last_runs_are_learnt_from_where_there_are_many(monkeypatch):
    """However many chains warm up."""
    monkeypatch.setattr(learning, "MOST", 300)
    sizes, learn = [], Emulator.learn
    monkeypatch.setattr(Emulator, "learn", lambda codes, *rest: sizes.append(len(codes)) or learn(codes, *rest))
    bent.inverse().solve("mcmc", n_learn=600, n_chains=40, n_warmup=30, n_draws=4)
    assert max(sizes) == 300


def test_an_emulator_of_one_run_knows_that_one():
    emulator, codes, measured = learnt(bends, n=1)
    np.testing.assert_allclose(emulator.energy(emulator.of(codes))[0], cost(bends, measured, codes))


def test_chains_of_data_that_know_nothing_are_those_of_the_prior():
    posterior = bent.inverse(lambda m: 0 * m).solve("mcmc", n_draws=200)
    np.testing.assert_allclose(posterior.codes.std(0), 1, atol=0.15)


@pytest.mark.parametrize(
    ("d", "options", "sampler"),
    [
        (samplers.MANY, {"jacobian": lambda m: np.eye(m.size)}, "emulated"),
        (samplers.MANY, {}, "emulated"),
        (samplers.MANY + 1, {"jacobian": lambda m: np.eye(m.size)}, "hmc"),
        (samplers.MANY + 1, {}, "emcee"),
        (samplers.MANY + 1, {"sampler": "emulated"}, "emulated"),
    ],
)
def test_an_emulator_is_for_codes_that_are_not_many(d, options, sampler):
    options, asked = dict(options), {k: v for k, v in options.items() if k == "sampler"}
    options.pop("sampler", None)
    space = LinearSpace(np.zeros(d), np.eye(d))
    inverse = Inverse(space, lambda m: m, np.zeros(d), 0.5, representation=False, **options)
    found = inverse.solve("mcmc", n_learn=300, n_warmup=5, n_draws=4, n_starts=1, n_steps=2, **asked)
    assert found.info["sampler"] == sampler


def test_no_more_is_learnt_than_is_of_use():
    """What is a straight line is known after the first runs."""
    line = LinearSpace(np.zeros(2), np.eye(2))
    posterior = Inverse(line, np.eye(2), np.zeros(2), 0.5, representation=False).solve("mcmc", n_draws=4, n_warmup=0)
    assert posterior.info["n_learnt"] < 1000
    assert posterior.info["accepted"] > 0.95


def test_runs_are_learnt_from_until_there_are_as_many_as_wanted_and_in_the_warm_up():
    """A move of all walkers at most more."""
    few = bent.inverse().solve("mcmc", n_learn=400, n_warmup=0, n_draws=4).info
    more = bent.inverse().solve("mcmc", n_learn=400, n_warmup=30, n_draws=4).info
    assert few["n_learnt"] <= 400 + learning.WALKERS
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
def test_what_cannot_be_done_is_said(options, says):
    with pytest.raises(InputError, match=says):
        bent.inverse().solve("mcmc", n_starts=3, **options)


def test_a_calibration_says_for_how_many_truths_chains_met():
    rng = np.random.default_rng(0)
    models = rng.normal(size=(60, 4)) @ np.diag([2.0, 1.0, 0.3, 0.1])
    space = LinearSpace.of(models[:30], 2, models[30:])
    found = Inverse(space, np.eye(4), np.zeros(4), 0.3).calibrate(3, "mcmc", n_draws=60, beside={})
    (coverage,) = (c for name, c in found.results.items() if "mcmc" in name)
    assert len(coverage.r_hat) == 3
    met = sum(r <= 1.05 for r in coverage.r_hat)
    assert f"chains met (R-hat <= 1.05) for {met} of 3" in str(found)
    assert not found.results["Gaussian, all cells"].r_hat
