"""What is measured of a method's predictions, from counts that add up over subjects.

Everything here follows from two summaries of one seed's predictions: each subject's confusion counts, and how often a
positive clip of subject i was scored above a negative clip of subject j. Both are made once; a metric of any weighting
of the subjects (all once, or a bootstrap resample) is then a few small products.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

METRICS = ("accuracy", "f1", "auc", "subject_auc", "balanced_accuracy", "balanced_accuracy_tuned", "macro_f1")
WINDOW_METRICS = (*METRICS, "auc_pr")  # where each window is scored by itself, as others print it
Headline = Literal["subject_auc", "auc"]  # what a cohort's tables lead with, see `Cohort.headline`
HEADLINE_WORDS: dict[Headline, str] = {"subject_auc": "AUC within subjects", "auc": "AUC of all clips pooled"}
THRESHOLD = 0.5  # a probability from here on says high


@dataclass(frozen=True)
class SubjectCounts:
    """Predictions of one method, task and seed, summed by subject.

    Attributes:
        confusion: (subject, 4), clips that are true positive, false positive, false negative, true negative.
        tuned: likewise, at thresholds chosen on validation subjects.
        concordance: (subject, subject), pairs of a positive clip of the row's subject and a negative clip of the
            column's in which the positive one has the higher probability; ties count half.
        by_score: (2, subject, distinct probability), positive and negative clips of each subject at each probability,
            from the highest down.
    """

    confusion: F64
    tuned: F64
    concordance: F64
    by_score: F64

    @property
    def positives(self) -> F64:
        """Clips of each subject whose truth is high, (subject,)."""
        return self.confusion[:, 0] + self.confusion[:, 2]

    @property
    def negatives(self) -> F64:
        """Clips of each subject whose truth is low, (subject,)."""
        return self.confusion[:, 1] + self.confusion[:, 3]


def count_by_subject(
    truth: npt.NDArray[np.bool_], probability: F64, threshold: F64, subject: npt.NDArray[np.int64], subjects: int
) -> SubjectCounts:
    """Sum the predictions of one seed by subject.

    Args:
        truth, probability, threshold: (clip,) whether it is high, its probability, its fold's validated threshold.
        subject: (clip,) whose it is, an index below `subjects`.
    """
    member = (np.arange(subjects)[:, None] == subject[None, :]).astype(np.float64)
    levels, level = np.unique(-probability, return_inverse=True)
    by_score = np.zeros((2, subjects, len(levels)))
    np.add.at(by_score, (np.where(truth, 0, 1), subject, level), 1.0)
    above = np.sign(probability[truth][:, None] - probability[~truth][None, :]) / 2 + 0.5
    return SubjectCounts(
        confusion=member @ _cells(truth, probability >= THRESHOLD),
        tuned=member @ _cells(truth, probability >= threshold),
        concordance=member[:, truth] @ above @ member[:, ~truth].T,
        by_score=by_score,
    )


def confusion_metrics(confusion: F64) -> dict[str, F64]:
    """Metrics at the threshold from counts (..., 4) of TP, FP, FN, TN, as shares.

    `f1` is that of the positive class; `macro_f1` is the mean over the classes that occur in truth or prediction;
    `balanced_accuracy` is undefined (NaN) without clips of both classes.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(confusion, dtype=np.float64), -1, 0)
    f1_high, f1_low = _share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn)
    both = np.stack([f1_high, f1_low])
    occurring = np.isfinite(both)
    return {
        "accuracy": _share(tp + tn, tp + fp + fn + tn),
        "f1": np.nan_to_num(f1_high),  # nothing to find and nothing claimed: 0 by convention
        "balanced_accuracy": (_share(tp, tp + fn) + _share(tn, tn + fp)) / 2,
        "macro_f1": _share(np.where(occurring, both, 0).sum(axis=0), occurring.sum(axis=0)),
    }


def weighted_metrics(weights: F64, counts: SubjectCounts, metrics: tuple[str, ...] = METRICS) -> dict[str, F64]:
    """Every metric for each weighting (weighting, subject) of the subjects; NaN where it is undefined.

    METRICS are always among them, `auc_pr` where `metrics` names it.

    `auc` is pooled over clips, as the paper prints it; `subject_auc` is the mean over subjects with clips of both
    classes of the AUC within the subject.
    """
    positives, negatives = counts.positives, counts.negatives
    own = subject_aucs(counts)
    defined = np.isfinite(own).astype(np.float64)
    return {
        **confusion_metrics(weights @ counts.confusion),
        "balanced_accuracy_tuned": confusion_metrics(weights @ counts.tuned)["balanced_accuracy"],
        "auc": _share(((weights @ counts.concordance) * weights).sum(1), (weights @ positives) * (weights @ negatives)),
        "subject_auc": _share(weights @ np.nan_to_num(own), weights @ defined),
        **({"auc_pr": precision_recall_areas(weights, counts)} if "auc_pr" in metrics else {}),
    }


def precision_recall_areas(weights: F64, counts: SubjectCounts) -> F64:
    """Area under precision over recall, (weighting,), by the trapezoidal rule from recall 0 and precision 1 on.

    As `sklearn.metrics.auc` of `precision_recall_curve`, which is how the area was printed elsewhere; it is above
    average precision where few clips are positive. By chance it is about the share of positive clips.
    """
    hits, alarms = (np.cumsum(weights @ side, axis=1) for side in counts.by_score)
    recall = _share(hits, hits[:, -1:])
    precision = np.where(hits + alarms > 0, _share(hits, hits + alarms), 1.0)
    start = np.ones((len(weights), 1))
    height = np.concatenate([start, precision], axis=1)
    steps = np.diff(np.concatenate([0 * start, recall], axis=1), axis=1)
    return np.asarray((steps * (height[:, 1:] + height[:, :-1]) / 2).sum(axis=1), dtype=np.float64)


def subject_aucs(counts: SubjectCounts) -> F64:
    """AUC within each subject, (subject,); NaN for a subject without clips of both classes."""
    return _share(np.diagonal(counts.concordance), counts.positives * counts.negatives)


def pooled_contributions(counts: SubjectCounts) -> F64:
    """What each subject adds to the pooled AUC, (subject,); NaN where that is undefined.

    Half of each pair of a positive and a negative clip goes to the subject of either one (the structural components of
    Obuchowski, Biometrics 53:567, 1997, by subject). A subject's clips stand in pairs with everybody else's, so the AUC
    moves twice as far as that half when the subject is exchanged: deviations from the mean are doubled. The parts sum
    to the AUC, and differences whose signs are flipped spread as those of exchanged rows do.
    """
    pairs = counts.positives.sum() * counts.negatives.sum()
    halves = _share((counts.concordance.sum(axis=1) + counts.concordance.sum(axis=0)) / 2, pairs)
    return np.asarray(2 * halves - halves.mean(), dtype=np.float64)


def oracle_share(auc: float, oracle: float) -> float:
    """An AUC's excess over chance as a part of the oracle's on the same clips; NaN where that has none."""
    return (auc - 0.5) / (oracle - 0.5) if oracle > 0.5 else float("nan")


def mean_of_tasks(by_task: Mapping[str, F64]) -> F64:
    """Mean over the tasks for which a metric is defined."""
    stacked = np.stack(list(by_task.values()))
    finite = np.isfinite(stacked)
    return _share(np.where(finite, stacked, 0).sum(axis=0), finite.sum(axis=0))


def _cells(truth: npt.NDArray[np.bool_], said_high: npt.NDArray[np.bool_]) -> F64:
    cells = [truth & said_high, ~truth & said_high, truth & ~said_high, ~truth & ~said_high]
    return np.stack(cells, axis=1).astype(np.float64)


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> F64:
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    share: F64 = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return share
