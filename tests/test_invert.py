"""Inversion: against posteriors that are known in closed form, and on forward models that misbehave."""

import time
import warnings

import numpy as np
import pytest
from scipy import sparse

from geoae.errors import InputError, OutputExistsError, StoreError
from geoae.invert import Forward, Inverse, load
from geoae.invert.chains.convergence import effective_draws, r_hat
from geoae.invert.misfit.noise import read_noise
from tests.linear_space import LinearSpace

N, D, CELLS = 12, 3, 20


def matrix(seed=0):
    return np.random.default_rng(seed).normal(size=(N, CELLS)) / 3


def exact_space(n_held=0, seed=1):
    """A decoder that can represent all its models."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(D, CELLS))
    held = rng.normal(size=(n_held, D)) @ basis + 1 if n_held else None
    return LinearSpace(np.ones(CELLS), basis, held)


def rough_models(n, seed):
    """Models of which three components hold two thirds of the variance."""
    distance = np.abs(np.subtract.outer(np.arange(CELLS), np.arange(CELLS)))
    root = np.linalg.cholesky(np.exp(-distance / 6) + 1e-9 * np.eye(CELLS))
    return np.random.default_rng(seed).normal(size=(n, CELLS)) @ root.T


@pytest.fixture(scope="module")
def known():
    """Inverse, posterior mean and covariance of its codes."""
    space, g = exact_space(), matrix()
    sigma = np.linspace(0.2, 0.6, N)
    data = g @ space.decode(np.array([0.5, -1.0, 0.3])) + sigma * np.random.default_rng(2).normal(size=N)
    slope = (g @ space.basis.T) / sigma[:, None]
    covariance = np.linalg.inv(slope.T @ slope + np.eye(D))
    mean = covariance @ slope.T @ ((data - g @ space.mean) / sigma)
    return Inverse(space, g, data, sigma, representation=False), mean, covariance


@pytest.mark.parametrize(
    ("method", "options", "tolerance"),
    [
        ("laplace", {"n_draws": 4000}, 0.08),
        ("rml", {"n_draws": 2000}, 0.08),
        ("esmda", {"n_members": 1000}, 0.15),
        ("mcmc", {"n_draws": 1000}, 0.12),
        ("mcmc", {"n_draws": 1000, "sampler": "hmc"}, 0.12),
    ],
)
def test_each_method_finds_the_posterior_of_a_linear_problem(known, method, options, tolerance):
    """Mean and covariance of codes are those of the closed form."""
    inverse, mean, covariance = known
    posterior = inverse.solve(method, **options)
    spread = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose((posterior.codes.mean(0) - mean) / spread, 0, atol=1.5 * tolerance)
    ratio = np.cov(posterior.codes.T) / np.outer(spread, spread) - covariance / np.outer(spread, spread)
    np.testing.assert_allclose(ratio, 0, atol=1.5 * tolerance)


def test_the_most_likely_code_takes_few_runs(known):
    """A linear problem is solved by its first steps."""
    inverse, mean, _ = known
    posterior = inverse.solve("map")
    np.testing.assert_allclose(posterior.code, mean, atol=1e-3)
    assert posterior.info["n_jacobians"] <= 5
    assert posterior.info["converged"]


def test_chains_of_a_gaussian_meet_within_few_gradients(known):
    """R-hat is at most 1.05 and most draws are effective."""
    posterior = known[0].solve("mcmc", sampler="hmc", n_draws=300)
    assert r_hat(posterior.chains).max() < 1.05
    assert effective_draws(posterior.chains).min() > 300
    assert posterior.info["n_gradients"] < 10_000


def test_the_same_seed_gives_the_same_draws(known):
    inverse = known[0]
    for method, options in (
        ("laplace", {}),
        ("rml", {"n_draws": 20}),
        ("esmda", {"n_members": 30}),
        ("mcmc", {"n_draws": 20, "n_warmup": 20}),
        ("mcmc", {"n_draws": 20, "n_warmup": 20, "sampler": "hmc"}),
    ):
        one, again, other = (inverse.solve(method, seed=s, **options) for s in (4, 4, 5))
        np.testing.assert_array_equal(one.codes, again.codes)
        np.testing.assert_array_equal(one.sample(5, seed=1), again.sample(5, seed=1))
        assert not np.array_equal(one.codes, other.codes)


def forwards(g):
    """The same linear forward model in each form that a caller may have."""
    return {
        "matrix": (g, {}),
        "sparse": (sparse.csr_array(g), {}),
        "black box": (lambda m: g @ m, {}),
        "batched": (lambda m: m @ g.T, {"batched": True}),
        "jacobian": (lambda m: g @ m, {"jacobian": lambda m: g}),
        "sparse jacobian": (lambda m: g @ m, {"jacobian": lambda m: sparse.csr_array(g)}),
        "adjoint": (lambda m: g @ m, {"adjoint": lambda m, w: g.T @ w}),
        "torch": (lambda m: m.new_tensor(g) @ m, {"torch": True}),
    }


@pytest.mark.parametrize("kind", list(forwards(matrix())))
def test_any_form_of_a_forward_model_gives_the_same_mode(known, kind):
    function, options = forwards(matrix())[kind]
    inverse, mean, _ = known
    if kind == "torch":
        from geoae.latent.pca import pca_space

        space = pca_space(inverse.space.decode(inverse.space.sample(60)), D)
        other = Inverse(space, function, inverse.data, np.linspace(0.2, 0.6, N), representation=False, **options)
        numpy = Inverse(space, matrix(), inverse.data, np.linspace(0.2, 0.6, N), representation=False)
        np.testing.assert_allclose(other.solve("map").code, numpy.solve("map").code, atol=1e-3)
        z = np.random.default_rng(0).normal(size=(2, D))
        np.testing.assert_allclose(other.problem.gradient(z)[1], numpy.problem.gradient(z)[1], rtol=1e-6, atol=1e-8)
        return
    other = Inverse(inverse.space, function, inverse.data, np.linspace(0.2, 0.6, N), representation=False, **options)
    np.testing.assert_allclose(other.solve("map").code, mean, atol=1e-3)
    if other.forward.differentiable:
        z = np.random.default_rng(0).normal(size=(2, D))
        np.testing.assert_allclose(other.problem.gradient(z)[1], inverse.problem.gradient(z)[1], rtol=1e-9, atol=1e-9)


def test_a_covariance_counts_as_its_equal(known):
    """Independent noise given as vector or covariance is one thing; NaN data are as if they were not there."""
    space, g, sigma = known[0].space, matrix(), np.linspace(0.2, 0.6, N)
    data = known[0].data.copy()
    data[[2, 7]] = np.nan
    kept = np.isfinite(data)
    codes = [
        Inverse(space, g, data, sigma, representation=False).solve("map").code,
        Inverse(space, g, data, np.diag(sigma**2), representation=False).solve("map").code,
        Inverse(space, g[kept], data[kept], sigma[kept], representation=False).solve("map").code,
    ]
    np.testing.assert_allclose(codes[1], codes[0], atol=1e-6)
    np.testing.assert_allclose(codes[2], codes[0], atol=1e-6)


def test_intervals_contain_the_truth_only_with_the_representation_error():
    """The finding that this package builds on."""
    models = rough_models(400, 0)
    space = LinearSpace.of(models, D, rough_models(300, 1))
    data = matrix(5) @ rough_models(1, 2)[0]
    honest = Inverse(space, matrix(5), data, 0.05).calibrate(60)
    naive = Inverse(space, matrix(5), data, 0.05, representation=False).calibrate(60)
    of = [next(iter(c.results.values())) for c in (honest, naive)]
    assert 0.85 < of[0].cells[2] < 0.95
    assert 0.85 < of[0].codes[2] < 0.95
    assert of[1].codes[2] < 0.5
    assert of[1].cells[2] < 0.5
    assert "Gaussian" in str(honest)


def test_what_the_data_say_of_the_rest_is_not_lost():
    """With representation error, the posterior of a linear Gaussian problem is the one of all cells."""
    models = rough_models(4000, 0)
    space, g, sigma = LinearSpace.of(models, D, rough_models(2000, 1)), matrix(5), 0.1
    data = g @ rough_models(1, 2)[0]
    posterior = Inverse(space, g, data, sigma, n_representation=2000).solve("laplace", n_draws=400)
    prior = np.cov(models.T)
    gain = prior @ g.T @ np.linalg.inv(g @ prior @ g.T + sigma**2 * np.eye(N))
    mean, covariance = models.mean(0) + gain @ (data - g @ models.mean(0)), prior - gain @ g @ prior
    assert np.sqrt(np.mean((posterior.mean() - mean) ** 2)) < 0.15
    np.testing.assert_allclose(posterior.std() / np.sqrt(np.diagonal(covariance)), 1, atol=0.25)


def test_lost_members_are_dropped_and_counted(known):
    """A forward model that fails for some members costs those members alone."""

    def fickle(m):
        if m[0] > 2.5:
            raise RuntimeError("too fast")
        return np.full(N, np.nan) if m[1] > 3.5 else matrix() @ m

    inverse = Inverse(known[0].space, fickle, known[0].data, 0.3, representation=False)
    posterior = inverse.solve("esmda", n_members=80)
    assert 0 < posterior.info["n_lost"] < 80
    assert posterior.info["n_failed"] >= posterior.info["n_lost"]
    assert any("too fast" in problem for problem in inverse.forward.problems)
    assert np.isfinite(posterior.codes).all()
    assert any("failed" in problem for problem in posterior.diagnose().problems)


def failing(m):
    raise RuntimeError("no license server")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (failing, "RuntimeError: no license server"),
        (lambda m: np.zeros((4, 3)), r"data of shape \(4, 3\), and the data have \(12,\)"),
        (lambda m: np.full(N, np.nan), "12 of 12 data that are not finite"),
        (lambda m: "text", "failed for the model"),
        (np.zeros((N, 7)), "7 cells"),
        (3, "a function from a model to data"),
    ],
)
def test_a_bad_forward_model_is_told_at_once(known, function, says):
    with pytest.raises(InputError, match=says):
        Inverse(known[0].space, function, known[0].data, 0.3, representation=False)


def test_a_forward_model_that_hangs_is_stopped(known):
    start = time.monotonic()
    with pytest.raises(InputError, match=r"longer than 0\.2 s"):
        Inverse(known[0].space, lambda m: time.sleep(30), known[0].data, 0.3, representation=False, run_limit_s=0.2)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("noise", "says"),
    [
        (0.0, "above zero"),
        (-1.0, "above zero"),
        (np.nan, "above zero"),
        (np.ones(5), r"shape \(5,\), and the data have \(12,\)"),
        (np.ones((N, N)), "not positive definite"),
        (np.triu(np.ones((N, N))), "not symmetric"),
        ("loud", "standard deviation"),
    ],
)
def test_bad_noise_is_told_at_once(noise, says):
    with pytest.raises(InputError, match=says):
        read_noise(noise, (N,), np.ones(N, bool))


def test_bad_data_and_options_are_told_at_once(known):
    space, inverse = known[0].space, known[0]
    for data, says in (
        (np.full(N, np.nan), "nothing to invert"),
        (np.full(N, np.inf), "infinite"),
        ("abc", "no array"),
    ):
        with pytest.raises(InputError, match=says):
            Inverse(space, matrix(), data, 0.3, representation=False)
    with pytest.raises(InputError, match="held-out models"):
        Inverse(space, matrix(), inverse.data, 0.3).solve("map")
    for call, says in (
        (lambda: inverse.solve("magic"), "choose map, laplace"),
        (lambda: inverse.solve("map", n_members=3), "no option n_members"),
        (lambda: inverse.solve("esmda", n_members=3), "at least 10"),
        (lambda: inverse.solve("laplace", n_draws=0), "at least 2"),
        (lambda: inverse.solve("rml", n_draws=1), "at least 2"),
        (lambda: inverse.solve("rml", n_refine=-1), "at least 0"),
        (lambda: inverse.solve("map", time_limit_s=-1), "above zero"),
        (lambda: inverse.solve("map").std(), "no spread"),
        (lambda: inverse.solve("laplace").interval(90), "between 0 and 1"),
        (lambda: inverse.solve("laplace").prob(lambda m: m), "True or False"),
        (lambda: inverse.solve("laplace").sample(0), "at least one"),
        (lambda: Inverse(space, lambda m: matrix() @ m, inverse.data, 0.3, representation=False).solve(
            "mcmc", sampler="hmc"), "Gradients need"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            call()


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
def test_a_killed_solution_goes_on_where_it_was(known, tmp_path, method, options):
    """The resumed run is the run that was not killed."""
    space, g = known[0].space, matrix()
    left = [0]

    class Killed:
        batched = True

        def __call__(self, m):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return m @ g.T

        def adjoint(self, m, w):
            return g.T @ w

    inverse = Inverse(space, Killed(), known[0].data, 0.3, representation=False)
    whole = inverse.solve(method, **options)
    left[0] = -left[0] * 2 // 3  # of all calls
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


def test_a_time_limit_keeps_what_there_is(known):
    posterior = known[0].solve("mcmc", n_draws=10**6, n_warmup=1, time_limit_s=5)
    assert posterior.info["finished"] is False
    assert len(posterior.codes) < 4 * 10**6
    with pytest.raises(InputError, match="time limit"):
        known[0].solve("esmda", time_limit_s=1e-9)


def test_runs_go_to_other_processes(known):
    """Functions that no module holds, too."""
    from concurrent.futures import ThreadPoolExecutor

    g = matrix()
    with ThreadPoolExecutor(2) as workers:
        inverse = Inverse(known[0].space, lambda m: g @ m, known[0].data, 0.3, representation=False, workers=workers)
        assert inverse.problem.predict(np.zeros((3, D))).shape == (3, N)
    with pytest.raises(InputError, match="number of processes"):
        Inverse(known[0].space, lambda m: g @ m, known[0].data, 0.3, representation=False, workers="many")


def test_a_stored_posterior_is_the_same(tmp_path):
    """Draws are decoded from the store; codes of another model are refused."""
    space = LinearSpace.of(rough_models(200, 0), D, rough_models(60, 1))
    posterior = Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1).solve("laplace", n_draws=50)
    path = posterior.save(tmp_path / "posterior.zarr")
    again = load(path, space)
    np.testing.assert_allclose(again.sample(4, seed=3), posterior.sample(4, seed=3))
    assert str(again.diagnose()) == str(posterior.diagnose())
    with pytest.raises(OutputExistsError, match="there already"):
        posterior.save(path)
    space.digest = "1" * 12
    with pytest.raises(StoreError, match="has codes of model"):
        load(path, space)
    (path / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match=r"cannot be read|no posterior"):
        load(path, space)


def test_a_small_ensemble_is_noticed(known):
    """Few members for each code make intervals too narrow."""
    for n_members, told in ((8 * D, False), (8 * D - 1, True)):
        problems = known[0].solve("esmda", n_members=max(n_members, 10)).diagnose().problems
        assert any("members are few" in problem for problem in problems) is told


def test_a_truth_outside_of_the_prior_is_noticed():
    """Data that no model of the prior explains are named."""
    space = LinearSpace.of(rough_models(200, 0), D, rough_models(200, 1))
    g = matrix(5)
    data = g @ rough_models(1, 2)[0]
    fine = Inverse(space, g, data, 0.1).solve("laplace").diagnose()
    data[4] += 30
    bad = Inverse(space, g, data, 0.1).solve("laplace").diagnose()
    assert not fine.problems
    assert bad.conflict_p < 0.01
    assert list(bad.unfit) == [4]
    assert any("cannot fit data 4" in problem for problem in bad.problems)


def test_r_hat_tells_chains_apart():
    """About 1 for draws of one place, far above where a chain is elsewhere; correlated draws count for fewer."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4, 500, 2))
    assert r_hat(draws).max() < 1.02
    assert 1500 < effective_draws(draws).min() < 2800
    draws[0, :, 1] += 3
    assert r_hat(draws)[1] > 1.2
    slow = np.zeros((4, 2000, 1))
    for i in range(1, 2000):
        slow[:, i] = 0.9 * slow[:, i - 1] + rng.normal(size=(4, 1)) * np.sqrt(1 - 0.81)
    assert effective_draws(slow)[0] == pytest.approx(8000 * 0.1 / 1.9, rel=0.35)


def test_figures_are_drawn():
    space = LinearSpace.of(rough_models(200, 0), D, rough_models(60, 1))
    posterior = Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1).solve("laplace", n_draws=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert posterior.plot(truth=rough_models(1, 2)[0]).axes
    with pytest.raises(InputError, match="truth has shape"):
        posterior.plot(truth=np.zeros(3))


def test_forward_counts_what_it_does():
    forward = Forward(matrix())
    forward.check(np.ones(CELLS), (N,))
    forward.run(np.ones((5, CELLS)))
    assert forward.counts() == {"n_runs": 6, "n_jacobians": 0, "n_gradients": 0, "n_failed": 0}
