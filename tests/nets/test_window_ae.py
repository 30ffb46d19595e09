"""The autoencoder of windows: no worse than principal components, and beginnings of its codes are codes."""

import numpy as np
import pytest
import torch

from geoae import nets
from geoae.arrays.scaling import FieldScaler
from geoae.errors import InputError


def mixed(n: int, seed: int, size: int = 16) -> torch.Tensor:
    """Windows of two kinds: slow and fast oscillations of any phase, scaled."""
    rng = np.random.default_rng(seed)
    t = np.arange(size) / size
    low = np.where(np.arange(n) % 2, 1, 5)[:, None] + rng.uniform(0, 1, (n, 1))
    x = rng.normal(size=(n, 1)) * np.cos(2 * np.pi * low * t) + rng.normal(size=(n, 1)) * np.sin(2 * np.pi * low * t)
    return torch.from_numpy(FieldScaler(1, 1).apply(x[:, None] + 0.01 * rng.normal(size=(n, 1, size)))[0])


def fitted(**config):
    torch.manual_seed(0)
    config = {"ndim": 1, "window": 16, "sizes": [2, 4, 6], "basis": 16, "experts": 4, "rounds": 6, "width": 8, **config}
    net = nets.build("window-ae", config).eval()
    net.fit(mixed(2000, 0))
    return net


def errors(net, x, size):
    with torch.no_grad():
        return (net.decode(net.encode(x)[:, :size]) - x).square().mean((1, 2))


@pytest.mark.parametrize("size", [4, 6])
def test_codes_are_better_than_principal_components_of_their_length(size):
    """Windows of several kinds, each with components of its own, gain more than the number that tells the kind."""
    net, x, y = fitted(), mixed(2000, 0).flatten(1), mixed(500, 1)
    directions = torch.linalg.eigh(x.T @ x)[1].flip(1)[:, :size]
    flat = y.flatten(1)
    left = (flat - flat @ directions @ directions.T).square().mean()
    assert errors(net, y, size).mean() < 0.8 * left


def test_the_first_set_is_that_of_all_windows():
    """With one set, a code is principal components but for its first number."""
    net, x, y = fitted(experts=1), mixed(2000, 0).flatten(1), mixed(100, 1)
    directions = torch.linalg.eigh(x.T @ x)[1].flip(1)[:, :5]
    flat = y.flatten(1)
    expected = (flat - flat @ directions @ directions.T).square().mean(1)
    np.testing.assert_allclose(errors(net, y, 6), expected, atol=2e-3)


def test_the_longer_the_better():
    """More numbers of a code give windows back better, down to one and up to all."""
    net, y = fitted(), mixed(500, 1)
    found = [float(errors(net, y, size).mean()) for size in range(1, 7)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.3 * found[0]


@pytest.mark.parametrize("ndim", [1, 2])
def test_shapes(ndim):
    """Whole codes have the last of the sizes; windows come back in their shape, in training too."""
    net = nets.build("window-ae", {"ndim": ndim, "window": 8, "sizes": [2, 4], "basis": 8, "experts": 2, "width": 4})
    x = torch.randn(9, 1, *[8] * ndim, generator=torch.Generator().manual_seed(0))
    assert net.encode(x).shape == (9, 4)
    assert net(x).shape == net.eval()(x).shape == x.shape
    assert torch.isfinite(net(1e6 * x)).all()


def test_training_makes_windows_come_back_better():
    """Every weight gets a slope once its last layer is not zero, and windows that were not trained on gain too.

    With one set of components the nets have much to add to it: over twice as much as is asked for here.
    """
    net, x, other = fitted(experts=1, width=32).train(), mixed(512, 2), mixed(512, 3)

    def loss(windows: torch.Tensor) -> torch.Tensor:
        return (net(windows) - windows).square().mean((1, 2)).add(1e-4).log().mean()

    before = [float(loss(windows).detach()) for windows in (x, other)]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    trained, unseen = (float(loss(windows).detach()) for windows in (x, other))
    assert trained < before[0] - 0.3
    assert unseen < before[1] - 0.15


def test_fitting_again_gives_the_same():
    """Nothing in it is left to chance."""
    one, two = fitted().state_dict(), fitted().state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("config", [{"ndim": 3}, {"sizes": [4, 2]}, {"sizes": [1]}, {"basis": 17}, {"basis": 5}])
def test_sizes_that_do_not_fit_are_refused(config):
    """One line that names the setting."""
    with pytest.raises(InputError, match=next(iter(config))) as caught:
        fitted(**config)
    assert "\n" not in str(caught.value)
