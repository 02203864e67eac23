"""p-values: labels permuted for one row, signs flipped for two, Holm's correction for many.

Subjects are what varies: labels are permuted within each subject, and differences are paired over subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from physiopipe.results.intervals import MEAN, Estimates, SeedPredictions, ends_of
from physiopipe.results.metrics import F64, Headline
from physiopipe.results.recording_p_values import exchanged_p_values

_EXACT_SUBJECTS = 12  # up to here all 2^n sign flips are cheaper than random ones, and exact
_TOLERANCE = 1e-9  # equal sums of ranks in another order differ by rounding


@dataclass(frozen=True)
class Comparison:
    """Difference `first - second` of the headline metric (mean of the tasks), paired over subjects."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float


def permutation_p_values(
    methods: Sequence[Sequence[SeedPredictions]],
    permutations: int,
    seed: int,
    tasks: Sequence[str],
    headline: Headline = "subject_auc",
) -> list[dict[str, float]]:
    """One-sided p of each method's AUC (the headline metric), by task and for their mean.

    The labels of a subject's clips are permuted, of all tasks together and for all methods and seeds alike. The AUC
    within a subject is linear in the truth (a sum of ranks), and so is the pooled AUC as long as the number of high
    clips stays, so one product a subject gives every permutation. Where the pooled AUC leads and no subject has clips
    of both classes, there is nothing to permute within subjects: whole subjects change their labels with each other.
    Where windows are scored one by one, a subject's recordings exchange their labels, see `recording_p_values`.
    """
    if not methods:
        return []
    if any(one.recording is not None for seeds in methods for one in seeds):
        return exchanged_p_values(methods, permutations, seed, tasks)
    rows = 1 + max(int(one.row.max()) for seeds in methods for one in seeds)
    truth = np.zeros((rows, len(tasks)))
    subject = np.full(rows, -1, dtype=np.int64)
    for one in (one for seeds in methods for one in seeds):
        truth[one.row], subject[one.row] = one.truth, one.subject
    generator = np.random.default_rng([seed, 2])
    slopes_of = _rank_slopes if headline == "subject_auc" else _pooled_slopes
    slopes = np.stack([slopes_of(seeds, rows) for seeds in methods], axis=-1)  # (row, task, method)
    observed = np.einsum("rl,rlm->lm", truth, slopes)
    permuted = np.zeros((permutations, len(tasks), len(methods)))
    for each in range(int(subject.max()) + 1):
        mine = np.flatnonzero(subject == each)
        order = np.argsort(generator.random((permutations, mine.size)), axis=1)
        for task in range(len(tasks)):
            permuted[:, task] += truth[mine, task][order] @ slopes[mine, task]
    if headline == "auc":
        for task in range(len(tasks)):
            label = _label_of_subjects(truth[:, task], subject)
            if label is not None:
                observed[task], permuted[:, task] = _between_subjects(methods, task, label, permutations, generator)
    p_task = (1 + (permuted >= observed - _TOLERANCE).sum(axis=0)) / (1 + permutations)
    p_mean = (1 + (permuted.sum(axis=1) >= observed.sum(axis=0) - _TOLERANCE).sum(axis=0)) / (1 + permutations)
    return [
        {**{task: float(p_task[i, m]) for i, task in enumerate(tasks)}, MEAN: float(p_mean[m])}
        for m in range(len(methods))
    ]


def compare(
    pairs: Sequence[tuple[str, str]], estimates: dict[str, Estimates], confidence: float, permutations: int, seed: int
) -> list[Comparison]:
    """Two-sided sign-flip tests of paired differences over subjects, with Holm's correction for their number.

    All sign patterns are tried where there are few subjects (their smallest p is then 2 / 2^subjects), else random
    ones.
    """
    rows = []
    for first, second in pairs:
        one, other = estimates[first], estimates[second]
        parts = one.contribution - other.contribution
        resampled = np.concatenate([[parts.sum()], one.resampled - other.resampled])
        low, high = ends_of(resampled, confidence, one.interval, least=-1.0)
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


def _rank_slopes(seeds: Sequence[SeedPredictions], rows: int) -> F64:
    """Slope of the per-subject AUC, seeds averaged, in each clip's truth, (row, task)."""
    tasks = seeds[0].truth.shape[1]
    slopes = np.zeros((rows, tasks))
    for task in range(tasks):
        usable = []
        for one in seeds:
            parts = []
            for subject in np.unique(one.subject):
                mine = one.subject == subject
                high = int(one.truth[mine, task].sum())
                low = int(mine.sum()) - high
                if high and low:
                    parts.append((one.row[mine], rankdata(one.probability[mine, task]) / (high * low)))
            if parts:
                usable.append(parts)
        for parts in usable:
            for row, slope in parts:
                slopes[row, task] += slope / (len(parts) * len(usable))
    return slopes


def _pooled_slopes(seeds: Sequence[SeedPredictions], rows: int) -> F64:
    """Slope of the pooled AUC, seeds averaged, in each clip's truth at an equal number of high ones, (row, task)."""
    tasks = seeds[0].truth.shape[1]
    slopes = np.zeros((rows, tasks))
    for task in range(tasks):
        usable = [one for one in seeds if 0 < one.truth[:, task].sum() < len(one.truth)]
        for one in usable:
            high = int(one.truth[:, task].sum())
            pairs = high * (len(one.truth) - high)
            slopes[one.row, task] += rankdata(one.probability[:, task]) / (pairs * len(usable))
    return slopes


def _label_of_subjects(truth: F64, subject: npt.NDArray[np.int64]) -> F64 | None:
    """The one label of each subject, (subject,); None where some subject has clips of both classes."""
    used = subject >= 0
    clips = np.bincount(subject[used])
    share: F64 = np.bincount(subject[used], weights=truth[used]) / np.maximum(clips, 1)
    return share if np.isin(share, (0, 1)).all() else None


def _between_subjects(
    methods: Sequence[Sequence[SeedPredictions]],
    task: int,
    label: F64,
    permutations: int,
    generator: np.random.Generator,
) -> tuple[F64, F64]:
    """Pooled AUC of each method, (method,), and with the subjects' labels permuted, (permutation, method)."""
    order = np.argsort(generator.random((permutations, label.size)), axis=1)
    drawn = np.concatenate([label[None], label[order]])
    found = np.zeros((len(drawn), len(methods)))
    for place, seeds in enumerate(methods):
        by_seed = []
        for one in seeds:
            truth = drawn[:, one.subject]
            high = truth.sum(axis=1)
            pairs = high * (truth.shape[1] - high)
            wins = truth @ rankdata(one.probability[:, task]) - high * (high + 1) / 2
            by_seed.append(np.divide(wins, pairs, out=np.full(len(drawn), 0.5), where=pairs > 0))
        found[:, place] = np.mean(by_seed, axis=0)
    return found[0], found[1:]
