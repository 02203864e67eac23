"""Intervals over very few test subjects, each window scored by itself: how often they hold .5 where nothing is to find.

A null cohort is as the test side of a published split: few people with a long recording of one class and a short one of
the other. A window's score is its person's level, its recording's level and noise of SD 1, so that windows of a
recording are alike; none of it knows the class. Each of the package's intervals is asked for the pooled AUC.

    python benchmarks/coverage_few.py [--cohorts 2000] [--write]

Last line: JSON. `--write` puts the numbers where the notes of tables find them: physiopipe/results/coverage_few.csv.
"""

import argparse
import json
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from physiopipe.results.coverage_few import COLUMNS, COVERAGE_FEW
from physiopipe.results.intervals import SeedPredictions, estimate, resample_subjects, without_each
from physiopipe.results.p_values import permutation_p_values

WINDOWS = (36, 12)  # of a person's recordings, of the low and the high class
SUBJECTS = (4, 8)
RECORDING_SDS = (0.3, 1.0)  # of recordings' own levels, in SDs within a recording
PERSON_SD = 0.5
RESAMPLES = 1000
TASK = ("task",)


def null_cohort(subjects: int, recording_sd: float, number: int) -> SeedPredictions:
    """Predictions of windows that know nothing of the class."""
    rng = np.random.default_rng([number, subjects, round(100 * recording_sd)])
    subject = np.repeat(np.arange(subjects), sum(WINDOWS))
    recording = np.tile(np.repeat([0, 1], WINDOWS), subjects)
    level = recording_sd * rng.standard_normal((subjects, 2))
    score = PERSON_SD * rng.standard_normal(subjects)[subject] + level[subject, recording]
    score = score + rng.standard_normal(len(subject))
    return SeedPredictions(
        subject=subject,
        row=np.arange(len(subject)),
        truth=(recording == 1)[:, None],
        probability=(1 / (1 + np.exp(-score)))[:, None],
        threshold=np.full((len(subject), 1), 0.5),
        recording=recording,
    )


def measured(subjects: int, recording_sd: float, cohorts: int) -> list[dict[str, object]]:
    """A row of COLUMNS for each interval."""
    kinds = {"leave_one_out": without_each(subjects), "bootstrap": resample_subjects(subjects, RESAMPLES, seed=0)}
    ends: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    p_values = []
    for number in range(cohorts):
        seeds = [null_cohort(subjects, recording_sd, number)]
        for kind, weights in kinds.items():
            found = estimate(seeds, weights, 0.95, TASK, "auc", interval=kind)  # type: ignore[arg-type]
            ends[kind].append((found.low["task"]["auc"], found.high["task"]["auc"]))
        p_values.append(permutation_p_values([seeds], RESAMPLES, 0, TASK, "auc")[0]["task"])
    rows = []
    for kind, pairs in ends.items():
        low, high = np.array(pairs).T
        inside = (low <= 0.5) & (high >= 0.5)
        rows.append(
            {
                "subjects": subjects, "recording_sd": recording_sd, "interval": kind, "cohorts": cohorts,
                "coverage": round(float(inside.mean()), 4),
                "standard_error": round(float(inside.std() / np.sqrt(cohorts)), 4),
                "mean_width": round(float((high - low).mean()), 4), "least_p": 1 / 2**subjects,
                "p_below_10_percent": round(float((np.array(p_values) < 0.1).mean()), 4),
            }
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=2000, help="simulated cohorts of each size and case")
    parser.add_argument("--write", action="store_true", help="keep the numbers: physiopipe/results/coverage_few.csv")
    options = parser.parse_args()
    begin = time.process_time()
    rows = [row for n in SUBJECTS for sd in RECORDING_SDS for row in measured(n, sd, options.cohorts)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    print(frame.to_string(index=False))
    if options.write:
        COVERAGE_FEW.write_text(frame.to_csv(index=False), encoding="utf-8")
    print(json.dumps({**vars(options), "cpu_s": round(time.process_time() - begin, 1), "coverage": rows}))


if __name__ == "__main__":
    main()
