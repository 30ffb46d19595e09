"""Recipes of records: impossible values are refused, and the message states them."""

import pytest
from pydantic import ValidationError

from tests.conftest import tiny_recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mix": {"snr_db": (20, -10)}}, r"snr_db \[20.0, -10.0\] must go from low to high"),
        ({"mix": {"footsteps": 1.5}}, r"mix.footsteps\n.*less than or equal to 1"),
        ({"window": {"stride": 5000}}, r"stride 5000 is longer than length 1024"),
        ({"window": {"train_length": 127}}, r"window.train_length\n.*greater than or equal to 128"),
        ({"rate_hz": 2000.0}, r"rate_hz 2000 must lie in rate_range_hz \[8.0, 1000.0\]"),
        ({"purposes": {"picking": 2}}, r"purposes.picking\n.*less than or equal to 1"),
        ({"optimize": {"spectral_weight": -1}}, r"optimize.spectral_weight\n.*greater than or equal to 0"),
    ],
)
def test_impossible_values_are_refused(change, words):
    """Ranges in the wrong order, skipped samples, windows shorter than frames, negative weights."""
    with pytest.raises(ValidationError, match=words):
        tiny_recipe(**change)


def test_limits_are_allowed():
    """The stride may be the window, the rate may be the end of its range, and both SNRs may be equal."""
    plan = tiny_recipe(window={"stride": 1024, "train_length": 128}, rate_hz=8.0, mix={"snr_db": (5, 5)})
    assert (plan.window.stride, plan.rate_hz, plan.mix.snr_db) == (1024, 8.0, (5, 5))
