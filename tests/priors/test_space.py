"""The latent space: exact derivatives, physical units, any leading dimensions, errors of one line."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae import model as models
from geoae import nets
from geoae.arrays import transforms
from geoae.errors import InputError, ModelFileError
from geoae.priors.contract import PriorContract
from geoae.priors.pca import pca_model, pca_space
from geoae.priors.prior import Prior
from geoae.priors.space import LatentSpace
from geoae.records import infer

D, SHAPE = 3, (6, 5)


def fields(n=120, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    modes = np.random.default_rng(99).normal(size=(D, *SHAPE))
    return np.einsum("nk,kij->nij", rng.normal(size=(n, D)), modes) + noise * rng.normal(size=(n, *SHAPE)) + 5


def vae_model(shape=SHAPE, likelihood="gaussian", kind="log", **more):
    torch.manual_seed(1)
    config = {"ndim": len(shape), "shape": list(shape), "latent": D, "likelihood": likelihood, "hidden": 12, "depth": 1,
              "widths": [4, 3], "patch": 1, **more}  # fmt: skip
    net = nets.build("vae", config).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    rule = transforms.fit_transform(kind, np.exp(np.random.default_rng(0).normal(size=100)))
    return Prior(PriorContract("tiny", "for tests", shape, D, "m/s"), "vae", config, net, rule, "0" * 12)


@pytest.fixture(scope="module")
def linear():
    return pca_space(fields(), D, units="km/s")


@pytest.fixture(scope="module", params=["pca", "1-D", "2-D", "facies", "bent"])
def space(request, linear):
    if request.param == "pca":
        return linear
    if request.param == "bent":
        return LatentSpace(vae_model(couplings=3, coupling_width=6), "float64")
    if request.param == "facies":
        return LatentSpace(vae_model(likelihood="bernoulli", kind="affine"), "float64")
    return LatentSpace(vae_model((9,) if request.param == "1-D" else SHAPE), "float64")


def test_derivatives_are_right(space):
    """jvp against central differences, vjp against its adjoint; all forms of the derivative agree."""
    found = space.check_derivative(seed=3)
    assert found["finite_difference"] < 1e-6
    assert found["adjoint"] < 1e-10
    z, dz = np.random.default_rng(0).normal(size=(2, D))
    jacobian = space.jacobian(z)
    assert jacobian.shape == (*space.shape, D)
    np.testing.assert_allclose(jacobian @ dz, space.jvp(z, dz))
    operator = space.linear_operator(z)
    np.testing.assert_allclose(operator @ dz, space.jvp(z, dz).ravel())
    np.testing.assert_allclose(operator @ np.eye(D), jacobian.reshape(-1, D))
    dm = np.random.default_rng(1).normal(size=space.shape)
    np.testing.assert_allclose(operator.rmatvec(dm.ravel()), np.tensordot(dm, jacobian, dm.ndim))


@settings(max_examples=10)
@given(lead=st.lists(st.integers(1, 3), max_size=3))
def test_leading_dimensions_are_free(lead):
    """Methods give the same for a batch and for single codes."""
    space = LatentSpace(vae_model(), "float64")
    z = np.random.default_rng(0).normal(size=(*lead, D))
    m = space.decode(z)
    assert m.shape == (*lead, *SHAPE)
    assert space.encode(m).shape == z.shape
    assert space.log_prior(z).shape == tuple(lead)
    assert space.jacobian(z).shape == (*lead, *SHAPE, D)
    assert space.vjp(z, m).shape == z.shape
    first = (0,) * len(lead)
    np.testing.assert_allclose(m[first], space.decode(z[first]))
    np.testing.assert_allclose(space.jacobian(z)[first], space.jacobian(z[first]))
    np.testing.assert_allclose(space.vjp(z, m)[first], space.vjp(z[first], m[first]))


def test_tensors_in_tensors_out(space):
    """Values are those of numpy, and autograd through decode is vjp."""
    z = torch.randn(4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    m = space.decode(z)
    np.testing.assert_allclose(m.detach().numpy(), space.decode(z.detach().numpy()))
    dm = torch.randn(m.shape, dtype=torch.float64)
    (found,) = torch.autograd.grad((m * dm).sum(), z)
    np.testing.assert_allclose(found.numpy(), space.vjp(z.detach().numpy(), dm.numpy()))
    torch.testing.assert_close(space.vjp(z.detach(), dm), found)
    np.testing.assert_allclose(space.jacobian(z.detach()).numpy(), space.jacobian(z.detach().numpy()))
    torch.testing.assert_close(space.encode(m.detach()), torch.from_numpy(space.encode(m.detach().numpy())))


def test_refined_codes_decode_nearer():
    """Gauss-Newton steps find the code of a model more precisely than the encoder."""
    space = LatentSpace(vae_model(kind="affine"), "float64")
    z = space.sample(20, 0)
    m = space.decode(z)
    rough, fine = (np.square(space.decode(space.encode(m, refine=n)) - m).mean() for n in (0, 30))
    assert fine < 0.05 * rough


def test_the_prior_is_normal(space):
    """The seed determines samples; the density is that of N(0, I)."""
    z = space.sample(4000, 1)
    np.testing.assert_array_equal(z, space.sample(4000, 1))
    np.testing.assert_allclose(np.cov(z.T), np.eye(D), atol=0.1)
    expected = -0.5 * np.square(z).sum(1) - 0.5 * D * np.log(2 * np.pi)
    np.testing.assert_allclose(space.log_prior(z), expected)


def test_missing_cells_are_masked_and_the_others_used():
    """Cells missing in all models decode to NaN with derivative 0; other missing cells are filled."""
    x = fields()
    x[:, 0, 0] = np.nan
    x[5, 3, 3] = np.nan
    space = pca_space(x, D)
    assert not space.mask[0, 0]
    assert space.mask.sum() == 29
    m = space.decode(space.encode(x[5], refine=3))
    assert np.isnan(m[0, 0])
    assert abs(m[3, 3] - fields()[5, 3, 3]) < 0.3
    z = space.sample(1, 0)[0]
    assert (space.jacobian(z)[0, 0] == 0).all()
    assert np.isfinite(space.vjp(z, m)).all()
    assert max(space.check_derivative(z).values()) < 1e-6


def test_residuals_are_the_representation_error(linear):
    """Held-out models come with their reconstruction; what is left is the noise that was added."""
    truth, estimate = linear.representation_residuals()
    assert truth.shape == estimate.shape == (12, *SHAPE)
    np.testing.assert_allclose(truth, fields()[9::10], rtol=1e-6)
    assert 0.03 < (truth - estimate).std() < 0.06


def test_places(space):
    """Ways end where they should and keep their length, neighbours are the nearest, the atlas fills two axes."""
    a, b = np.random.default_rng(2).normal(size=(2, D))
    way = space.interpolate(a, b * np.linalg.norm(a) / np.linalg.norm(b), 7)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), np.linalg.norm(a))
    np.testing.assert_allclose(space.interpolate(a, b)[[0, -1]], [a, b])
    np.testing.assert_allclose(space.interpolate(a, b, 3, "linear")[1], (a + b) / 2)
    among = np.random.default_rng(3).normal(size=(50, D))
    index, distance = space.neighbours(a, 4, among)
    np.testing.assert_array_equal(index, np.argsort(np.linalg.norm(among - a, axis=1))[:4])
    np.testing.assert_allclose(distance, np.sort(np.linalg.norm(among - a, axis=1))[:4])
    z, m = space.atlas(3, (0, 2))
    assert m.shape == (3, 3, *space.shape)
    assert (z[..., 1] == 0).all()
    np.testing.assert_allclose(z[:, 0, 0], [-0.96742157, 0, 0.96742157])


@pytest.mark.parametrize("make", [lambda: pca_model(fields(), D, transform="normal-score"), vae_model])
def test_saved_and_loaded_is_the_same(make, tmp_path):
    """Weights, transform, mask and held-out models come back; a damaged companion is refused."""
    made = make()
    made.save(tmp_path / "m", "# card")
    before, after = LatentSpace(made), LatentSpace(tmp_path / "m")
    z = before.sample(5, 0)
    np.testing.assert_array_equal(before.decode(z), after.decode(z))
    assert (after.units, after.digest) == (before.units, made.digest)
    if made.companions:
        np.testing.assert_array_equal(after.held_out, before.held_out)
        raw = bytearray((tmp_path / "m" / models.COMPANIONS).read_bytes())
        raw[-1] ^= 1
        (tmp_path / "m" / models.COMPANIONS).write_bytes(raw)
        with pytest.raises(ModelFileError, match="damaged"):
            LatentSpace(tmp_path / "m")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.decode(np.zeros(4)), r"Codes of shape \(4,\).*3"),
        (lambda s: s.encode(np.zeros((5, 6))), r"Models of shape \(5, 6\).*\(6, 5\)"),
        (lambda s: s.vjp(np.zeros(3), np.zeros(30)), r"Models of shape \(30,\)"),
        (lambda s: s.linear_operator(np.zeros((2, 3))), r"Expected one code"),
        (lambda s: s.interpolate(np.ones(3), np.ones(3), how="cubic"), "spherical"),
        (lambda s: s.neighbours(np.ones(3), 99), "12 codes"),
        (lambda s: s.atlas(axes=(0, 3)), r"axes are \(0, 3\)"),
        (lambda s: s.labelled(np.zeros((2, 3)), ("a", "b")), "name 2 leading"),
        (lambda s: LatentSpace(s.model, "half"), "float64"),
        (lambda s: LatentSpace("seismic"), "not a prior"),
        (
            lambda s: infer.check_rate(100.0, s.model, "x"),
            "not a denoiser of records",
        ),
        (lambda s: LatentSpace(vae_model()).held_out, "hold_out"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(linear, call, words):
    """The message has one line."""
    with pytest.raises(InputError, match=words) as caught:
        call(linear)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.sample(3, -1), "seed is -1"),
        (lambda s: s.sample(-3), "n is -3"),
        (lambda s: s.decode(np.zeros(s.d, complex)), "codes are complex"),
        (lambda s: s.encode(np.zeros(s.shape, complex)), "models are complex"),
        (lambda s: s.vjp(np.zeros(s.d), np.full(s.shape, "a")), "no array of numbers"),
        (lambda s: LatentSpace(np.zeros((9, 4))), "The model is a ndarray; give the name"),
        (lambda s: LatentSpace(s.model.net), "The model is a LinearAE; give the name"),
    ],
)
def test_what_is_no_number_or_prior_is_refused(call, words):
    space = LatentSpace(pca_model(np.random.default_rng(0).normal(size=(30, 6)), 2))
    with pytest.raises(InputError, match=words):
        call(space)
