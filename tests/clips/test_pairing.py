"""Pairs of EEG and ECG windows: those of the plain comparison of all with all, without its table of all with all."""

import tracemalloc

import numpy as np
import pytest

from physiopipe.clips.pairing import START_TOLERANCE_S, starting_together


@pytest.mark.parametrize("seed", range(40))
def test_pairs_are_those_of_comparing_all_with_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    starts = 10.0 * np.arange(random.integers(0, 30))
    # some windows of each are gone, some start exactly as far apart as may be, or a rounding more
    apart = np.array([0, START_TOLERANCE_S, -START_TOLERANCE_S, np.nextafter(START_TOLERANCE_S, 1), 0.01, 0.021, 5.0])
    first = starts[random.random(len(starts)) < 0.8]
    second = starts[random.random(len(starts)) < 0.8]
    second = second + random.choice(apart, len(second))
    if seed % 2:
        first, second = random.permutation(first), random.permutation(np.concatenate([second, second[:3]]))
    expected = np.nonzero(np.abs(np.subtract.outer(first, second)) <= START_TOLERANCE_S)
    for found, plain in zip(starting_together(first, second), expected, strict=True):
        np.testing.assert_array_equal(found, plain)


def test_two_days_of_windows_take_little_memory() -> None:
    starts = 10.0 * np.arange(48 * 360)
    tracemalloc.start()
    first, second = starting_together(starts, starts + 0.005)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first) == len(starts)
    assert (first == second).all()
    assert peak < 5e6, "all with all would be 2.4 GB"
