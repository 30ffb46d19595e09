"""The variational autoencoder: any shape of model, exact draws and gradients, codes that are whitened."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae import nets
from geoae.errors import InputError
from geoae.nets.linear_ae import LinearAE, LinearAEConfig
from geoae.nets.parts.couplings import Couplings
from geoae.nets.vae import VAE, VAEConfig, _fold, _unfold


def tiny(shape=(13,), latent=3, likelihood="gaussian", **changes):
    torch.manual_seed(0)
    sizes = {"hidden": 16, "depth": 1, "widths": (6, 4), "patch": 2} | changes
    net = VAE(VAEConfig(len(shape), tuple(shape), latent, likelihood, **sizes))
    for p in net.parameters():  # the last layers begin with zeros, which would hide mistakes
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.3)
    return net.eval()


@settings(max_examples=10)
@given(shape=st.lists(st.integers(2, 19), min_size=1, max_size=2), levels=st.integers(0, 3), patch=st.integers(1, 3))
def test_any_shape_of_model(shape, levels, patch):
    """1-D and 2-D, odd and even, smaller than the net's strides, with and without convolutions: shapes as promised."""
    layers = "convolutions" if levels else "dense"
    pool = 1 if levels else patch
    net = tiny(shape, 2, widths=tuple(range(4, 4 + levels)) or (4,), patch=patch, layers=layers, pool=pool)
    x = torch.randn(3, 1, *shape)
    assert net.encode(x).shape == (3, 2)
    assert net.decode(net.encode(x)).shape == x.shape
    assert net(x.expand(3, 3, *shape)).shape == (3, int(np.prod(shape)) + 4)


@pytest.mark.parametrize(("shape", "pools"), [((5,), [(0, 1), (2, 3), (4,)]), ((3, 2), [(0, 1, 2, 3), (4, 5)])])
def test_layers_of_the_encoder_see_means_of_cells(shape, pools):
    """Cells of one pool may change places; the last pools are as small as what is left."""
    net = tiny(shape, 2, layers="dense", pool=2)
    torch.nn.init.zeros_(net.straight_in.weight)  # this one sees all cells
    x = torch.randn(1, 1, int(np.prod(shape)), generator=torch.Generator().manual_seed(0))
    turned, moved = x.clone(), x.clone()
    for pool in pools:
        turned[..., pool] = x[..., pool[::-1]]
    moved[..., [0, -1]] = x[..., [-1, 0]]
    mean, *others = (torch.cat(net.posterior(y.reshape(1, 1, *shape))) for y in (x, turned, moved))
    torch.testing.assert_close(others[0], mean)
    assert not torch.allclose(others[1], mean)


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 3, 6, 4)])
def test_fold_is_undone_and_is_torchs_where_torch_has_one(shape):
    """Neighbouring points become channels and back."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_unfold(_fold(x, 2), 2), x)
    if x.ndim == 4:
        assert torch.equal(_fold(x, 2), torch.nn.functional.pixel_unshuffle(x, 2))


def test_reparameterised_gradients_are_those_of_finite_differences():
    """The slope of the drawn output by every weight is right to 1e-6, noise held still."""
    net = tiny((5,), 2, hidden=4, widths=(2,), patch=1).double()
    shown = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    names = ["to_posterior.weight", "from_code.weight", "straight_out.weight"]
    weights = dict(net.named_parameters())

    def total(*values):
        out = torch.func.functional_call(net, dict(zip(names, values, strict=True)), (shown,))
        return (out[:, :5].sin()).sum()

    assert torch.autograd.gradcheck(total, tuple(weights[n].detach().requires_grad_() for n in names), atol=1e-6)


def test_the_draw_has_the_posteriors_mean_and_variance():
    """forward decodes mean + deviation times the noise it is shown."""
    net = tiny((9,), 2)
    x, noise = torch.randn(1, 1, 9), torch.zeros(1, 1, 9)
    noise[0, 0, :2] = torch.tensor([1.0, -2.0])
    mean, log_variance = net.posterior(x)
    expected = net.output(mean + noise[0, :, :2] * (0.5 * log_variance).exp()).flatten(1)
    found = net(torch.cat([x, torch.ones_like(x), noise], 1))
    torch.testing.assert_close(found[:, :9], expected)
    torch.testing.assert_close(found[:, 9:11], mean)


def test_whitening_moves_codes_and_not_models():
    """Codes get mean 0 and covariance I; what they decode to stays the same."""
    net = tiny((12,), 3).double()
    x = torch.randn(500, 1, 12, dtype=torch.float64)
    before, models = net.encode(x), net.decode(net.encode(x))
    net.whiten(before.mean(0), torch.cov(before.T, correction=0))
    after = net.encode(x)
    torch.testing.assert_close(torch.cov(after.T, correction=0), torch.eye(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(net.decode(after), models)


@settings(max_examples=15)
@given(latent=st.integers(2, 7), n=st.integers(0, 5), seed=st.integers(0, 99))
def test_couplings_are_undone_and_know_their_determinant(latent, n, seed):
    """There and back is the identity, for any number of them; the logarithm is that of the Jacobian's determinant."""
    torch.manual_seed(seed)
    bend = Couplings(latent, n, 8).double()
    code = torch.randn(4, latent, dtype=torch.float64)
    torch.testing.assert_close(bend.to_normal(code)[0], code)  # before they are fitted
    for p in bend.parameters():
        torch.nn.init.normal_(p, std=0.5)
    many = 3 + 2 * torch.randn(500, latent, dtype=torch.float64)
    bend.standardise(many)
    bend.standardise(many)  # once more changes nothing
    torch.testing.assert_close(bend.to_normal(many)[0].mean(0), torch.zeros(latent).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(bend.to_normal(many)[0].std(0), torch.ones(latent).double())
    normal, log_determinant = bend.to_normal(code)
    torch.testing.assert_close(bend.from_normal(normal), code)
    for one, expected in zip(code, log_determinant, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: bend.to_normal(v[None])[0][0], one)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], expected)


def test_couplings_bend_codes_and_not_models():
    """What a model encodes to decodes as it did without them."""
    straight, bent = (tiny((12,), 3, couplings=n).double() for n in (0, 3))
    bent.load_state_dict(straight.state_dict(), strict=False)
    x = torch.randn(20, 1, 12, dtype=torch.float64)
    assert not torch.allclose(bent.encode(x), straight.encode(x))
    torch.testing.assert_close(bent.decode(bent.encode(x)), straight.decode(straight.encode(x)))


def test_bernoulli_decodes_to_probabilities():
    """Between 0 and 1, and steeper the sharper."""
    net = tiny((6, 5), 2, "bernoulli")
    z = torch.randn(50, 2)
    soft = net.decode(z).detach()
    net.sharpness.fill_(4.0)
    sharp = net.decode(z).detach()
    assert 0 <= float(soft.min()) <= float(soft.max()) <= 1
    assert ((sharp - 0.5).abs() >= (soft - 0.5).abs()).all()


def test_what_makes_no_net_is_refused():
    """Dimensions that do not fit, an unknown likelihood, more codes than cells."""
    for config, word in (
        ({"ndim": 1, "shape": [4, 4]}, "ndim"),
        ({"likelihood": "poisson"}, "bernoulli"),
        ({"layers": "recurrent"}, "dense"),
        ({"pool": 2}, "dense"),
        ({"pool": 99, "layers": "dense"}, "along a side"),
        ({"ndim": 1, "shape": [4], "latent": 1, "couplings": 2}, "couplings"),
        ({"ndim": 1, "shape": [4], "latent": 5}, "latent"),
    ):
        with pytest.raises(InputError, match=word):
            nets.build("vae", config)


def data(n=300, d=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.linspace(3, 0.3, d) @ np.linalg.qr(rng.normal(size=(d, d)))[0] + 1.5
    return torch.from_numpy(x)


def cosines(a, b):
    """Of the principal angles between the columns of two matrices."""
    return torch.linalg.svdvals(torch.linalg.qr(a)[0].mT @ torch.linalg.qr(b)[0])


def test_a_trained_linear_autoencoder_spans_the_principal_components():
    """Gradient descent on the squared error ends in the same subspace: all cosines above 0.999."""
    torch.manual_seed(0)
    x = data()
    net = LinearAE(LinearAEConfig((12,), 3)).double()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure():
        optimizer.zero_grad()
        loss = (net(x[:, None])[:, 0] - x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    components = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][:3].mT
    assert cosines(net.from_code.weight.detach(), components).min() > 0.999


def test_fitted_components_are_those_of_the_svd_and_their_codes_normal():
    """Wide and tall data: the truncated SVD's reconstruction, codes of mean 0 and variance 1."""
    for x in (data(), data(20, 40)):
        net = LinearAE(LinearAEConfig((x.shape[1],), 4)).double()
        net.fit(x, torch.ones_like(x))
        u, s, v = torch.linalg.svd(x - x.mean(0), full_matrices=False)
        torch.testing.assert_close(net(x[:, None])[:, 0].detach(), u[:, :4] * s[:4] @ v[:4] + x.mean(0))
        codes = net.encode(x[:, None]).detach()
        torch.testing.assert_close(torch.cov(codes.T, correction=0), torch.eye(4).double(), atol=1e-8, rtol=0)


def test_missing_cells_do_not_count():
    """Components of data with holes are near those of the whole data, not those of zeros."""
    x = data(400)
    there = (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) > 0.1).double()
    net, whole = (LinearAE(LinearAEConfig((12,), 3)).double() for _ in range(2))
    net.fit(x * there, there)
    whole.fit(x, torch.ones_like(x))
    assert cosines(net.from_code.weight.detach(), whole.from_code.weight.detach()).min() > 0.98
