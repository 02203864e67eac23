"""One seed and fold of a method: who is on which side, and what is predicted of the test clips."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.clips.clip_data import F64, MODALITIES, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.subject_splits import Fold
from physiopipe.methods.base import Method


@dataclass(frozen=True)
class FoldRun:
    """One seed and fold: who is on which side, and what its results are kept under.

    Attributes:
        digest: of everything that determines the predictions.
        fitted: of everything that determines the fitted method and its curve; the same where nothing else is special.
    """

    seed: int
    number: int
    fold: Fold
    digest: str
    fitted: str

    def sides(self, clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
        """Clips to train on, to validate on and to test on; a subject on two sides fails the run."""
        train, validation, test = (
            clips.of_subjects(side) for side in (self.fold.train, self.fold.validation, self.fold.test)
        )
        check_disjoint(train, validation, test)
        return train, validation, test


@dataclass(frozen=True)
class Fitted:
    """A method fitted for one seed and fold, and the clips that validated it."""

    run: FoldRun
    method: Method
    validation: ClipData


def check_disjoint(train: ClipData, validation: ClipData, test: ClipData) -> None:
    """Fail where a subject, or a window's very samples, are on two sides: what was learned would be tested on itself.

    Raises:
        PhysiopipeError: naming the subject and the sides.
    """
    sides = {"training": train, "validation": validation, "test": test}
    of_subject: dict[str, str] = {}
    for side, clips in sides.items():
        for subject in np.unique(clips.subjects):
            other = of_subject.setdefault(str(subject), side)
            if other != side:
                raise PhysiopipeError(
                    f"subject {subject} has clips on two sides of a split, {other} and {side}: what is learned of a "
                    "subject would be tested on the same. Give every subject one side."
                )
    for modality in MODALITIES:
        of_window: dict[bytes, tuple[str, str]] = {}
        for side, clips in sides.items():
            owners, present = clips.subjects[clips.clip_of], getattr(clips, f"{modality}_present").any(axis=1)
            for digest, owner in zip(clips.digests(modality)[present].tolist(), owners[present], strict=True):
                known, of = of_window.setdefault(digest, (side, str(owner)))
                if known != side:
                    raise PhysiopipeError(
                        f"a window of subject {owner} ({side}) has the very {modality.upper()} samples of one of {of} "
                        f"({known}): a recording is in the cohort under two names. Keep one of them."
                    )


def best_threshold(truth: npt.NDArray[np.int8], probability: F64) -> float:
    """Threshold (high from it on) of best balanced accuracy; the one nearest one half among equals.

    Candidates are half-way between neighbouring probabilities, and 0 (all high); .5 where only one class is there.
    """
    high, low = np.sort(probability[truth == 1]), np.sort(probability[truth == 0])
    if not len(high) or not len(low):
        return 0.5
    values = np.unique(probability)
    candidates = np.unique(np.concatenate([[0.0, 0.5], (values[1:] + values[:-1]) / 2]))
    sensitivity = 1 - np.searchsorted(high, candidates, side="left") / len(high)
    specificity = np.searchsorted(low, candidates, side="left") / len(low)
    score = np.round(sensitivity + specificity, 12)
    best = candidates[score == score.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def predicted(fitted: Fitted, protocol: str, test: ClipData) -> pd.DataFrame:
    """Predictions of a fitted method on the test clips, with the thresholds that are best on the validation clips."""
    thresholds, validation = np.full(len(test.tasks), 0.5), fitted.validation
    if len(validation):
        found = fitted.method.predict(validation.without_labels())
        thresholds = np.array([best_threshold(validation.labels[:, i], found[:, i]) for i in range(len(test.tasks))])
    return predictions_frame(fitted, protocol, test, thresholds)


def predictions_frame(fitted: Fitted, protocol: str, test: ClipData, thresholds: F64) -> pd.DataFrame:
    """Predictions on the test clips, a row a clip and task; `thresholds` (n tasks,) stand beside them."""
    method, run = fitted.method, fitted.run
    probability = method.predict(test.without_labels())
    if probability.shape != (len(test), len(test.tasks)) or not np.isfinite(probability).all():
        raise PhysiopipeError(
            f"{method.name}, seed {run.seed}, fold {run.number}: expected finite probabilities "
            f"{(len(test), len(test.tasks))}, found shape {probability.shape} with "
            f"{int((~np.isfinite(probability)).sum())} that are not finite."
        )
    frames = [
        pd.DataFrame(
            {
                "method": method.name,
                "protocol": protocol,
                "seed": run.seed,
                "fold": run.number,
                "subject": test.subjects,
                "clip": test.clips,
                "label": task,
                "truth": test.labels[:, i],
                "probability": probability[:, i],
                "threshold": thresholds[i],
            }
        )
        for i, task in enumerate(test.tasks)
    ]
    return pd.concat(frames)
