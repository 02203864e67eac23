"""The row `line_length`: which class mean of the training people a clip's line lengths are nearer to."""

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays, Method
from physiopipe.params import Positive, Section
from physiopipe_example_method.features import log_line_length


class LineLengthSettings(Section):
    """Nearest class mean on line lengths."""

    shrinkage: Positive = Field(1.0, description="of the log odds: larger values keep probabilities nearer to one half")


class LineLength(Method):
    """ln line length of every channel → z-score by the training clips → distance to both class means → logistic."""

    name = "line_length"  # as in the entry point
    title = "Line length"
    note = "Nearest class mean on the log line length of every channel."
    inputs = ("eeg", "ecg")
    Settings: ClassVar[type[LineLengthSettings]] = LineLengthSettings

    @property
    def provenance(self) -> str:
        return "example"

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        features = _features(train)
        known = np.isfinite(features)
        self._mean = np.where(known, features, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.where(known, features - self._mean, 0.0).std(axis=0)
        self._deviation = np.where(spread > 0, spread, 1.0)
        standard = self._standardised(features)
        self._classes = np.zeros((2, train.labels.shape[1], features.shape[1]))
        for task, labels in enumerate(train.labels.T):
            for label in (0, 1):
                if (labels == label).any():  # with one class alone both means are equal: probability one half
                    self._classes[label, task] = standard[labels == label].mean(axis=0)
                else:
                    self._classes[label, task] = standard.mean(axis=0)
        return self

    def predict(self, test: ClipData) -> F64:
        standard = self._standardised(_features(test))
        low, high = (((standard[:, None] - means) ** 2).mean(axis=-1) for means in self._classes)
        odds = (low - high) / self.setup.section(self.name, self.Settings).shrinkage
        probability: F64 = 1 / (1 + np.exp(-odds))
        return probability

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return {"mean": self._mean, "deviation": self._deviation, "classes": self._classes}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._mean, self._deviation, self._classes = arrays["mean"], arrays["deviation"], arrays["classes"]
        return self

    def _standardised(self, features: F64) -> F64:
        return np.where(np.isfinite(features), (features - self._mean) / self._deviation, 0.0)


def _features(clips: ClipData) -> F64:
    """Mean log line length of each clip's windows, (n, EEG and ECG channels)."""
    both = [
        log_line_length(clips.eeg, clips.eeg_present, clips.valid_patches),
        log_line_length(clips.ecg, clips.ecg_present, clips.valid_patches),
    ]
    return clips.clip_means(np.concatenate(both, axis=1))
