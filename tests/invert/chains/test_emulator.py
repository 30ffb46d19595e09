"""Emulators: exact for linear data, accurate near the runs they are fitted to."""

import numpy as np

from geoae.invert.chains.emulator import Emulator


def fitted(data, n=200, d=3, seed=0):
    """An emulator of a function of codes (n, d), the codes it is fitted to, and the measured data."""
    rng = np.random.default_rng(seed)
    codes, measured = rng.normal(size=(n, d)), rng.normal(size=4)
    return Emulator.fit(codes, data(codes), measured, np.diag([4.0, 1.0, 0.25])), codes, measured


def lines(z):
    return z @ np.arange(12.0).reshape(3, 4) + 2


def bends(z):
    return lines(z) + np.sin(2 * z[:, :1]) * np.arange(4.0)


def cost(data, measured, z):
    return 0.5 * ((data(z) - measured) ** 2).sum(1) + 0.5 * (z**2).sum(1)


def test_an_emulator_of_linear_data_is_exact():
    """This holds far from the codes that it is fitted to."""
    emulator, _, measured = fitted(lines)
    z = 10 * np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(emulator.energy(emulator.from_codes(z))[0], cost(lines, measured, z), rtol=1e-6)
    np.testing.assert_allclose(emulator.to_codes(emulator.from_codes(z)), z, atol=1e-9)


def test_an_emulator_is_accurate_at_its_runs_and_between_them():
    emulator, codes, measured = fitted(bends)
    z = 0.7 * np.random.default_rng(1).normal(size=(50, 3))
    np.testing.assert_allclose(emulator.energy(emulator.from_codes(codes))[0], cost(bends, measured, codes), rtol=0.01)
    between = emulator.energy(emulator.from_codes(z))[0] - cost(bends, measured, z)
    linear = lines(z) + (bends(codes) - lines(codes)).mean(0)
    without = cost(lambda _: linear, measured, z) - cost(bends, measured, z)
    assert np.abs(between).mean() < 0.1 * np.abs(without).mean()


def test_the_gradient_of_an_emulator_is_the_slope_of_its_cost():
    emulator, _, _ = fitted(bends)
    x, step = np.random.default_rng(2).normal(size=(6, 3)), 1e-5
    slope = emulator.energy(x)[1]
    for i, along in enumerate(step * np.eye(3)):
        found = (emulator.energy(x + along)[0] - emulator.energy(x - along)[0]) / (2 * step)
        np.testing.assert_allclose(slope[:, i], found, rtol=1e-4, atol=1e-4)


def test_an_emulator_of_one_run_is_exact_there():
    emulator, codes, measured = fitted(bends, n=1)
    np.testing.assert_allclose(emulator.energy(emulator.from_codes(codes))[0], cost(bends, measured, codes))
