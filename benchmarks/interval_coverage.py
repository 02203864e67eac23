"""How often the table's 95 % intervals hold .5 where there is nothing to find, counted over simulated null cohorts.

Each cohort has ratings as `simulate_dreamer` plans them (subjects and clips have their own levels, shares as in the
real file) and, for two correlated seeds of a method, scores that know nothing of them. What every such score has: the
log odds of high among the training subjects of its fold (a trained head's intercept), an offset of the subject, noise.

own     nothing else: new subjects are the only thing that the interval has to allow for
clip    two fifths of the variance within a subject belong to the clip, the same for all subjects, about as of ratings
prior   hardly any noise: what the training subjects' share of high says, as the row "chance" of the table

Intervals and p-values are the package's own (`resample_subjects`, `estimate`, `permutation_p_values`).

    python benchmarks/interval_coverage.py [--cohorts 2000] [--permuted 600] [--resamples 1000] [--write]

Last line: JSON. `--write` puts the numbers where the notes of the tables and docs/benchmarks.md find them:
physiopipe/results/coverage.csv, and a table in Markdown on standard output.
"""

import argparse
import json
import os
import time
from typing import Literal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.cohorts.dreamer import RATINGS, SimulateDreamer
from physiopipe.cohorts.dreamer_simulation import HIGH_FROM, plan_cohort
from physiopipe.experiments.subject_splits import subject_split
from physiopipe.results.coverage import CASES, COLUMNS, COVERAGE, P_QUANTITY, QUANTITIES, as_markdown
from physiopipe.results.intervals import MEAN, Estimates, SeedPredictions, estimate, resample_subjects
from physiopipe.results.p_values import permutation_p_values

F64 = npt.NDArray[np.float64]
Protocol = Literal["paper", "crossval"]
SIZES = (("crossval", 23, 18), ("crossval", 12, 10), ("paper", 23, 18))  # DREAMER's; the demo's; six test subjects
LABELS_OF = {"mean": (MEAN,), "each": RATINGS}
SEEDS = 2
SUBJECT_SD = 0.5  # of the subjects' own levels, in SDs within a subject
CLIP_SHARE = 0.4  # of the variance within a subject
SEED_SHARE = 0.3  # of the noise's variance: what a seed changes
PRIOR_NOISE = 1e-3
CONFIDENCE = 0.95


def null_cohort(case: str, protocol: Protocol, subjects: int, clips: int, number: int) -> list[SeedPredictions]:
    """Predictions on the test subjects, a SeedPredictions each seed, whose scores do not know the truth."""
    plan = plan_cohort(SimulateDreamer(subjects=subjects, clips=clips, effect_d=0.0, seed=number))
    whole = plan.ratings >= HIGH_FROM  # (subject, clip, label)
    names = [f"s{i:02d}" for i in range(subjects)]
    log_odds = np.full((subjects, 1, len(RATINGS)), np.nan)  # of high among the training subjects of a subject's fold
    for fold in subject_split(names, protocol, number):
        share = whole[[names.index(name) for name in fold.train]].mean(axis=(0, 1))
        log_odds[[names.index(name) for name in fold.test]] = np.log(share / (1 - share))
    tested = np.isfinite(log_odds).all(axis=(1, 2))
    truth, prior = whole[tested], log_odds[tested]
    rng = np.random.default_rng([number, 7, CASES.index(case)])
    common = rng.standard_normal(truth.shape)
    shared = rng.standard_normal((1, *truth.shape[1:]))
    offset = SUBJECT_SD * rng.standard_normal(prior.shape)
    found = []
    for _ in range(SEEDS):
        noise = np.sqrt(1 - SEED_SHARE) * common + np.sqrt(SEED_SHARE) * rng.standard_normal(truth.shape)
        if case == "own":
            score = prior + offset + noise
        elif case == "clip":
            score = prior + offset + np.sqrt(CLIP_SHARE) * shared + np.sqrt(1 - CLIP_SHARE) * noise
        else:
            score = prior + PRIOR_NOISE * noise
        found.append(as_predictions(truth, 1 / (1 + np.exp(-score))))
    return found


def as_predictions(truth: npt.NDArray[np.bool_], probability: F64) -> SeedPredictions:
    """(subject, clip, label) arrays as the statistics take them."""
    subjects, clips, labels = truth.shape
    flat = probability.reshape(-1, labels)
    return SeedPredictions(
        subject=np.repeat(np.arange(subjects), clips),
        row=np.arange(subjects * clips),
        truth=truth.reshape(-1, labels),
        probability=flat,
        threshold=np.full_like(flat, 0.5),
    )


def holds_half(found: Estimates) -> dict[str, float]:
    """For each of QUANTITIES whether its interval holds .5; the share of the labels where it is of one label."""
    inside = {}
    for name, (metric, of) in QUANTITIES.items():
        ends = [(found.low[label][metric], found.high[label][metric]) for label in LABELS_OF[of]]
        inside[name] = float(np.mean([low <= 0.5 <= high for low, high in ends]))
    return inside


def coverage_of(
    case: str, protocol: Protocol, subjects: int, clips: int, cohorts: int, resamples: int
) -> list[dict[str, object]]:
    """A row of COLUMNS for each quantity: the share of cohorts whose interval holds .5, and its standard error."""
    inside, values = [], []
    for number in range(cohorts):
        seeds = null_cohort(case, protocol, subjects, clips, number)
        tested = 1 + int(seeds[0].subject.max())
        found = estimate(seeds, resample_subjects(tested, resamples, seed=0), CONFIDENCE, RATINGS)
        inside.append(holds_half(found))
        values.append(
            {
                name: float(np.mean([found.value[label][metric] for label in LABELS_OF[of]]))
                for name, (metric, of) in QUANTITIES.items()
            }
        )
    return [
        {
            "protocol": protocol, "subjects": tested, "clips": clips, "case": case, "quantity": name,
            "cohorts": cohorts, "coverage": round(float(column.mean()), 4),
            "standard_error": round(float(column.std() / np.sqrt(cohorts)), 4),  # labels of one cohort go together
            "mean_value": round(float(np.mean([one[name] for one in values])), 4),
        }
        for name, column in pd.DataFrame(inside).items()
    ]  # fmt: skip


def false_alarms(
    case: str, protocol: Protocol, subjects: int, clips: int, cohorts: int, permutations: int
) -> dict[str, object]:
    """A row of COLUMNS for the one-sided p of the mean of the labels: the share of cohorts where it is .05 or more."""
    p_values = []
    for number in range(cohorts):
        seeds = null_cohort(case, protocol, subjects, clips, number)
        p_values.append(permutation_p_values([seeds], permutations, 0, RATINGS)[0][MEAN])
    quiet = np.array(p_values) >= 0.05
    return {
        "protocol": protocol, "subjects": 1 + int(seeds[0].subject.max()), "clips": clips, "case": case,
        "quantity": P_QUANTITY, "cohorts": cohorts, "coverage": round(float(quiet.mean()), 4),
        "standard_error": round(float(quiet.std() / np.sqrt(cohorts)), 4),
        "mean_value": round(float(np.mean(p_values)), 4),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=2000, help="simulated cohorts of each size and case")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples, and permutations, of each")
    parser.add_argument("--permuted", type=int, default=600, help="the same for p-values, which take longer")
    parser.add_argument("--write", action="store_true", help="keep the numbers: physiopipe/results/coverage.csv")
    options = parser.parse_args()
    begin = time.monotonic(), time.process_time()
    rows = []
    for size in SIZES:
        for case in CASES:
            rows += coverage_of(case, *size, options.cohorts, options.resamples)
            rows.append(false_alarms(case, *size, options.permuted, options.resamples))
            print(f"{size}, {case}: {time.monotonic() - begin[0]:.0f} s", flush=True)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    print(as_markdown(frame))
    if options.write:
        COVERAGE.write_text(frame.to_csv(index=False), encoding="utf-8")
    seconds = {"wall_s": round(time.monotonic() - begin[0], 1), "cpu_s": round(time.process_time() - begin[1], 1)}
    print(json.dumps({**vars(options), **seconds, "coverage": rows}))


if __name__ == "__main__":
    main()
