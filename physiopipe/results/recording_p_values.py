"""p-values where windows are scored one by one: a person's recordings exchange their labels, not the windows.

Windows of one recording are alike whatever its label is, so windows that change labels with each other would make
nearly every p small. Recordings do it within people, in all ways there are if these are few, else in random ones.
"""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from physiopipe.results.metrics import F64

if TYPE_CHECKING:
    from physiopipe.results.intervals import SeedPredictions

MOST_WAYS = 4096  # up to here all ways are tried
_TOLERANCE = 1e-9
_MEAN = "mean"


def exchanged_p_values(
    methods: "Sequence[Sequence[SeedPredictions]]", permutations: int, seed: int, tasks: Sequence[str]
) -> list[dict[str, float]]:
    """One-sided p of each method's pooled AUC of windows, by task and for their mean.

    With two recordings a person there are 2 ^ people ways, one of which is what was found: no p is below their inverse.
    """
    keys = sorted({key for seeds in methods for one in seeds for key in _keys(one)})
    place = {key: number for number, key in enumerate(keys)}
    truth = np.zeros((len(keys), len(tasks)))
    for one in (one for seeds in methods for one in seeds):
        truth[[place[key] for key in _keys(one)]] = one.truth
    ways, all_of_them = _ways([subject for subject, _ in keys], permutations, seed)
    drawn = truth[ways]  # (way, recording, task)
    found = np.stack([np.mean([_aucs(one, drawn, place) for one in seeds], axis=0) for seeds in methods], axis=-1)
    found = np.concatenate([found, found.mean(axis=1, keepdims=True)], axis=1)  # (way, task and their mean, method)
    as_high = (found[1:] >= found[0] - _TOLERANCE).sum(axis=0)
    share = (as_high + (0 if all_of_them else 1)) / (len(ways) - 1 + (0 if all_of_them else 1))
    return [
        {name: float(share[row, method]) for row, name in enumerate((*tasks, _MEAN))} for method in range(len(methods))
    ]


def _keys(one: "SeedPredictions") -> list[tuple[int, int]]:
    """Subject and recording of each window."""
    assert one.recording is not None
    return list(zip(one.subject.tolist(), one.recording.tolist(), strict=True))


def _ways(subjects: Sequence[int], permutations: int, seed: int) -> tuple[npt.NDArray[np.int64], bool]:
    """Which recording's label each one takes, (1 + ways, recording), the true one first; whether all ways are there."""
    own = [np.flatnonzero(np.array(subjects) == subject) for subject in sorted(set(subjects))]
    true = np.arange(len(subjects))
    if math.prod(math.factorial(len(mine)) for mine in own) <= MOST_WAYS:
        every = itertools.product(*(itertools.permutations(mine.tolist()) for mine in own))
        rows = [true]
        for way in every:
            row = true.copy()
            for mine, taken in zip(own, way, strict=True):
                row[mine] = taken
            rows.append(row)
        return np.stack(rows), True
    generator = np.random.default_rng([seed, 4])
    drawn = np.tile(true, (1 + permutations, 1))
    for mine in own:
        drawn[1:, mine] = mine[np.argsort(generator.random((permutations, len(mine))), axis=1)]
    return drawn, False


def _aucs(one: "SeedPredictions", drawn: F64, place: dict[tuple[int, int], int]) -> F64:
    """Pooled AUC of a seed for each way, (way, task)."""
    mine = np.array([place[key] for key in _keys(one)])
    columns = []
    for task in range(drawn.shape[2]):
        truth = drawn[:, mine, task]
        high = truth.sum(axis=1)
        pairs = high * (truth.shape[1] - high)
        wins = truth @ rankdata(one.probability[:, task]) - high * (high + 1) / 2
        columns.append(np.divide(wins, pairs, out=np.full(len(truth), 0.5), where=pairs > 0))
    return np.stack(columns, axis=1)
