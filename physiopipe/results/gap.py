"""Whose the gap between Ours and the handcrafted row is: Shapley values of the things that tell the two rows apart.

Changing one thing at a time gives another answer in each order; a Shapley value is the mean over all orders (Shapley
1953), and the values add up to the gap. They say how the gap is shared out, not why.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from physiopipe.experiments.gap_cells import CELLS, FACTORS
from physiopipe.results.intervals import MEAN, ends_of, estimate
from physiopipe.results.metrics import F64
from physiopipe.results.study import Study
from physiopipe.results.test_set import read_test_set

COLUMNS = (
    "cohort", "simulated", "protocol", "kind", "name", "title", "value_percent", "low_percent", "high_percent",
    "first_percent", "last_percent",
)  # fmt: skip
GAP_IS = (
    "Whose the gap between Ours and Handcrafted is. Four things tell the rows apart; every mixture of them was run. "
    "Points: the mean of what changing one of them adds over all orders of changing the four (Shapley values); they "
    "add up to the gap. It says which part of the gap is whose, not why."
)
_DECIMALS = 4


def shapley_values(value_of: Mapping[frozenset[str], F64], players: Sequence[str]) -> dict[str, F64]:
    """Shapley value of each player, elementwise: what it adds to those before it, averaged over all orders.

    Args:
        value_of: value of every set of players, arrays of one shape; that of nobody is subtracted from all.
    """
    found: dict[str, F64] = {}
    for player in players:
        others = [each for each in players if each != player]
        parts = []
        for size in range(len(players)):
            weight = 1 / (len(players) * math.comb(len(others), size))  # share of the orders with just these ahead
            for ahead in map(frozenset, combinations(others, size)):
                parts.append(weight * (value_of[ahead | {player}] - value_of[ahead]))
        found[player] = np.asarray(np.sum(parts, axis=0))
    return found


def gap_frame(folder: Path, study: Study) -> pd.DataFrame:
    """COLUMNS: the gap, a row a factor (`first`, `last`: changed alone in Ours, or after the three others), then the
    cells with their AUC. Empty where not every cell is among the study's ablations.

    Intervals are over people, as of every difference.

    Args:
        folder: results/<cohort>, which holds ablations/.
    """
    empty = pd.DataFrame(columns=list(COLUMNS))
    if not set(CELLS.values()) <= set(study.ablations):
        return empty
    test = read_test_set(folder / "ablations", study, CELLS.values())
    if not test.methods:
        return empty
    weights, confidence, headline = study.resamples(len(test.subjects)), study.settings.confidence, study.headline
    estimates = {
        name: estimate(seeds, weights, confidence, study.tasks, headline, interval=study.interval)
        for name, seeds in test.methods.items()
    }
    columns = {
        changed: np.concatenate([[estimates[name].value[MEAN][headline]], estimates[name].resampled])
        for changed, name in CELLS.items()
    }
    players = [each.name for each in FACTORS]
    everyone, nobody = frozenset(players), frozenset[str]()
    shares = shapley_values(columns, players)

    def row(kind: str, name: str, title: str, column: F64, **more: float) -> dict[str, object]:
        low, high = ends_of(column, confidence, study.interval, least=-1.0)
        numbers = {"value_percent": float(column[0]), "low_percent": low, "high_percent": high, **more}
        about = {"cohort": study.cohort, "simulated": study.simulated, "protocol": study.settings.protocol}
        known = {key: round(100 * value, _DECIMALS) for key, value in numbers.items()}
        return {**about, "kind": kind, "name": name, "title": title, **known}

    rows = [row("gap", "gap", "Handcrafted − Ours", columns[everyone] - columns[nobody])]
    for each in FACTORS:
        alone = columns[frozenset({each.name})][0] - columns[nobody][0]
        after = columns[everyone][0] - columns[everyone - {each.name}][0]
        more = {"first_percent": float(alone), "last_percent": float(after)}
        rows.append(row("factor", each.name, each.title, shares[each.name], **more))
    rows += [row("cell", name, test.title(name), columns[changed]) for changed, name in CELLS.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
