"""The headline without the people of whom a clip's ECG shows no heartbeat.

Where such clips are of one class, that the ECG is absent tells the label, as in a real study it would not.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from physiopipe.results.intervals import MEAN, Estimates, estimate
from physiopipe.results.study import Study
from physiopipe.results.test_set import TestSet, read_test_set

COLUMNS = (
    "method", "title", "subjects", "value_percent", "low_percent", "high_percent",
    "subjects_without", "value_without_percent", "low_without_percent", "high_without_percent",
)  # fmt: skip


def clips_of(test: TestSet) -> list[tuple[str, int, int, int]]:
    """Clips with windows whose ECG shows no heartbeat, as the predictions name them: subject, clip, how many windows,
    of how many."""
    rows = {tuple(row) for about in test.about.values() for row in about.get("without_beats", ())}
    return sorted((str(subject), int(clip), int(flagged), int(windows)) for subject, clip, flagged, windows in rows)


def without_beats_table(predictions: Path, study: Study, names: Sequence[str]) -> pd.DataFrame:
    """COLUMNS, one row a method: all people beside those whose ECG shows heartbeats in every clip.

    Nothing where every clip shows them, or none would be left.
    """
    test = read_test_set(predictions, study, names)
    left_out = {subject for subject, *_ in clips_of(test)}
    if not left_out or left_out >= set(test.subjects):
        return pd.DataFrame(columns=list(COLUMNS))
    fewer = read_test_set(predictions, study, names, without=left_out)
    rows = []
    for name, (found, without) in {
        name: (_estimate(test, name, study), _estimate(fewer, name, study)) for name in test.methods
    }.items():
        cells: list[object] = [name, test.title(name)]
        for one, subjects in ((found, test.subjects), (without, fewer.subjects)):
            ends = (one.value, one.low, one.high)
            cells += [len(subjects), *(round(100 * end[MEAN][study.headline], 4) for end in ends)]
        rows.append(cells)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _estimate(test: TestSet, name: str, study: Study) -> Estimates:
    weights = study.resamples(len(test.subjects))
    return estimate(
        test.methods[name], weights, study.settings.confidence, study.tasks, study.headline, interval=study.interval
    )
