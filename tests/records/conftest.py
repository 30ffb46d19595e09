"""Data sets that tests of several modules share."""

import numpy as np
import pytest

from tests.support.mixtures import STATIONS, draw_event, write_set


@pytest.fixture(scope="session")
def mixture_data(tmp_path_factory):
    """Events and noise of 24 stations, some of them not usable."""
    folder, rng, whole = tmp_path_factory.mktemp("data"), np.random.default_rng(0), (True, True, True)
    events = [(f"e{i}", s, 100.0, draw_event(rng), 3000, whole) for i, s in enumerate(STATIONS)]
    events += [(f"fast{i}", s, 200.0, draw_event(rng, 200), 6000, whole) for i, s in enumerate(STATIONS)]
    some = STATIONS
    events += [(f"many{i}", some[0], 100.0, draw_event(rng), 3000, whole) for i in range(12)]
    events += [(f"weak{i}", s, 100.0, draw_event(rng, noise=1.0), 3000, whole) for i, s in enumerate(some)]
    events += [(f"early{i}", s, 100.0, draw_event(rng), 800, whole) for i, s in enumerate(some)]
    events += [(f"nopick{i}", s, 100.0, draw_event(rng), "", whole) for i, s in enumerate(some)]
    events += [(f"noz{i}", s, 100.0, draw_event(rng), 3000, (True, True, False)) for i, s in enumerate(some)]
    write_set(folder / "events", events)
    lengths = [9000, 3000]  # short ones have to be repeated
    noise = [
        (f"n{i}_{n}", s, 100.0, rng.normal(size=(3, n)).cumsum(axis=1) * 0.1 + rng.normal(size=(3, n)), "", whole)
        for i, s in enumerate(STATIONS)
        for n in lengths
    ]
    spiky = rng.normal(size=(3, 9000))
    spiky[1, 4000] = 1000
    dead = rng.normal(size=(3, 9000))
    dead[2] = 7
    noise += [(f"spiky{i}", s, 100.0, spiky, "", whole) for i, s in enumerate(STATIONS)]
    noise += [(f"dead{i}", s, 100.0, dead, "", whole) for i, s in enumerate(STATIONS)]
    noise += [(f"slow{i}", s, 20.0, rng.normal(size=(3, 9000)), "", whole) for i, s in enumerate(STATIONS)]
    write_set(folder / "noise", noise, order="ZNE")
    return folder
