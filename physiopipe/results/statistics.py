"""Intervals, p-values and comparisons: the subject is the unit that is sampled.

Intervals resample subjects, with the same resamples for every method, so that differences are paired. New film clips
are not covered: all subjects see the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from physiopipe.results.metrics import (
    F64,
    HEADLINE,
    LABELS,
    METRICS,
    SubjectCounts,
    count_by_subject,
    mean_of_labels,
    subject_aucs,
    weighted_metrics,
)

MEAN = "mean"  # of the three labels
_EXACT_SUBJECTS = 12  # up to here all 2^n sign flips are cheaper than random ones, and exact


@dataclass(frozen=True)
class SeedPredictions:
    """Test predictions of one method and seed, folds pooled.

    Attributes:
        subject: (clip,) index of the subject among all test subjects.
        row: (clip,) index of the clip among all test clips.
        truth: (clip, label) whether the rating is high.
        probability: (clip, label) of its being high.
        threshold: (clip, label) chosen on the validation subjects of the clip's fold.
    """

    subject: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    truth: npt.NDArray[np.bool_]
    probability: F64
    threshold: F64


@dataclass(frozen=True)
class Estimates:
    """Metrics of one method: `value`, and `low` and `high` ends of their intervals, by label (or mean) and metric.

    `resampled` keeps the headline metric of each resample (mean of the labels), for paired differences, and
    `contribution` what each subject adds to it, (subject,).
    """

    value: dict[str, dict[str, float]]
    low: dict[str, dict[str, float]]
    high: dict[str, dict[str, float]]
    resampled: F64
    contribution: F64


@dataclass(frozen=True)
class Comparison:
    """Difference `first - second` of the headline metric (mean of the labels), paired over subjects."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float


def resample_subjects(subjects: int, resamples: int, seed: int) -> F64:
    """How often each subject is drawn in each bootstrap resample, (resample, subject)."""
    draws = np.random.default_rng([seed, 1]).multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    return draws.astype(np.float64)


def estimate(seeds: Sequence[SeedPredictions], weights: F64, confidence: float) -> Estimates:
    """Metrics of one method with percentile intervals; `weights` are the resamples (resample, subject).

    Clips are pooled within a seed and the metrics averaged over seeds, in each resample alike.
    """
    subjects = weights.shape[1]
    table = np.concatenate([np.ones((1, subjects)), weights])  # its first row weighs all alike: the point estimate
    resampled: dict[str, dict[str, F64]] = {label: {} for label in (*LABELS, MEAN)}
    contribution = np.zeros(subjects)
    counts = [[_counts(one, label, subjects) for one in seeds] for label in range(len(LABELS))]
    for position, label in enumerate(LABELS):
        by_seed = [weighted_metrics(table, each) for each in counts[position]]
        for metric in METRICS:
            resampled[label][metric] = mean_of_defined(np.stack([one[metric] for one in by_seed]))
        contribution += _nanmean_contribution(np.stack([subject_aucs(each) for each in counts[position]]))
    for metric in METRICS:
        resampled[MEAN][metric] = mean_of_labels({label: resampled[label][metric] for label in LABELS})
    defined = sum(bool(np.isfinite(resampled[label][HEADLINE][0])) for label in LABELS)
    tails = (50 * (1 - confidence), 50 * (1 + confidence))
    value: dict[str, dict[str, float]] = {}
    low: dict[str, dict[str, float]] = {}
    high: dict[str, dict[str, float]] = {}
    for label, by_metric in resampled.items():
        value[label] = {metric: float(column[0]) for metric, column in by_metric.items()}
        ends = {metric: _percentiles(column[1:], tails) for metric, column in by_metric.items()}
        low[label] = {metric: pair[0] for metric, pair in ends.items()}
        high[label] = {metric: pair[1] for metric, pair in ends.items()}
    return Estimates(value, low, high, resampled[MEAN][HEADLINE][1:], contribution / max(defined, 1))


def permutation_p_values(
    methods: Sequence[Sequence[SeedPredictions]], permutations: int, seed: int
) -> list[dict[str, float]]:
    """One-sided p of each method's per-subject AUC, by label and for their mean.

    The labels of a subject's clips are permuted, all three together and for all methods and seeds alike; the AUC
    within a subject is linear in the truth (a sum of ranks), so one product a subject gives every permutation.
    """
    rows = 1 + max(int(one.row.max()) for seeds in methods for one in seeds)
    truth = np.zeros((rows, len(LABELS)))
    subject = np.full(rows, -1, dtype=np.int64)
    for one in (one for seeds in methods for one in seeds):
        truth[one.row], subject[one.row] = one.truth, one.subject
    slopes = np.stack([_rank_slopes(seeds, rows) for seeds in methods], axis=-1)  # (row, label, method)
    generator = np.random.default_rng([seed, 2])
    observed = np.einsum("rl,rlm->lm", truth, slopes)
    permuted = np.zeros((permutations, len(LABELS), len(methods)))
    for each in range(int(subject.max()) + 1):
        mine = np.flatnonzero(subject == each)
        order = np.argsort(generator.random((permutations, mine.size)), axis=1)
        for label in range(len(LABELS)):
            permuted[:, label] += truth[mine, label][order] @ slopes[mine, label]
    tolerance = 1e-9  # equal sums of ranks in another order differ by rounding
    p_label = (1 + (permuted >= observed - tolerance).sum(axis=0)) / (1 + permutations)
    p_mean = (1 + (permuted.sum(axis=1) >= observed.sum(axis=0) - tolerance).sum(axis=0)) / (1 + permutations)
    return [
        {**{label: float(p_label[i, m]) for i, label in enumerate(LABELS)}, MEAN: float(p_mean[m])}
        for m in range(len(methods))
    ]


def compare(
    pairs: Sequence[tuple[str, str]], estimates: dict[str, Estimates], confidence: float, permutations: int, seed: int
) -> list[Comparison]:
    """Two-sided sign-flip tests of paired differences over subjects, with Holm's correction for their number.

    All sign patterns are tried where there are few subjects (their smallest p is then 2 / 2^subjects), else random
    ones.
    """
    tails = (50 * (1 - confidence), 50 * (1 + confidence))
    rows = []
    for first, second in pairs:
        one, other = estimates[first], estimates[second]
        parts = one.contribution - other.contribution
        low, high = _percentiles(one.resampled - other.resampled, tails)
        rows.append((first, second, float(parts.sum()), low, high, sign_flip_p(parts, permutations, seed)))
    corrected = holm([row[-1] for row in rows])
    return [Comparison(*row, p_holm) for row, p_holm in zip(rows, corrected, strict=True)]


def sign_flip_p(parts: F64, permutations: int, seed: int) -> float:
    """Two-sided p of the sum of `parts` (subject,) when each one's sign is as likely + as -."""
    parts = parts[parts != 0]
    if parts.size == 0:
        return 1.0
    exact = parts.size <= _EXACT_SUBJECTS
    if exact:
        patterns = (np.arange(2**parts.size)[:, None] >> np.arange(parts.size)) & 1
    else:
        patterns = np.random.default_rng([seed, 3]).integers(0, 2, size=(permutations, parts.size))
    extreme = np.abs((1 - 2 * patterns) @ parts) >= abs(parts.sum()) - 1e-12
    return float(extreme.mean()) if exact else float((1 + extreme.sum()) / (1 + permutations))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p-values in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, position in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = running
    return [float(p) for p in adjusted]


def _counts(one: SeedPredictions, label: int, subjects: int) -> SubjectCounts:
    return count_by_subject(
        one.truth[:, label], one.probability[:, label], one.threshold[:, label], one.subject, subjects
    )


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


def _rank_slopes(seeds: Sequence[SeedPredictions], rows: int) -> F64:
    """Slope of the per-subject AUC, seeds averaged, in each clip's truth, (row, label)."""
    slopes = np.zeros((rows, len(LABELS)))
    for label in range(len(LABELS)):
        usable = []
        for one in seeds:
            parts = []
            for subject in np.unique(one.subject):
                mine = one.subject == subject
                high = int(one.truth[mine, label].sum())
                low = int(mine.sum()) - high
                if high and low:
                    parts.append((one.row[mine], rankdata(one.probability[mine, label]) / (high * low)))
            if parts:
                usable.append(parts)
        for parts in usable:
            for row, slope in parts:
                slopes[row, label] += slope / (len(parts) * len(usable))
    return slopes


def _percentiles(column: F64, tails: tuple[float, float]) -> tuple[float, float]:
    defined = column[np.isfinite(column)]
    if defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, tails)
    return float(low), float(high)
