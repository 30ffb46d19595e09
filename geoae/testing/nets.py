"""Conformance tests of nets: functions that raise AssertionError if a net breaks a promise on which geoae relies.

Call them from the tests of a package that adds a net, with the class of the net, or its name in the entry-point group
``geoae.nets``, and with a configuration that makes it small::

    from geoae.testing.nets import check_denoises, check_net


    def test_net():
        check_net(MyNet, {"width": 8}, (3, 512))
        check_denoises(MyNet, {"width": 8}, (3, 512))
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from geoae import nets
from geoae.errors import GeoAEError
from geoae.nets.protocols import Encodes, HasLogProb, Samples, Variational

Net = str | type[nn.Module]
_LARGE, _SMALL = 1e4, 1e-6
"""Factors for windows that are scaled to about 1."""
_TOLERANCE = 1e-4
"""Tolerance relative to the largest value, in single precision: sums in another order round differently."""


def check_net(net: Net, config: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Check the promises that all nets must keep.

    Parameters
    ----------
    net
        Name of the net, or its class.
    config
        Settings as plain data, as in a recipe.
    shape
        (channel, *window) of one input of the net.

    Raises
    ------
    AssertionError
        The net breaks a promise; the message says which.
    """
    _check_config(net, config)
    made = _build(net, config)
    for name, x in _inputs(shape):
        y = _apply(made, x)
        assert len(y) == len(x), f"{name}: {len(x)} windows gave {len(y)} outputs; expected one each."
        assert bool(y.isfinite().all()), f"{name}: the output has values that are not finite."
        assert y.dtype == x.dtype, f"{name}: the output is {y.dtype}; expected {x.dtype}."
    x = _draw_windows(4, shape)
    _assert_close(_apply(made, x)[1:2], _apply(made, x[1:2]), "The output of a window depends on its batch")
    _assert_same_weights(made, _build(net, config), "The same seed gave other weights")
    other = _build(net, config, seed=1)
    other.load_state_dict(made.state_dict(), strict=True)
    assert torch.equal(_apply(other, x), _apply(made, x)), (
        "A net with the state_dict of another gives another output: something it computes with is not in state_dict."
    )


def check_denoises(net: Net, config: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Check `geoae.nets.protocols.Denoises`: the output has the window of the input and no more channels.

    Parameters and errors are those of `check_net`.
    """
    made = _build(net, config)
    for name, x in _inputs(shape):
        y = _apply(made, x)
        assert y.shape[2:] == x.shape[2:], f"{name}: window {tuple(x.shape[2:])} came back as {tuple(y.shape[2:])}."
        assert 1 <= y.shape[1] <= x.shape[1], f"{name}: {x.shape[1]} channels came back as {y.shape[1]}."


def check_encodes(net: Net, config: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Check `geoae.nets.protocols.Encodes`: codes of `latent` numbers, decoded to the shape that was encoded.

    Parameters and errors are those of `check_net`; `shape` is (1, *window).
    """
    made = _build(net, config)
    assert isinstance(made, Encodes), f"{type(made).__name__} lacks latent, encode or decode."
    with torch.no_grad():
        for name, x in _inputs(shape):
            code = made.encode(x)
            assert code.shape == (len(x), made.latent), (
                f"{name}: codes have shape {tuple(code.shape)}; expected {(len(x), made.latent)}."
            )
            assert bool(code.isfinite().all()), f"{name}: codes have values that are not finite."
            back = made.decode(code)
            assert back.shape == x.shape, f"{name}: decoded to shape {tuple(back.shape)}; expected {tuple(x.shape)}."
            assert bool(back.isfinite().all()), f"{name}: decoded values are not finite."
        x = _draw_windows(4, shape)
        code = made.encode(x)
        _assert_close(code[1:2], made.encode(x[1:2]), "The code of a window depends on its batch")
        _assert_close(made.decode(code)[1:2], made.decode(code[1:2]), "A decoded window depends on its batch")


def check_samples(net: Net, config: dict[str, Any]) -> None:
    """Check `geoae.nets.protocols.Samples` and, if the net has its methods, `Variational`; see `check_net`.

    Codes drawn from N(0, I) must decode to finite models with finite derivatives by the code.
    """
    made = _build(net, config)
    assert isinstance(made, Samples), f"{type(made).__name__} lacks methods of geoae.nets.protocols.Samples."
    check_encodes(net, config, (1, *made.shape))
    assert made.likelihood in ("gaussian", "learned", "bernoulli"), f"likelihood is {made.likelihood!r}."
    code = torch.randn(8, made.latent, generator=torch.Generator().manual_seed(0)).requires_grad_()
    models = made.decode(code)
    assert models.shape == (8, 1, *made.shape), f"Codes decode to {tuple(models.shape)}; expected (8, 1, *shape)."
    assert bool(models.isfinite().all()), "Codes of N(0, I) decode to values that are not finite."
    if made.likelihood == "bernoulli":
        inside = bool(((models >= 0) & (models <= 1)).all())
        assert inside, "Decoded probabilities lie outside 0 to 1."
    (slope,) = torch.autograd.grad(models.square().sum(), code)
    assert bool(slope.isfinite().all()), "The derivative of decoded models by the code is not finite."
    if isinstance(made, Variational):
        _check_variational(made)


def check_log_prob(density: HasLogProb, latent: int) -> None:
    """Check `geoae.nets.protocols.HasLogProb` for codes of one or two numbers: the density integrates to 1.

    Raises
    ------
    AssertionError
        Shapes are wrong, or the integral over -12 to 12 is not 1 within 1 %.
    """
    assert latent in (1, 2), f"latent is {latent}; the integral is computed for 1 or 2 numbers."
    axis = torch.linspace(-12, 12, 481)
    code = torch.cartesian_prod(*[axis] * latent).reshape(-1, latent)
    with torch.no_grad():
        found = density.log_prob(code)
    assert found.shape == (len(code),), f"log_prob has shape {tuple(found.shape)}; expected {(len(code),)}."
    total = float(found.double().exp().sum()) * float(axis[1] - axis[0]) ** latent
    assert abs(total - 1) < 0.01, f"The density integrates to {total:.4g}; expected 1."


def _check_config(net: Net, config: dict[str, Any]) -> None:
    made = _build(net, config)
    settings: Any = type(made).Config
    assert is_dataclass(settings), "Config is no dataclass."
    frozen = type(made).Config.__dataclass_params__.frozen
    assert frozen, "Config can be changed: declare it with @dataclass(frozen=True)."
    no_default = [f.name for f in fields(settings) if f.default is MISSING]
    assert not no_default, (
        f"Settings without a default value: {', '.join(no_default)}. A recipe may leave out any setting."
    )
    plain = json.loads(json.dumps(asdict(made.config)))
    again = _build(net, plain)
    assert again.config == made.config, f"The configuration {made.config} comes back from JSON as {again.config}."
    unknown = "no_such_setting"
    message = ""
    try:
        _build(net, {**config, unknown: 1})
    except GeoAEError as error:
        message = str(error)
    assert unknown in message, (
        f"A setting that Config does not have is accepted, or not named in the error: {message!r}."
    )


def _check_variational(made: Variational) -> None:
    x = _draw_windows(4, (1, *made.shape))
    with torch.no_grad():
        mean, log_variance = made.posterior(x)
        assert mean.shape == log_variance.shape == (4, made.latent), "posterior gives two tensors (batch, latent)."
        assert bool((mean.isfinite() & log_variance.isfinite()).all()), "The posterior has values that are not finite."
        _assert_close(made.normal(mean), made.encode(x), "encode differs from normal(mean of the posterior)")
        y = made.forward(torch.cat([x, torch.ones_like(x), torch.zeros_like(x)], 1))
        cells = x[0].numel()
        assert y.shape == (4, cells + 2 * made.latent), f"forward gives {tuple(y.shape)}; expected cells + 2 latent."
        _assert_close(y[:, cells:], torch.cat([mean, log_variance], 1), "forward and posterior differ")
        spread = torch.diag(torch.full((made.latent,), 4.0))
        made.whiten(torch.ones(made.latent), spread)
        expected = (mean - 1) / 2
        _assert_close(made.white(mean), expected, "After whiten(1, 4 I), white(code) differs from (code - 1) / 2")


def _inputs(shape: tuple[int, ...]) -> Iterator[tuple[str, Tensor]]:
    """Yield names and batches of windows that every net must accept."""
    x = _draw_windows(2, shape)
    yield "random windows", x
    yield "zeros", torch.zeros_like(x)
    yield "constant windows", torch.ones_like(x)
    yield "very small values", _SMALL * x
    yield "very large values", _LARGE * x


def _draw_windows(n: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def _build(net: Net, config: dict[str, Any], seed: int = 0) -> Any:
    torch.manual_seed(seed)
    made = nets.build(net, config) if isinstance(net, str) else nets.build_class(net, config)
    return made.eval()


@torch.no_grad()
def _apply(net: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = net(x)
    return y


def _assert_close(found: Tensor, expected: Tensor, words: str) -> None:
    most = float((found - expected).abs().max())
    limit = _TOLERANCE * max(float(expected.abs().max()), 1.0)
    assert most <= limit, f"{words}: the largest difference is {most:.3g}, the limit {limit:.3g}."


def _assert_same_weights(one: nn.Module, two: nn.Module, words: str) -> None:
    differ = [k for k, v in one.state_dict().items() if not torch.equal(v, two.state_dict()[k])]
    assert not differ, f"{words}: {', '.join(differ)}."
