"""Robustness to damaged clips, as data: the headline AUC of each method, condition and level."""

from pathlib import Path

import pandas as pd

from physiopipe.experiments.predictions import read_predictions
from physiopipe.results.intervals import headline_interval
from physiopipe.results.study import Study
from physiopipe.results.test_set import check_about, check_predictions, one_seed, title_of

COLUMNS = (
    "cohort", "simulated", "protocol", "method", "title", "condition", "level", "label", "value_percent",
    "low_percent", "high_percent",
)  # fmt: skip
_ENDS = ("value", "low", "high")


def robustness_table(folder: Path, study: Study) -> pd.DataFrame:
    """COLUMNS, a row a method, condition, level and task (and their mean), with intervals over subjects.

    Args:
        folder: holds <method>.parquet of each of the study's `robustness` methods.
    """
    rows = []
    settings = study.settings
    for method in study.robustness:
        path = folder / f"{method}.parquet"
        whole, about = read_predictions(path)
        check_about(path, about, study)
        if about.get("without_meaning"):
            continue
        subjects = tuple(sorted(whole["subject"].unique()))
        weights = study.resamples(len(subjects))
        for (condition, level), frame in whole.groupby(["condition", "level"], sort=False):
            check_predictions(path, frame, study)
            clips = frame[["subject", "clip"]].drop_duplicates().itertuples(index=False, name=None)
            numbered = {key: number for number, key in enumerate(sorted(clips))}
            seeds = [
                one_seed(part, subjects, numbered, study.tasks, study.scored_by)
                for _, part in frame.groupby("seed", sort=True)
            ]
            found = headline_interval(seeds, weights, settings.confidence, study.tasks, study.headline, study.interval)
            rows += [
                {
                    "cohort": study.cohort, "simulated": study.simulated, "protocol": settings.protocol,
                    "method": method, "title": title_of(method, about), "condition": condition, "level": level,
                    "label": task,
                    **{f"{end}_percent": round(100 * value, 4) for end, value in zip(_ENDS, values, strict=True)},
                }
                for task, values in found.items()
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
