"""A stand-in for Wang et al. 2024: features of one EEG lead and one ECG lead side by side, a support-vector machine.

Of the paper (IEEE Internet of Things Journal 11(5), 8746-8756) the title alone is known to this project: "A novel
emotion recognition method based on the feature fusion of single-lead EEG and ECG signals". Which lead, which features
and which classifier are choices made here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.code_digest import code_digest, library_versions
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Count, Positive, Section

_OF_A_LEAD = 12  # EEG features
_OF_ECG = 9

I64 = npt.NDArray[np.int64]


class SingleLeadSettings(Section):
    """What validation people choose among."""

    kept_features: tuple[Count, ...] = Field(
        (5, 10, 21), min_length=1, description="k, features of most mutual information that are kept; 21: all"
    )
    penalties: tuple[Positive, ...] = Field(
        (0.1, 1.0, 10.0), min_length=1, description="C of the support-vector machine"
    )


@dataclass(frozen=True)
class Machine:
    """A fitted support-vector machine with an RBF kernel, as arrays.

    Attributes:
        lead: (1,), the EEG channel, 0-based, that was on offer beside the ECG.
        columns: (k,), which of the window features (w, all) it reads.
        mean, deviation: (k,), of the training windows; a feature that could not be measured is at its mean.
        vectors: (v, k), support vectors on that scale.
        dual: (v,), their coefficients, signed.
        gamma, intercept: (1,).
    """

    lead: I64
    columns: I64
    mean: F64
    deviation: F64
    vectors: F64
    dual: F64
    gamma: F64
    intercept: F64

    def decision(self, features: F64) -> F64:
        """Decision function of window features (w, all), (w,): above 0 for high; NaN where no feature is known."""
        own = features[:, self.columns]
        x = _scaled(own, self.mean, self.deviation)
        found = np.full(len(x), np.nan)
        for row in np.flatnonzero(np.isfinite(own).any(axis=1)):  # singly: no sum depends on how many windows there are
            distance = np.square(self.vectors - x[row]).sum(axis=1)
            found[row] = (np.exp(-self.gamma[0] * distance) * self.dual).sum() + self.intercept[0]
        return found


class SingleLead(Method):
    """One EEG lead, the features to keep and the penalty by validation people; a machine a task."""

    name = "single_lead"
    title = "Single-lead EEG + ECG features (stand-in)"
    note = (
        "Stand-in for Wang et al. 2024, of whom the title alone is known: not their method. 12 features of one EEG "
        "lead, which validation people choose, and 9 of the first ECG lead, of 10-s windows and not referred to a "
        "baseline recording; a support-vector machine a task; a clip's score is the mean over windows of the logistic "
        "function of the decision, which is no calibrated probability."
    )
    Settings: ClassVar[type[SingleLeadSettings]] = SingleLeadSettings
    inputs = ("eeg", "ecg")
    libraries = ("numpy", "scipy", "scikit-learn")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.settings = setup.section(self.name, self.Settings)
        recipe: dict[str, Any] = {
            "kind": "single-lead features",
            "code": code_digest("physiopipe.clips.single_lead_features"),
            "libraries": library_versions(["numpy", "scipy"]),
        }
        self._cache = SubjectCache(setup.state_folder / "single_lead_features", recipe, ("eeg", "ecg"), _features_of)

    @property
    def provenance(self) -> str:
        notes = [
            "features, lead and classifier are choices of this project",
            "no baseline recording is subtracted: clips come without one",
            reductions(self.settings),
        ]
        return f"stand-in: the paper's text and code are not public ({'; '.join(note for note in notes if note)})"

    @property
    def reads(self) -> str:
        return "Reads one EEG lead (µV) and the first ECG lead (beats, R amplitude in the stored unit)."

    @property
    def trained_parameters(self) -> int:
        """Coefficients and intercepts of the machines of the latest fit."""
        return sum(len(machine.dual) + 1 for machine in self._machines if machine is not None)

    def precompute(self, clips: ClipData) -> None:
        self._cache.precompute(clips)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        """Learn as the class says. By balanced accuracy of validation clips, then by their AUC, the first of equals in
        order of lead, k and C; so the first of all where no validation clip, or one class alone, is there.
        """
        self._prevalence = prevalence(train)
        known, held_out = self._cache.of(train).astype(np.float64), self._cache.of(validation).astype(np.float64)
        self._machines: list[Machine | None] = []
        for task in range(train.labels.shape[1]):
            truth = train.labels[train.clip_of, task]
            best: tuple[tuple[float, float], Machine] | None = None
            for machine in self._candidates(known, truth, train.eeg.shape[1], seed):
                score = _score(validation, held_out, machine, task)
                if best is None or score > best[0]:
                    best = score, machine
            self._machines.append(None if best is None else best[1])  # nothing to separate: predict the prevalence
        return self

    def predict(self, test: ClipData) -> F64:
        features = self._cache.of(test).astype(np.float64)
        whole = np.tile(self._prevalence, (len(test), 1))
        for task, machine in enumerate(self._machines):
            if machine is not None:
                means = _clip_scores(test, features, machine)
                whole[:, task] = np.where(np.isnan(means), whole[:, task], means)  # nothing is known of such a clip
        return whole

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays: Arrays = {"prevalence": self._prevalence}
        for task, machine in enumerate(self._machines):
            if machine is not None:
                arrays |= {f"{task}.{name}": value for name, value in vars(machine).items()}
        return arrays, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._prevalence = arrays["prevalence"]
        names = tuple(Machine.__dataclass_fields__)
        self._machines = [
            Machine(**{name: arrays[f"{task}.{name}"] for name in names}) if f"{task}.dual" in arrays else None
            for task in range(len(self._prevalence))
        ]
        return self

    def _candidates(self, known: F64, truth: npt.NDArray[np.int8], leads: int, seed: int) -> Iterator[Machine]:
        """Machines on window features (w, all) of each lead, with each k and C, in this order."""
        from sklearn.feature_selection import mutual_info_classif
        from sklearn.svm import SVC

        for lead in range(leads):
            own = np.arange(lead * _OF_A_LEAD, (lead + 1) * _OF_A_LEAD)
            columns = np.concatenate([own, leads * _OF_A_LEAD + np.arange(_OF_ECG)])
            there = np.isfinite(known[:, columns]).any(axis=1)
            if len(np.unique(truth[there])) < 2:
                continue
            mean, deviation = _scale(known[there][:, columns])
            x = _scaled(known[there][:, columns], mean, deviation)
            order = np.argsort(-mutual_info_classif(x, truth[there], random_state=seed), kind="stable")
            for k in self.settings.kept_features:
                kept = np.sort(order[:k])
                for penalty in self.settings.penalties:
                    svm = SVC(C=penalty, kernel="rbf", gamma="scale", random_state=seed).fit(x[:, kept], truth[there])
                    yield Machine(
                        np.array([lead], dtype=np.int64),
                        columns[kept].astype(np.int64),
                        mean[kept],
                        deviation[kept],
                        svm.support_vectors_,
                        svm.dual_coef_[0],
                        np.array([svm._gamma]),
                        svm.intercept_.astype(np.float64),
                    )


def _score(clips: ClipData, features: F64, machine: Machine, task: int) -> tuple[float, float]:
    """Balanced accuracy and AUC of the clips, (0, 0) where they show one class or nothing."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    if len(clips) == 0:
        return 0.0, 0.0
    means = _clip_scores(clips, features, machine)
    known = np.isfinite(means)
    truth = clips.labels[known, task]
    if len(np.unique(truth)) < 2:
        return 0.0, 0.0
    return float(balanced_accuracy_score(truth, means[known] > 0.5)), float(roc_auc_score(truth, means[known]))


def _clip_scores(clips: ClipData, features: F64, machine: Machine) -> F64:
    """Mean over each clip's windows of the logistic function of the decision, (n,); NaN where nothing is known."""
    decision = machine.decision(features)
    return clips.clip_means((1 / (1 + np.exp(-decision)))[:, None])[:, 0]


def _scale(features: F64) -> tuple[F64, F64]:
    """Mean and SD of what is known of each column of (w, k); 0 and 1 where nothing is, SD 1 where nothing varies."""
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, features, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, np.square(features - mean), 0.0).sum(axis=0) / count)
    return mean, np.where(spread > 1e-12, spread, 1.0)


def _scaled(features: F64, mean: F64, deviation: F64) -> F64:
    """On that scale, 0 where a feature could not be measured."""
    return np.where(np.isfinite(features), (features - mean) / deviation, 0.0)


def _features_of(clips: ClipData) -> F32:
    from physiopipe.clips.single_lead_features import lead_features

    return lead_features(clips)
