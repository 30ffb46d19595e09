"""Weights go into a file and come back as they were; those that half precision can hold take half the space."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import nn

from geoae.errors import ModelFileError
from geoae.model import load_model, weights_file
from tests.conftest import tiny_model

PATH = Path("weights.safetensors")


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(30, 40), nn.BatchNorm1d(40), nn.Linear(40, 3))


def test_the_digest_is_that_of_the_weights():
    """Same weights, same digest; one changed number, another."""
    one, two = tiny_model(), tiny_model()
    assert weights_file.pack_weights(one.net)[1] == weights_file.pack_weights(two.net)[1]
    with torch.no_grad():
        two.net.decoder.bias[0] += 1e-6
    assert weights_file.pack_weights(one.net)[1] != weights_file.pack_weights(two.net)[1]


@pytest.mark.parametrize("halved", [False, True])
def test_weights_come_back_exactly(halved):
    """Tensors keep dtype and value; rounded weights take half the bytes."""
    one, two = net(0), net(1)
    if halved:
        weights_file.halve_weights(one)
    raw, _ = weights_file.pack_weights(one)
    weights_file.load_weights(two, raw, PATH, "some")
    for name, tensor in one.state_dict().items():
        found = two.state_dict()[name]
        assert found.dtype == tensor.dtype, name
        assert torch.equal(found, tensor), name
    stored = {name: tensor.dtype for name, tensor in load(raw).items()}
    assert stored["0.weight"] == (torch.float16 if halved else torch.float32)
    assert stored["1.num_batches_tracked"] == torch.int64
    assert weights_file.pack_weights(two)[0] == raw


def test_rounding_is_small_and_happens_once():
    """Half precision has eleven bits: a relative 2^-11 at most, none the second time."""
    one, two = net(), net()
    weights_file.halve_weights(two)
    for name, tensor in one.state_dict().items():
        rounded = two.state_dict()[name]
        np.testing.assert_allclose(rounded, tensor, rtol=2.0**-11, atol=2.0**-25)
    assert not torch.equal(one[0].weight, two[0].weight)
    before = weights_file.pack_weights(two)
    weights_file.halve_weights(two)
    assert weights_file.pack_weights(two) == before


def test_what_half_precision_cannot_hold_stays_single():
    """A tensor with one value beyond 65504 is not rounded, the others are."""
    one = net()
    with torch.no_grad():
        one[0].weight[0, 0] = 1e6
    expected = one[0].weight.clone()
    weights_file.halve_weights(one)
    assert torch.equal(one[0].weight, expected)
    stored = load(weights_file.pack_weights(one)[0])
    assert stored["0.weight"].dtype == torch.float32
    assert stored["2.weight"].dtype == torch.float16


def test_a_halved_model_is_the_model_that_was_saved(tmp_path):
    """After loading, results are the same, bit by bit."""
    model = tiny_model()
    weights_file.halve_weights(model.net)
    model.save(tmp_path, "# a card\n")
    x = np.random.default_rng(0).normal(size=(2, 3, 512))
    np.testing.assert_array_equal(load_model(tmp_path).noise(x), model.noise(x))


def test_a_damaged_file_is_named():
    """The error names the file."""
    with pytest.raises(ModelFileError, match=r"^weights\.safetensors is no safetensors file"):
        weights_file.load_weights(net(), b"PK", PATH, "some")
