"""Logistic regression on handcrafted features: EEG band power, heart rate, wave amplitudes."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.clips.features import window_features
from physiopipe.experiments.provenance import digest_of_sources
from physiopipe.methods.base import Method, Setup, prevalence
from physiopipe.params import MethodName

_FEATURE_SOURCES = ("methods/handcrafted.py", "clips/features.py")
INVERSE_REGULARISATION = 0.1  # more than a hundred correlated features, about two hundred clips


class Handcrafted(Method):
    """Mean of the window features over a clip → z-score by the training clips → logistic regression, per label."""

    name: ClassVar[MethodName] = "handcrafted"
    inputs = ("eeg", "ecg")
    sources: ClassVar[tuple[str, ...]] = _FEATURE_SOURCES
    libraries = ("numpy", "scipy", "scikit-learn")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        recipe: dict[str, Any] = {"kind": "handcrafted", "code": digest_of_sources(_FEATURE_SOURCES)}
        self._cache = SubjectCache(setup.state_folder / "window_features", recipe, ("eeg", "ecg"), _features_of)

    def precompute(self, clips: ClipData) -> None:
        self._cache.precompute(clips)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        features = self._features(train)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(features).any(axis=0)
        self._fill = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
        self._constant = prevalence(train)
        filled = self._filled(features)
        self._models: list[Pipeline | None] = []
        for label in range(train.labels.shape[1]):
            truth = train.labels[:, label]
            one_class = truth.min() == truth.max()  # nothing to separate: predict the prevalence
            model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2000))
            self._models.append(None if one_class else model.fit(filled, truth))
        return self

    def predict(self, test: ClipData) -> F64:
        features = self._filled(self._features(test))
        columns = [
            np.full(len(test), self._constant[label]) if model is None else model.predict_proba(features)[:, 1]
            for label, model in enumerate(self._models)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def _filled(self, features: F64) -> F64:
        """Features (n, k) with what could not be measured (no beat found, a dead channel) at the training mean."""
        return np.where(np.isfinite(features), features, self._fill)

    def _features(self, clips: ClipData) -> F64:
        """Mean of the window features of each clip, (n, k)."""
        return clips.clip_means(self._window_features(clips))

    def _window_features(self, clips: ClipData) -> F32:
        """Features of each window, (w, k); NaN where one could not be measured."""
        return self._cache.of(clips)


def _features_of(clips: ClipData) -> F32:
    features, _ = window_features(clips.eeg, clips.ecg)
    return features
