"""Transforms: inverses, derivatives and domains."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoae.arrays import transforms
from geoae.errors import InputError, UnknownNameError

LOGIT = {"kind": "logit", "low": -1.0, "high": 3.0}
KINDS = ["affine", "log", LOGIT, "normal-score"]


def values(kind, n=400, seed=0):
    x = np.random.default_rng(seed).normal(size=n)
    return {"log": np.exp(2 * x), "logit": 4 / (1 + np.exp(-x)) - 1}.get(transforms_name(kind), x**3)


def transforms_name(kind):
    return kind if isinstance(kind, str) else kind["kind"]


@pytest.mark.parametrize("kind", KINDS, ids=transforms_name)
@given(seed=st.integers(0, 50), scale=st.sampled_from([0.01, 1.0, 30.0]))
def test_undo_is_the_inverse_of_apply(kind, seed, scale):
    """undo(apply(m)) = m, also outside the range of the fitted values."""
    rule = transforms.fit_transform(kind, values(kind))
    m = values(kind, 50, seed)
    if transforms_name(kind) != "logit":
        m = m * scale
    x = rule.apply(m)
    np.testing.assert_allclose(rule.undo(x), m, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=transforms_name)
def test_scaled_values_have_mean_zero_and_variance_one(kind):
    """Over the fitted values without NaN; NaN stays NaN."""
    m = values(kind)
    m[7] = np.nan
    rule = transforms.fit_transform(kind, m)
    x = rule.apply(m)
    assert np.isnan(x[7])
    assert np.isnan(rule.undo(x)[7])
    np.testing.assert_allclose([np.nanmean(x), np.nanstd(x)], [0, 1], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=transforms_name)
def test_tensors_give_the_same_as_arrays(kind):
    """numpy and torch agree, and autograd gives the slope of central differences."""
    m = values(kind, 30)
    rule = transforms.fit_transform(kind, m)
    x = torch.from_numpy(rule.apply(m)).requires_grad_()
    back = rule.undo(x)
    np.testing.assert_allclose(back.detach().numpy(), m, rtol=1e-9, atol=1e-12)
    x = (x.detach() + 0.01).requires_grad_()  # between the knots, where the normal-score transform has a slope
    (slope,) = torch.autograd.grad(rule.undo(x).sum(), x)
    x, step = x.detach().numpy(), 1e-6
    expected = (rule.undo(x + step) - rule.undo(x - step)) / (2 * step)
    kinks = np.asarray(rule.scores) if rule.scores else np.array([np.inf])
    smooth = np.abs((x * rule.gain + rule.offset)[:, None] - kinks).min(1) > 10 * step
    assert smooth.sum() > 20
    np.testing.assert_allclose(slope.numpy()[smooth], expected[smooth], rtol=1e-5, atol=1e-8)


def test_normal_scores_are_normal():
    """A skewed distribution becomes N(0, 1)."""
    m = np.random.default_rng(1).exponential(size=5000) ** 2
    x = transforms.fit_transform("normal-score", m).apply(m)
    found = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(found, [-1.645, -0.674, 0, 0.674, 1.645], atol=0.03)


@pytest.mark.parametrize(
    ("kind", "bad", "words"),
    [("log", -0.5, "above 0"), (LOGIT, 3.0, "between -1 and 3"), ("affine", np.inf, "finite"), ("log", 0.0, "above 0")],
)
def test_values_outside_the_domain_are_refused(kind, bad, words):
    """The error names their number and range, and a remedy."""
    rule = transforms.fit_transform(kind, values(kind))
    m = values(kind)
    m[3] = bad
    with pytest.raises(InputError, match=words) as caught:
        rule.apply(m)
    assert str(caught.value).startswith("1 values lie outside")
    assert "\n" not in str(caught.value)


def test_invalid_transforms_are_refused():
    """Unknown names and settings, constant values, only NaN, bounds in the wrong order."""
    with pytest.raises(UnknownNameError, match="normal-score"):
        transforms.fit_transform("sqrt", np.arange(4.0))
    with pytest.raises(UnknownNameError, match="hi"):
        transforms.fit_transform({"kind": "logit", "hi": 2}, np.arange(4.0))
    for kind in ("affine", "normal-score"):
        with pytest.raises(InputError, match="same value"):
            transforms.fit_transform(kind, np.full(5, 2.5))
    with pytest.raises(InputError, match="not NaN"):
        transforms.fit_transform("affine", np.full(5, np.nan))
    with pytest.raises(InputError, match="below high"):
        transforms.fit_transform({"kind": "logit", "low": 2.0}, np.arange(4.0))
