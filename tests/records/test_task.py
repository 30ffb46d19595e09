"""Validation of a training on records: undamaged windows of other stations, scored by SI-SDR."""

import numpy as np
import pytest

from geoae.records.task import build_record_mixers, training_task, validate_records
from geoae.training.split import is_validation
from tests.conftest import tiny_recipe


def test_validation_windows_are_undamaged_and_of_other_stations(data):
    """Validation windows have no damage but noise at -10 to 15 dB, and are of other stations."""
    plan = tiny_recipe(mix={"gaps": 1.0, "missing_component": 1.0, "noise_only": 1.0})
    training, validation = build_record_mixers(plan, data)
    for i in range(10):
        drawn = validation.draw(i)
        assert -10 <= drawn.snr_db <= 15
    for mixer, side in ((training, False), (validation, True)):
        for pool in (mixer.events, mixer.noise):
            assert all(is_validation(pool.data.station(int(i)), plan.split) == side for i in pool.indices)


def test_the_score_is_the_median_improvement(data):
    """Doing nothing scores 0 dB; half the noise scores 6 dB; the batch does not matter."""
    _, validation = build_record_mixers(tiny_recipe(), data)
    windows = {window.noisy.tobytes(): window.target for window in (validation[i] for i in range(8))}

    def halve_noise(noisy: np.ndarray) -> np.ndarray:
        return np.stack([(x + windows[x.tobytes()]) / 2 for x in noisy])

    assert validate_records(lambda noisy: noisy, validation, 8) == 0
    halved = validate_records(halve_noise, validation, 8)
    assert halved == pytest.approx(20 * np.log10(2), abs=1)
    assert validate_records(halve_noise, validation, 8, batch=3) == pytest.approx(halved, abs=1e-5)


def test_the_contract_has_the_windows_of_the_recipe(data):
    """Rate, window, stride and multiple are those of inference; purposes and their shares are those of the recipe."""
    plan = tiny_recipe(purposes={"picking": 0.2})
    task = training_task(plan, data)
    contract = task.contract({"step": 3})
    assert (contract.rate_hz, contract.window, contract.stride, contract.multiple) == (100.0, 1024, 768, 32)
    assert contract.purposes == {"picking": 0.2}
    assert contract.provenance == {"step": 3}
    assert task.metric == "si_sdr_improvement_db"
