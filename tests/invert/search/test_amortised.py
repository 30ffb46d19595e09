"""A net that predicts codes from data, trained on many cheap runs."""

import numpy as np
import pytest
import torch

from geoae.invert import Forward, Inverse
from geoae.invert.search import amortised, starts
from tests.invert.linear_space import LinearSpace

D = 12
SPACE = LinearSpace(np.zeros(D), np.eye(D))


def bent(m):
    """Nonlinear data (n, 2 D): they determine the size of each code well and its sign badly."""
    m = np.asarray(m)
    return np.concatenate([m**2, 0.1 * m], -1)


def inverse(function=bent, data=None, **options):
    measured = bent(np.zeros(D)) if data is None else data
    return Inverse(SPACE, function, measured, 0.1, representation=False, **{"batched": True, "cheap": True, **options})


@pytest.fixture
def fewer(monkeypatch):
    """Runs, so that a net is trained in a second."""
    monkeypatch.setattr(amortised, "N_RUNS", 4000)


def test_a_net_predicts_codes_better_than_a_linear_estimate(fewer):
    rng, one = np.random.default_rng(3), inverse()
    problem = one.problem
    runs = amortised.run_prior(problem, 0)
    net, line = amortised.train_predictor(runs, problem.noise), starts.fit_ridge(runs, problem.noise)
    truths = rng.normal(size=(100, D))
    white = problem.noise.whiten(bent(truths) + 0.1 * rng.normal(size=(100, 2 * D)))
    error = {name: np.mean([(estimate.predict(w) - z) ** 2 for w, z in zip(white, truths, strict=True)])
           for name, estimate in (("net", net), ("line", line))}  # fmt: skip
    assert error["net"] < 0.8 * error["line"]


def test_searches_start_at_the_predicted_code(fewer):
    """It is the first starting point, and the training runs are made once for all data."""
    rng, base = np.random.default_rng(4), inverse()
    for i in range(2):
        z = rng.normal(size=D)
        one = base.with_data(bent(z), None, None)
        found = one.solve("map")
        expected = one._prior_runs.predict_code(one.problem)
        assert np.abs(expected - z).mean() < 0.5
        first = starts.starting_points(one.problem, None, 0, predicted_code=expected)[0]
        np.testing.assert_array_equal(first, expected)
        assert (found.info["n_runs"] > amortised.N_RUNS) == (i == 0)
    assert np.abs(np.abs(found.code) - np.abs(z)).max() < 0.2


def test_prepared_runs_are_not_repeated(fewer):
    base = inverse().prepare()
    assert base.forward.n_runs > amortised.N_RUNS
    assert base.with_data(bent(np.ones(D)), None, None).solve("map").info["n_runs"] < amortised.N_FIRST


def test_no_net_is_trained_for_linear_data(fewer):
    g = np.random.default_rng(0).normal(size=(20, D))
    problem = Inverse(SPACE, g, np.zeros(20), 0.1, representation=False)
    assert problem.solve("map").info["n_runs"] < 2 * amortised.N_FIRST
    assert problem._prior_runs.predict_code(problem.problem) is None


@pytest.mark.parametrize(("options", "trains_net"), [({}, True), ({"cheap": False}, False), ({"cheap": None}, False)])
def test_thousands_of_runs_are_made_only_if_they_are_cheap(fewer, options, trains_net):
    assert (inverse(**options).solve("map").info["n_runs"] > 1000) is trains_net


def test_which_forward_models_are_cheap():
    class Cheap:
        cheap = True

        def __call__(self, m):
            return m

    assert Forward(np.eye(D)).cheap
    assert Forward(Cheap()).cheap
    assert not Forward(Cheap(), cheap=False).cheap
    assert not Forward(bent).cheap


def test_failed_runs_are_left_out(fewer):
    def half_fails(m):
        return np.where(m[..., :1] >= 0, bent(m), np.nan)

    runs = amortised.run_prior(inverse(half_fails, cheap=True).problem, 0)
    assert np.isfinite(runs.data).all()
    assert 0.4 < len(runs.codes) / amortised.N_RUNS < 0.6
    assert (runs.codes[:, 0] > 0).all()


def test_the_net_is_the_same_on_any_number_of_threads(fewer):
    problem = inverse().problem
    runs, before = amortised.run_prior(problem, 0), torch.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            amortised.train_predictor.cache_clear()
            found.append(amortised.train_predictor(runs, problem.noise).predict(np.ones(2 * D)))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
