"""Settings of chains."""

from pathlib import Path

import pytest

from geoae.errors import InputError
from geoae.invert.chains.settings import ChainSettings
from geoae.invert.checkpoints import Checkpoint
from geoae.invert.problem import Clock


@pytest.mark.parametrize(("path", "says"), [(None, "more time.$"), (Path("state.npz"), "state is in state.npz")])
def test_an_error_about_time_has_the_limit_and_the_file(path, says):
    settings = ChainSettings(2, 10, 5, 0, Clock(3.0), Checkpoint(path))
    assert settings.n_steps == 15
    with pytest.raises(InputError, match=f"The time limit of 3 s was over after 4 runs, so there are no.*{says}"):
        settings.raise_out_of_time("4 runs")
