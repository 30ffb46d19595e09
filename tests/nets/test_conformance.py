"""Every net keeps the promises of its Protocols; the checks find nets that break them; packages can bring nets."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from geoae import nets
from geoae.arrays.neighbours import N_CHANNELS
from geoae.errors import InputError, UnknownNameError
from geoae.nets.parts.couplings import Couplings
from geoae.nets.protocols import Encodes, EncodesWindows, HasLogProb, Samples, Variational
from geoae.testing.nets import check_denoises, check_encodes, check_log_prob, check_net, check_samples

VAE = {"latent": 3, "hidden": 8, "depth": 1, "widths": [4, 4]}
# name, configuration, (channel, *window) of one input
CASES = [
    ("cascade-dae", {"width": 8, "dilations": [1, 2]}, (3, 640)),
    ("cascade-dae", {"width": 8, "dilations": [1], "channels": 1}, (1, 100)),
    ("octave-dae", {"width": 8, "dilations": [1, 2]}, (3, 640)),
    ("field-dae", {"width": 8, "middle": 8, "deep": 8, "blocks": 1}, (N_CHANNELS, 32, 40)),
    ("identity", {"channels": 2}, (2, 50)),
    ("linear-ae", {"shape": [5, 4], "latent": 3}, (1, 5, 4)),
    ("vae", {**VAE, "ndim": 1, "shape": [13]}, (3, 13)),
    ("vae", {**VAE, "shape": [7, 6], "likelihood": "bernoulli", "couplings": 2}, (3, 7, 6)),
    ("vae", {**VAE, "shape": [7, 6], "likelihood": "learned", "layers": "dense", "pool": 2}, (3, 7, 6)),
    ("window-ae", {"ndim": 1, "window": 16, "sizes": [2, 4], "basis": 8, "experts": 2, "width": 4}, (1, 16)),
    ("window-ae", {"ndim": 2, "window": 8, "sizes": [2, 4], "basis": 8, "experts": 2, "width": 4}, (1, 8, 8)),
]
NAMES = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
DENOISERS, PRIORS = {"cascade-dae", "field-dae", "identity", "octave-dae"}, {"linear-ae", "vae"}


def test_every_net_is_checked():
    """A net that is entered in the table has a case here."""
    assert {name for name, _, _ in CASES} == set(nets.NETS)


@pytest.mark.parametrize(("name", "config", "shape"), CASES, ids=NAMES)
def test_nets_keep_their_promises(name, config, shape):
    """Configuration, shapes, finite output, independence of windows, weights from the seed and from state_dict."""
    check_net(name, config, shape)
    if name in DENOISERS:
        check_denoises(name, config, shape)
    elif name in PRIORS:
        check_samples(name, config)
    else:
        check_encodes(name, config, shape)


@pytest.mark.parametrize(("name", "config", "shape"), CASES, ids=NAMES)
def test_protocols_tell_nets_apart(name, config, shape):
    """What a net can be used for follows from its methods."""
    net = nets.build(name, config)
    protocols = (Encodes, EncodesWindows, Samples, Variational)
    expected = {"linear-ae": (True, False, True, False), "vae": (True, False, True, True),
                "window-ae": (True, True, False, False)}  # fmt: skip
    assert tuple(isinstance(net, p) for p in protocols) == expected.get(name, (False,) * 4)


@pytest.mark.parametrize(("latent", "n"), [(1, 0), (2, 0), (2, 3)])
def test_couplings_are_densities(latent, n):
    """Standard normal where there are none; integrating to 1 when they bend codes, too."""
    torch.manual_seed(0)
    bend = Couplings(latent, n, 8)
    for p in bend.parameters():
        nn.init.normal_(p, std=0.3)
    assert isinstance(bend, HasLogProb)
    check_log_prob(bend, latent)
    if not n:
        code = torch.tensor([[0.5] * latent, [-2.0] * latent])
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(code).sum(1)
        torch.testing.assert_close(bend.log_prob(code), expected)


@dataclass(frozen=True)
class PlainConfig:
    gain: float = 0.5
    latent: int = 2


class Plain(nn.Module):
    """A net that keeps all promises of `check_net` and of `check_encodes` for windows of two samples."""

    Config = PlainConfig

    def __init__(self, config):
        super().__init__()
        self.config, self.weight = config, nn.Parameter(torch.randn(()))

    @property
    def latent(self):
        return self.config.latent

    def forward(self, x):
        return self.config.gain * x + 0 * self.weight

    def encode(self, x):
        return x.flatten(1)

    def decode(self, code):
        return code[:, None]


class Mixing(Plain):
    def forward(self, x):
        return x - x.mean(0)


class Dividing(Plain):
    def forward(self, x):
        return x / x.abs().amax((1, 2), keepdim=True)


class Forgetting(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.secret = torch.randn(())

    def forward(self, x):
        return self.secret * x


class Changing(Plain):
    @dataclass
    class Config:
        gain: float = 0.5
        latent: int = 2
        __hash__ = None


class Pooling(Plain):
    def forward(self, x):
        return x[..., ::2]


class Short(Plain):
    def encode(self, x):
        return x.flatten(1)[:, :1]


@pytest.mark.parametrize(
    ("check", "net", "words"),
    [(check_net, Mixing, "depends on its batch"), (check_net, Dividing, "zeros: .*not finite"),
     (check_net, Forgetting, "not in state_dict"), (check_net, Changing, "frozen=True"),
     (check_denoises, Pooling, "came back as"), (check_encodes, Short, "codes have shape"),
     (check_encodes, nn.Identity, "no dataclass Config")],
)  # fmt: skip
def test_broken_promises_are_found(check, net, words):
    """A net that keeps all but one promise fails with a message about that one."""
    check_net(Plain, {}, (1, 2))
    check_denoises(Plain, {}, (1, 2))
    check_encodes(Plain, {}, (1, 2))
    with pytest.raises((AssertionError, InputError), match=words):
        check(net, {}, (1, 2))


MODULE = """
from dataclasses import dataclass
from torch import nn


@dataclass(frozen=True)
class Config:
    factor: float = 0.5


class Damp(nn.Module):
    Config = Config

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, x):
        return self.config.factor * x


class Bare(nn.Module):
    pass


number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch):
    """Install packages in a temporary folder: each has the module `brought_nets` and the entries that are given."""

    def install(entries: str, name: str = "brought") -> None:
        (tmp_path / "brought_nets.py").write_text(MODULE)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[geoae.nets]\n{entries}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    sys.modules.pop("brought_nets", None)


def test_packages_bring_nets(package):
    """A net of an entry point is listed without being imported, built by its name, and checked as ours are."""
    package("damp = brought_nets:Damp")
    assert "damp" in nets.list_nets()
    assert "brought_nets" not in sys.modules
    assert nets.build("damp", {"factor": 2.0})(torch.ones(1)) == 2
    check_net("damp", {}, (3, 20))
    with pytest.raises(UnknownNameError, match=r"no setting facto\..*It has: factor"):
        nets.build("damp", {"facto": 2.0})
    with pytest.raises(UnknownNameError, match="The nets are: cascade-dae, damp, field-dae"):
        nets.build("dmap", {})


def test_nets_of_geoae_come_first(package):
    """A package cannot replace a net that shipped models are made of."""
    package("identity = brought_nets:Damp")
    x = torch.ones(1, 1, 4)
    assert torch.equal(nets.build("identity", {})(x), x)
    assert "brought_nets" not in sys.modules


@pytest.mark.parametrize(
    ("entry", "words"),
    [("gone = brought_nets:Gone", "'gone' .*cannot be imported.*Install its package again"),
     ("gone = no_such_module_at_all:Net", "cannot be imported"),
     ("number = brought_nets:number", "is 3; expected a class that inherits"),
     ("bare = brought_nets:Bare", "'bare' has no dataclass Config")],
)  # fmt: skip
def test_packages_with_faults_are_named(package, entry, words):
    """One line that says which net, where it should come from, and what is wrong."""
    package(entry)
    with pytest.raises(InputError, match=words) as caught:
        nets.build(entry.partition(" ")[0], {})
    assert "\n" not in str(caught.value)


def test_one_name_is_one_net(package):
    """Two packages with a net of one name are refused."""
    package("damp = brought_nets:Damp")
    package("damp = brought_nets:Bare", "other")
    with pytest.raises(InputError, match="2 packages have a net 'damp'"):
        nets.build("damp", {})
