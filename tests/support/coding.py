"""Tiny models with codes, for tests."""

import numpy as np
import torch

from geoae import nets
from geoae.arrays.scaling import FieldScaler
from geoae.codes.contract import CodeContract
from geoae.codes.model import Coder
from geoae.model import weights_file


def tiny_coder(ndim: int = 2, window: int = 8, sizes: tuple[int, ...] = (2, 4, 8), seed: int = 0) -> Coder:
    """A model of codes with random weights, whose basis is fitted to smooth noise."""
    torch.manual_seed(seed)
    basis = min(2 * sizes[-1], window**ndim)
    config = {"ndim": ndim, "window": window, "sizes": list(sizes), "basis": basis, "experts": 3, "rounds": 2,
              "width": 16, "depth": 1}  # fmt: skip
    net = nets.build("window-ae", config)
    x = np.random.default_rng(seed).normal(size=(64, 1, *[window] * ndim)).cumsum(-1)
    scaler = FieldScaler(ndim, 1)
    net.fit(torch.from_numpy(scaler.apply(x)[0]))
    with torch.no_grad():  # so that the nets beside the straight path count
        for layers in (net.more_code, net.more_window):
            layers[-1].weight.normal_(std=0.02)
    shape = (window,) * ndim
    contract = CodeContract("tiny-codes", "Codes for tests.", shape, shape, sizes[-1])
    return Coder(contract, "window-ae", config, net.eval(), scaler, weights_file.pack_weights(net)[1][:12])
