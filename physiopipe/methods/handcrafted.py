"""Logistic regression on handcrafted features: EEG band power, heart rate, wave amplitudes."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.baseline import features_against_baseline
from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.code_digest import code_digest
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.params.section import Positive, Section

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class HandcraftedSettings(Section):
    """Logistic regression on handcrafted features."""

    inverse_regularisation: Positive = Field(
        0.1, description="C of the L2 penalty: more than a hundred correlated features, about two hundred clips"
    )


class WindowFeatures(Method):
    """A method on handcrafted features of windows, computed once and kept by content."""

    uses_baseline = True
    inputs = ("eeg", "ecg")
    can_do_without = ("ecg",)
    libraries = ("numpy", "scipy", "scikit-learn")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        recipe: dict[str, Any] = {"kind": "handcrafted", "code": code_digest("physiopipe.clips.features")}
        self._cache = SubjectCache(setup.state_folder / "window_features", recipe, ("eeg", "ecg"), _features_of)

    @property
    def reads(self) -> str:
        words = "Reads EEG (band power in µV²)"
        if "ecg" not in self.setup.modalities:
            return f"{words} alone: the cohort has no ECG."
        return f"{words} and ECG (beats, QRS and T amplitudes in the stored unit, not z-scored)."

    def precompute(self, clips: ClipData) -> None:
        self._cache.precompute(clips)

    def _window_features(self, clips: ClipData) -> F32:
        """Features of each window, (w, k), against the baseline where there is one; NaN: could not be measured."""
        return features_against_baseline(clips, self._cache.of)


class Handcrafted(WindowFeatures):
    """Mean of the window features over a clip → z-score by the training clips → logistic regression, per task."""

    name = "handcrafted"
    title = "Handcrafted"
    note = "Logistic regression on EEG band power, heart rate and ECG wave amplitudes."
    Settings: ClassVar[type[HandcraftedSettings]] = HandcraftedSettings

    @property
    def trained_parameters(self) -> int:
        """Coefficients and intercepts of the regressions."""
        regressions = [model.steps[-1][1] for model in self._models if model is not None]
        return sum(each.coef_.size + each.intercept_.size for each in regressions)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        strength = self.setup.section(self.name, self.Settings).inverse_regularisation
        features = self._features(train)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(features).any(axis=0)
        self._fill = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
        self._constant = prevalence(train)
        filled = self._filled(features)
        self._models: list[Pipeline | None] = []
        for task in range(train.labels.shape[1]):
            truth = train.labels[:, task]
            one_class = truth.min() == truth.max()  # nothing to separate: predict the prevalence
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
            self._models.append(None if one_class else model.fit(filled, truth))
        return self

    def predict(self, test: ClipData) -> F64:
        features = self._filled(self._features(test))
        columns = [
            np.full(len(test), self._constant[task]) if model is None else model.predict_proba(features)[:, 1]
            for task, model in enumerate(self._models)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays: Arrays = {"fill": self._fill, "constant": self._constant}
        for task, model in enumerate(self._models):
            if model is not None:
                scaler, regression = (step for _, step in model.steps)
                arrays |= {f"{task}.mean": scaler.mean_, f"{task}.deviation": scaler.scale_}
                arrays |= {f"{task}.coefficients": regression.coef_[0], f"{task}.intercept": regression.intercept_}
        return arrays, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._fill, self._constant = arrays["fill"], arrays["constant"]
        known = [f"{task}.mean" in arrays for task in range(len(self._constant))]
        self._models = [_regression(arrays, task) if there else None for task, there in enumerate(known)]
        return self

    def _filled(self, features: F64) -> F64:
        """Features (n, k) with what could not be measured (no beat found, a dead channel) at the training mean."""
        return np.where(np.isfinite(features), features, self._fill)

    def _features(self, clips: ClipData) -> F64:
        """Mean of the window features of each clip, (n, k)."""
        return clips.clip_means(self._window_features(clips))


def _regression(arrays: Arrays, task: int) -> "Pipeline":
    """The scaler and the regression of a task, from what was kept of them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler, regression = StandardScaler(), LogisticRegression()
    scaler.mean_, scaler.scale_ = arrays[f"{task}.mean"], arrays[f"{task}.deviation"]
    scaler.n_features_in_ = regression.n_features_in_ = len(scaler.mean_)
    regression.coef_, regression.intercept_ = arrays[f"{task}.coefficients"][None], arrays[f"{task}.intercept"]
    regression.classes_ = np.array([0, 1], dtype=np.int8)
    return make_pipeline(scaler, regression)


def _features_of(clips: ClipData) -> F32:
    from physiopipe.clips.features import window_features

    features, _ = window_features(clips.eeg, clips.ecg)
    return features
