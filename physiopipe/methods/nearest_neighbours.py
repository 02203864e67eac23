"""Five nearest neighbours on standardised window features: the canary that dies where windows have leaked.

A window's nearest neighbours are other windows of its own clip, where these are in the training set: then its label is
known without any physiology. Between subjects it is a weak, honest method.
"""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays, prevalence
from physiopipe.methods.handcrafted import WindowFeatures
from physiopipe.params.section import Count, Section


class NearestNeighboursSettings(Section):
    """Nearest windows by the handcrafted features."""

    neighbours: Count = Field(5, description="training windows that a window is compared with")


class NearestNeighbours(WindowFeatures):
    """Handcrafted features of windows, z-scored by the training windows, 5 nearest of them, mean over a clip."""

    name = "nearest_neighbours"
    title = "Nearest neighbours"
    note = "5 nearest windows by the handcrafted features: a canary for leaks."
    Settings: ClassVar[type[NearestNeighboursSettings]] = NearestNeighboursSettings

    @property
    def trained_parameters(self) -> int:
        """None of them: windows are remembered as they are."""
        return 0

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        prevalence(train)  # refuses a split without training clips
        features = self._window_features(train).astype(np.float64)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(features).any(axis=0)
        self._mean = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
        spread = np.nanstd(np.where(known, features, 0.0), axis=0)
        self._deviation = np.where(spread > 0, spread, 1.0)
        self._remember(self._standardised(features), train.labels[train.clip_of])
        return self

    def _remember(self, features: F64, labels: npt.NDArray[np.int8]) -> None:
        """Training windows (w, k) on their own scale, and the labels (w, n tasks) of their clips."""
        from sklearn.neighbors import KNeighborsClassifier

        wanted = self.setup.section(self.name, self.Settings).neighbours
        count = min(wanted, len(features))
        self._features, self._labels = features, labels
        self._neighbours: list[KNeighborsClassifier] = [
            KNeighborsClassifier(count).fit(features, labels[:, task]) for task in range(labels.shape[1])
        ]

    def predict(self, test: ClipData) -> F64:
        if not len(test):
            return np.empty((0, self._labels.shape[1]))
        features = self._standardised(self._window_features(test).astype(np.float64))
        columns = []
        for model in self._neighbours:
            found = model.predict_proba(features)
            classes = model.classes_.tolist()
            columns.append(found[:, classes.index(1)] if 1 in classes else np.zeros(len(features)))
        return test.clip_means(np.stack(columns, axis=1))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays = {"mean": self._mean, "deviation": self._deviation, "features": self._features, "labels": self._labels}
        return arrays, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._mean, self._deviation = arrays["mean"], arrays["deviation"]
        self._remember(arrays["features"], arrays["labels"])
        return self

    def _standardised(self, features: F64) -> F64:
        """Features (w, k) on the training windows' scale; what could not be measured is at their mean."""
        scaled: F64 = np.nan_to_num((features - self._mean) / self._deviation, nan=0.0)
        return scaled
