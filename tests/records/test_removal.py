"""Noise, sigma and flags of any region of a record."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from geoae.model import Denoiser
from geoae.records.faults import FaultFinder
from geoae.records.infer import build_identity_denoiser, build_noise_reader
from geoae.records.judge import TRANSIENT
from geoae.records.removal import RemovalOptions, describe_guess, find_removal

WINDOW, STRIDE = 1024, 896
ALL = RemovalOptions(batch=4, dry=0.25, sigma=True, flags=True, keep_doubtful=True)


class RemovesMost(nn.Module):
    """Takes seven tenths of everything for noise."""

    def forward(self, x):
        return 0.3 * x


class KnowsItsError(RemovesMost):
    """Says that its error is a half."""

    def estimate(self, x):
        return self(x), torch.full_like(x, 0.5)


def make_model(net: nn.Module, **contract) -> Denoiser:
    model = build_identity_denoiser(100.0, WINDOW, STRIDE, 64)
    return Denoiser(replace(model.contract, **contract), "identity", {}, net, model.scaler)


def make_record(n: int = 6000, seed: int = 0) -> np.ndarray:
    """Noise with a wave train on the last row."""
    x = np.random.default_rng(seed).normal(size=(3, n))
    t = np.arange(n) - 0.6 * n
    x[2] += 60 * np.exp(-np.square(t / 300)) * np.sin(t / 4)
    return x


def find(x: np.ndarray, model: Denoiser, options: RemovalOptions, rate_hz: float = 100.0):
    """The function of `find_removal` for an array."""
    finder = FaultFinder(lambda a, b: x[:, a:b], x.shape[1], rate_hz, options.highpass_hz)
    return find_removal(finder, range(len(x)), model, options)


@settings(max_examples=6, deadline=None)
@given(
    rate_hz=st.sampled_from([50.0, 100.0, 200.0]),
    n=st.integers(700, 4000),
    cuts=st.lists(st.integers(1, 699), min_size=1, max_size=3, unique=True),
    has_gap=st.booleans(),
    highpass_hz=st.sampled_from([None, 0.3, 5.0]),
)
def test_regions_do_not_matter(rate_hz, n, cuts, has_gap, highpass_hz):
    """Noise, sigma, flags and what lies below a high-pass are the same in one piece and in many."""
    options = replace(ALL, highpass_hz=highpass_hz)
    x, model = make_record(n), make_model(RemovesMost())
    if has_gap:
        x[:, n // 3 : n // 2] = np.nan
    whole = find(x, model, options, rate_hz)(0, n)
    edges = [0, *sorted(c * n // 700 for c in cuts), n]
    spans = [(a, b) for a, b in pairwise(edges) if a < b]
    read = find(x, model, options, rate_hz)
    parts = [read(a, b) for a, b in spans]
    assert (whole.below is None) == (highpass_hz is None)
    if whole.below is not None:
        np.testing.assert_allclose(np.concatenate([p.below for p in parts], axis=1), whole.below, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([p.noise for p in parts], axis=1), whole.noise, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([p.sigma for p in parts], axis=1), whole.sigma, rtol=1e-9, atol=1e-9)
    assert {flag for p in parts for flag in p.flags} == set(whole.flags)
    np.testing.assert_array_equal(np.isnan(whole.sigma), np.isnan(x))


def test_faults_are_found_before_the_high_pass():
    """A step, a filled gap and a gap give one result in all regions: the step is removed, the fill and the gap stay."""
    x, n = np.random.default_rng(0).normal(size=(1, 6000)), 6000
    x += 50
    x[0, 2000:] += 1e5
    x[0, 3000:3300], x[0, 5000:5200] = 0.0, np.nan
    options, model = replace(ALL, dry=0.0, highpass_hz=1.0), build_identity_denoiser(100.0, WINDOW, STRIDE)
    signal = find(x, model, options)(0, n).subtract_from(x, 0.0)
    is_kept = np.isnan(x) | (x == 0)
    np.testing.assert_array_equal(signal[is_kept], x[is_kept])
    assert np.abs(signal[~is_kept]).max() < 10
    read = find(x, model, options)
    for a, b in ((4000, 5100), (2000, 2001), (0, 2500), (3100, 3600)):
        np.testing.assert_allclose(read(a, b).subtract_from(x[:, a:b], 0.0), signal[:, a:b], atol=1e-8)


def test_a_lost_wave_train_is_flagged_and_kept():
    """The flag names row and window; with `keep_doubtful` the wave train stays in the signal."""
    x, model = make_record(), make_model(RemovesMost())
    plain = find(x, model, RemovalOptions(flags=True))(0, 6000)
    flagged = {(f.row, f.start, f.stop) for f in plain.flags if f.kind == TRANSIENT}
    assert flagged
    assert all(row == 2 and start <= 3700 and stop >= 3500 for row, start, stop in flagged)
    np.testing.assert_allclose(
        plain.noise, build_noise_reader(lambda a, b: x[:, a:b], 6000, range(3), 100.0, model)(0, 6000)
    )
    kept = find(x, model, RemovalOptions(flags=True, keep_doubtful=True))(0, 6000)
    assert np.abs((x - kept.noise)[2]).max() > 0.8 * np.abs(x[2]).max() > 2 * np.abs((x - plain.noise)[2]).max()
    np.testing.assert_array_equal(kept.noise[:2], plain.noise[:2])


def test_sigma_of_a_net_is_in_units_of_the_record():
    """It is multiplied by the gain of the window and the factor of the contract; kept noise is added."""
    x = 1000 * make_record()[:2]
    sigma = find(x, make_model(KnowsItsError()), RemovalOptions(sigma=True))(0, 6000).sigma
    assert np.median(sigma) == pytest.approx(500, rel=0.05)
    scaled = find(x, make_model(KnowsItsError(), sigma_factor=1.5), RemovalOptions(sigma=True))(0, 6000).sigma
    np.testing.assert_allclose(scaled, 1.5 * sigma)
    with_noise = find(x, make_model(KnowsItsError()), RemovalOptions(sigma=True, dry=0.5))(0, 6000).sigma
    assert np.median(with_noise) == pytest.approx(np.hypot(500, 0.5 * 700), rel=0.05)


def test_sigma_does_not_change_the_noise():
    """A net that estimates its error removes the same."""
    x, model = make_record(), make_model(KnowsItsError())
    np.testing.assert_array_equal(
        find(x, model, RemovalOptions(sigma=True))(0, 6000).noise, find(x, model, RemovalOptions())(0, 6000).noise
    )


def test_nothing_is_known_of_short_records():
    """No noise, no flags, no sigma."""
    found = find(make_record(50), make_model(RemovesMost()), ALL)(10, 40)
    assert not found.noise.any()
    assert np.isnan(found.sigma).all()
    assert found.flags == ()


def test_long_gaps_have_no_flags():
    """Windows without samples are not judged."""
    x = make_record()
    x[:, 1000:5000] = np.nan
    found = find(x, make_model(RemovesMost()), ALL)(0, 6000)
    assert np.isfinite(found.noise).all()
    assert np.isnan(found.sigma[:, 1000:5000]).all()
    assert not [f for f in found.flags if f.start >= 1000 and f.stop <= 5000]


def test_a_partner_adds_to_the_error():
    """Beside a partner for long periods, errors of both add up; regions do not matter."""
    rate_hz, n = 100.0, 30_000
    long = make_model(KnowsItsError(), name="long", rate_hz=1.0, rate_range_hz=(0.1, 1000.0), window=256, stride=192)
    short = make_model(KnowsItsError(), partner="long")
    x = make_record(n)
    alone = find(x, short, RemovalOptions(sigma=True), rate_hz)(0, n).sigma
    read = find(x, replace(short, partner=long), RemovalOptions(sigma=True, flags=True), rate_hz)
    both = read(0, n).sigma
    assert (both > alone).all()
    np.testing.assert_allclose(read(7000, 21_000).sigma, both[:, 7000:21_000])


def test_a_level_of_sigma_that_is_a_guess_is_told():
    """Of a model that is not calibrated, of records shorter than a window, and of a partner that is not calibrated."""
    plain = make_model(RemovesMost())
    assert "model 'identity' has no factor of held-out stations" in describe_guess(WINDOW, 100.0, plain)
    model = make_model(RemovesMost(), sigma_factor=2.0)
    assert describe_guess(WINDOW - 1, 100.0, model).endswith("shorter than a window of the model (10.24 s)")
    assert not describe_guess(WINDOW, 100.0, model)
    told = make_model(RemovesMost(), provenance={"calibration": {"mixtures": 12, "stations": 3}})
    assert not describe_guess(WINDOW, 100.0, told)
    both = replace(model, partner=make_model(RemovesMost(), rate_hz=1.0, rate_range_hz=(0.1, 1000.0)))
    assert describe_guess(30_000, 100.0, both).startswith("the level of sigma below 0.5 Hz is a guess: model ")
    assert not describe_guess(WINDOW, 100.0, both)  # the partner does not work in short records
