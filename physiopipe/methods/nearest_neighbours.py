"""Five nearest neighbours on standardised window features: the canary that dies where windows have leaked.

A window's nearest neighbours are other windows of its own clip, where these are in the training set: then its label is
known without any physiology. Between subjects it is a weak, honest method.
"""

from typing import Self

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.handcrafted import Handcrafted

NEIGHBOURS = 5


class NearestNeighbours(Handcrafted):
    """Handcrafted features of windows, z-scored by the training windows, 5 nearest of them, mean over a clip."""

    name = "nearest_neighbours"
    sources = ("methods/nearest_neighbours.py", "methods/handcrafted.py", "clips/features.py")

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        features = self._window_features(train).astype(np.float64)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(features).any(axis=0)
        self._mean = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
        spread = np.nanstd(np.where(known, features, 0.0), axis=0)
        self._deviation = np.where(spread > 0, spread, 1.0)
        neighbours = min(NEIGHBOURS, len(features))
        labels = train.labels[train.clip_of]
        self._neighbours = [
            KNeighborsClassifier(neighbours).fit(self._standardised(features), labels[:, i])
            for i in range(labels.shape[1])
        ]
        return self

    def predict(self, test: ClipData) -> F64:
        features = self._standardised(self._window_features(test).astype(np.float64))
        columns = []
        for model in self._neighbours:
            found = model.predict_proba(features)
            classes = model.classes_.tolist()
            columns.append(found[:, classes.index(1)] if 1 in classes else np.zeros(len(features)))
        return test.clip_means(np.stack(columns, axis=1))

    def _standardised(self, features: F64) -> F64:
        """Features (w, k) on the training windows' scale; what could not be measured is at their mean."""
        scaled: F64 = np.nan_to_num((features - self._mean) / self._deviation, nan=0.0)
        return scaled
