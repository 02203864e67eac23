"""Intervals: the subject is the unit that is sampled.

Intervals resample subjects, with the same resamples for every method, so that differences are paired. New clips are
not covered: all subjects see the same ones.

Of four subjects there are 35 different bootstrap resamples, whose percentiles are far too narrow. Where so few are
tested, an interval is the estimate ± Student's t times the jackknife's standard error: each subject is left out once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.results.metrics import (
    F64,
    METRICS,
    Headline,
    SubjectCounts,
    count_by_subject,
    mean_of_tasks,
    pooled_contributions,
    subject_aucs,
    weighted_metrics,
)

MEAN = "mean"  # of the tasks
Interval = Literal["bootstrap", "leave_one_out"]


@dataclass(frozen=True)
class SeedPredictions:
    """Test predictions of one method and seed, folds pooled.

    Attributes:
        subject: (clip,) index of the subject among all test subjects.
        row: (clip,) index of the clip among all test clips.
        truth: (clip, task) whether it is high.
        probability: (clip, task) of its being high.
        threshold: (clip, task) chosen on the validation subjects of the clip's fold.
        recording: (clip,) the number of its recording where windows are scored one by one, else None.
    """

    subject: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    truth: npt.NDArray[np.bool_]
    probability: F64
    threshold: F64
    recording: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Estimates:
    """Metrics of one method: `value`, and `low` and `high` ends of their intervals, by task (or mean) and metric.

    `resampled` keeps the headline metric of each resample (mean of the tasks), for paired differences, and
    `contribution` what each subject adds to it, (subject,); `interval` says what the resamples are.
    """

    value: dict[str, dict[str, float]]
    low: dict[str, dict[str, float]]
    high: dict[str, dict[str, float]]
    resampled: F64
    contribution: F64
    interval: Interval = "bootstrap"


def without_each(subjects: int) -> F64:
    """Weights that leave each subject out once, (subject, subject)."""
    return 1 - np.eye(subjects)


def resample_subjects(subjects: int, resamples: int, seed: int) -> F64:
    """How often each subject is drawn in each bootstrap resample, (resample, subject)."""
    if not subjects:
        return np.zeros((resamples, 0))
    draws = np.random.default_rng([seed, 1]).multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    return draws.astype(np.float64)


def estimate(
    seeds: Sequence[SeedPredictions],
    weights: F64,
    confidence: float,
    tasks: Sequence[str],
    headline: Headline = "subject_auc",
    metrics: tuple[str, ...] = METRICS,
    interval: Interval = "bootstrap",
) -> Estimates:
    """Metrics of one method with intervals; `weights` are the resamples (resample, subject), of the kind `interval`:
    of `resample_subjects` or of `without_each`.

    Clips are pooled within a seed and the metrics averaged over seeds, in each resample alike.
    """
    subjects = weights.shape[1]
    table = np.concatenate([np.ones((1, subjects)), weights])  # its first row weighs all alike: the point estimate
    resampled: dict[str, dict[str, F64]] = {task: {} for task in (*tasks, MEAN)}
    contribution = np.zeros(subjects)
    for position, task in enumerate(tasks):
        counts = [counts_of(one, position, subjects) for one in seeds]
        by_seed = [weighted_metrics(table, each, metrics) for each in counts]
        for metric in metrics:
            resampled[task][metric] = mean_of_defined(np.stack([one[metric] for one in by_seed]))
        contribution += contribution_of(counts, headline)
    for metric in metrics:
        resampled[MEAN][metric] = mean_of_tasks({task: resampled[task][metric] for task in tasks})
    defined = sum(bool(np.isfinite(resampled[task][headline][0])) for task in tasks)
    value: dict[str, dict[str, float]] = {}
    low: dict[str, dict[str, float]] = {}
    high: dict[str, dict[str, float]] = {}
    for task, by_metric in resampled.items():
        value[task] = {metric: float(column[0]) for metric, column in by_metric.items()}
        ends = {metric: ends_of(column, confidence, interval) for metric, column in by_metric.items()}
        low[task] = {metric: pair[0] for metric, pair in ends.items()}
        high[task] = {metric: pair[1] for metric, pair in ends.items()}
    headlines = resampled[MEAN][headline][1:]
    return Estimates(value, low, high, headlines, contribution / max(defined, 1), interval)


def ends_of(
    column: F64, confidence: float, interval: Interval, least: float = 0.0, most: float = 1.0
) -> tuple[float, float]:
    """Ends of the interval of a metric whose estimate comes first in `column`, then that of each resample.

    Args:
        least, most: what the metric can be; the jackknife's ends are cut there.
    """
    if interval == "bootstrap":
        return percentiles(column[1:], (50 * (1 - confidence), 50 * (1 + confidence)))
    from scipy.stats import t

    left_out = column[1:]
    subjects = len(left_out)
    if subjects < 2 or not np.isfinite(column).all():
        return float("nan"), float("nan")
    error = np.sqrt((subjects - 1) / subjects * np.square(left_out - left_out.mean()).sum())
    reach = float(t.ppf((1 + confidence) / 2, subjects - 1) * error)
    return max(least, float(column[0]) - reach), min(most, float(column[0]) + reach)


def headline_interval(
    seeds: Sequence[SeedPredictions],
    weights: F64,
    confidence: float,
    tasks: Sequence[str],
    headline: Headline,
    interval: Interval = "bootstrap",
) -> dict[str, tuple[float, float, float]]:
    """The headline metric alone with its interval (value, low, high), by task and for their mean; seeds averaged."""
    table = np.concatenate([np.ones((1, weights.shape[1])), weights])
    columns = {}
    for position, task in enumerate(tasks):
        counts = [counts_of(one, position, weights.shape[1]) for one in seeds]
        columns[task] = mean_of_defined(np.stack([weighted_metrics(table, each)[headline] for each in counts]))
    columns[MEAN] = mean_of_tasks(columns)
    return {task: (float(column[0]), *ends_of(column, confidence, interval)) for task, column in columns.items()}


def contribution_of(counts: Sequence[SubjectCounts], headline: Headline) -> F64:
    """What each subject adds to the headline metric of a task, seeds averaged, (subject,)."""
    if headline == "subject_auc":
        return _nanmean_contribution(np.stack([subject_aucs(each) for each in counts]))
    return np.nan_to_num(mean_of_defined(np.stack([pooled_contributions(each) for each in counts])))


def counts_of(one: SeedPredictions, task: int, subjects: int) -> SubjectCounts:
    """Predictions of one seed for the task at a place, summed by subject."""
    return count_by_subject(one.truth[:, task], one.probability[:, task], one.threshold[:, task], one.subject, subjects)


def mean_of_defined(by_seed: F64) -> F64:
    """Mean over the first axis of what is defined; NaN where nothing is."""
    finite = np.isfinite(by_seed)
    number, total = finite.sum(axis=0), np.where(finite, by_seed, 0).sum(axis=0)
    mean: F64 = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return mean


def _nanmean_contribution(aucs: F64) -> F64:
    """What each subject adds to the per-subject AUC: (seed, subject) AUCs, NaN where undefined, to (subject,)."""
    finite = np.isfinite(aucs)
    in_seed = finite.sum(axis=1, keepdims=True)
    parts = np.where(finite, aucs, 0) / np.maximum(in_seed, 1)
    return np.asarray(parts.sum(axis=0) / max(int((in_seed > 0).sum()), 1))


def percentiles(column: F64, tails: tuple[float, float]) -> tuple[float, float]:
    """Percentiles of what is defined; NaN where nothing is."""
    defined = column[np.isfinite(column)]
    if defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, tails)
    return float(low), float(high)
