"""Windows of a record are judged alike from any region."""

from itertools import pairwise

import numpy as np
import pytest

from geoae.arrays.windows import WindowGrid
from geoae.records.judge import NEAR, TRANSIENT, UNLIKE, Judge

N, WINDOW, STRIDE = 20_000, 1024, 896


def make_record() -> np.ndarray:
    """Noise, with a long wave train on the second row."""
    x = np.random.default_rng(0).normal(size=(2, N))
    t = np.arange(N) - 9000
    x[1] += 30 * np.exp(-np.square(t / 1500)) * np.sin(t / 4)
    return x


def make_judge(x: np.ndarray, share: float = 1.0, **settings) -> Judge:
    """A judge of a model that removes a share of everything, and knows its error."""

    def estimate(start: int, stop: int) -> np.ndarray:
        return np.stack([share * np.nan_to_num(x[:, start:stop]), np.full((len(x), stop - start), 0.1)])

    return Judge(lambda a, b: x[:, a:b], estimate, WindowGrid((N,), (WINDOW,), (STRIDE,)), 100.0, **settings)


def list_flags(judge: Judge, kind: str) -> list[tuple[int, int, int]]:
    return [flag[1:] for flag in judge.find_flags(0, N) if flag.kind == kind]


def test_windows_that_an_event_fills_are_flagged():
    """The level of the noise is that of windows around them; all windows of the event have the flag, on its row."""
    judge = make_judge(make_record())
    judge.estimate(0, N)
    flags = list_flags(judge, TRANSIENT)
    assert {row for row, *_ in flags} == {1}
    assert min(start for _, start, _ in flags) < 7500 < 10_500 < max(stop for _, _, stop in flags)


@pytest.mark.parametrize("cuts", [[9000], [100, 8000, 8001, 12_345]])
def test_regions_give_the_same(cuts):
    """Noise, sigma and flags do not depend on regions, nor on their order."""
    x = make_record()
    whole = make_judge(x, keep_doubtful=True)
    expected = whole.estimate(0, N)
    judge = make_judge(x, keep_doubtful=True)
    spans = list(pairwise([0, *cuts, N]))
    parts = {a: judge.estimate(a, b) for a, b in reversed(spans)}
    np.testing.assert_array_equal(np.concatenate([parts[a] for a, _ in spans], axis=-1), expected)
    assert judge.find_flags(0, N) == whole.find_flags(0, N)


def test_what_is_put_back_counts_in_sigma():
    """It may be noise after all. Rows and windows without the flag stay as they are."""
    x = make_record()
    noise, sigma = make_judge(x, keep_doubtful=True).estimate(0, N)
    assert np.abs(noise[1]).max() < 0.3 * np.abs(x[1]).max()
    assert sigma[1, 9000] > 10
    np.testing.assert_array_equal(noise[0], x[0])
    np.testing.assert_array_equal(sigma[0], 0.1)
    np.testing.assert_array_equal(noise[1, :3000], x[1, :3000])


def test_gaps_are_not_judged():
    """A gap is no quiet noise, and noise that the net finds in it is none."""
    x = make_record()
    x[:, 8000:10_000] = np.nan
    x[0, :5000] = np.nan
    judge = make_judge(x)
    judge.estimate(0, N)
    assert not [flag for flag in list_flags(judge, TRANSIENT) if flag[0] == 0]


def test_other_flags():
    """A period of a quarter of a second is unlike training events of two to four, and half of the noise is near it."""
    judge = make_judge(make_record(), 0.5, periods_s=(2.0, 4.0))
    judge.estimate(0, N)
    assert {row for row, *_ in list_flags(judge, UNLIKE)} == {1}
    assert {row for row, *_ in list_flags(judge, NEAR)} == {0, 1}
    assert not list_flags(make_judge(make_record(), 0.5), UNLIKE)
