"""Forward models of torch, in every type of tensor."""

import numpy as np
import pytest
import torch
from torch import nn

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.priors.pca import pca_space
from tests.invert.problems import CELLS, D, N, exact_space, matrix

G = matrix()
SPACE = pca_space(exact_space().decode(exact_space().sample(60)), D)
DATA = G @ SPACE.decode(np.array([0.5, -1.0, 0.3]))


def linear(dtype):
    net = nn.Linear(CELLS, N, bias=False, dtype=dtype)
    net.weight.data[:] = torch.from_numpy(G)
    return net


class Mixed(nn.Module):
    """Its first parameter has another type than the layer."""

    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(1, dtype=torch.float64)), linear(torch.float32)

    def forward(self, m):
        return self.scale * self.layer(m)


def in_place(m):
    data = torch.from_numpy(G) @ m
    m -= 3
    return data


NET = linear(torch.float32)
FUNCTIONS = {
    "float32 module": (linear(torch.float32), {}),
    "float32 module, batched": (linear(torch.float32), {"batched": True}),
    "float64 module": (linear(torch.float64), {}),
    "module of two types": (Mixed(), {}),
    "function with a float32 module": (lambda m: NET(m), {"torch": True}),
    "float64 function that changes its argument": (in_place, {"torch": True}),
    "without forward derivative": (lambda m: Twice.apply(torch.from_numpy(G / 2) @ m), {"torch": True}),
}


class Twice(torch.autograd.Function):
    """Twice its argument, with a backward pass only."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, slope):
        return 2 * slope


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_type_gives_the_same_mode_and_gradient(name):
    """Runs, Jacobians and gradients use the type that the function takes, and leave its parameters alone."""
    function, options = FUNCTIONS[name]
    found = Inverse(SPACE, function, DATA, 0.3, representation=False, **options)
    expected = Inverse(SPACE, G, DATA, 0.3, representation=False)
    np.testing.assert_allclose(found.solve("map").code, expected.solve("map").code, atol=1e-3)
    z = np.random.default_rng(0).normal(size=(2, D))
    np.testing.assert_allclose(found.problem.gradient(z)[1], expected.problem.gradient(z)[1], rtol=1e-3, atol=1e-3)
    if isinstance(function, nn.Module):
        assert all(parameter.grad is None for parameter in function.parameters())


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (lambda m: (torch.from_numpy(G) @ m).numpy(), {"torch": True}, "gave a ndarray"),
        (lambda m: torch.from_numpy(G) @ m * 1j, {"torch": True}, "complex"),
        (nn.Linear(CELLS + 1, N), {}, "failed for the model"),
        (lambda m: nn.Linear(CELLS, N)(m), {}, r"give torch=True"),
        (lambda m: torch.from_numpy(G) @ m.detach(), {"torch": True}, r"0\.00 times .*100 %.*detach no tensor"),
        (lambda m: torch.from_numpy(G @ m.numpy()), {"torch": True}, "Torch finds no derivative .*RuntimeError"),
    ],
)
def test_what_gives_no_real_tensor_is_refused(function, options, says):
    with pytest.raises(InputError, match=says):
        Inverse(SPACE, function, DATA, 0.3, representation=False, **options)
