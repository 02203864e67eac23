"""Logistic regression on handcrafted features: EEG band power, heart rate, wave amplitudes."""

from typing import Any, ClassVar, Self

from pydantic import Field

from physiopipe.clips.baseline import features_against_baseline
from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, F64, ClipData
from physiopipe.code_digest import code_digest
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.filled_regressions import FilledRegressions
from physiopipe.params.section import Positive, Section


class HandcraftedSettings(Section):
    """Logistic regression on handcrafted features."""

    inverse_regularisation: Positive = Field(
        0.1, description="C of the L2 penalty: more than a hundred correlated features, about two hundred clips"
    )


class WindowFeatures(Method):
    """A method on handcrafted features of windows, computed once and kept by content."""

    uses_baseline = True
    inputs = ("eeg", "ecg")
    can_do_without: ClassVar[tuple[str, ...]] = ("ecg",)
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "scikit-learn")

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
        return self._regressions.trained_parameters

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        strength = self.setup.section(self.name, self.Settings).inverse_regularisation
        constant = prevalence(train)
        self._regressions = FilledRegressions.fitted(self._features(train), train.labels, constant, strength)
        return self

    def predict(self, test: ClipData) -> F64:
        return self._regressions.predict(self._features(test))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return self._regressions.state(), {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._regressions = FilledRegressions.restored(arrays)
        return self

    def _features(self, clips: ClipData) -> F64:
        """Mean of the window features of each clip, (n, k)."""
        return clips.clip_means(self._window_features(clips))


def _features_of(clips: ClipData) -> F32:
    from physiopipe.clips.features import window_features

    features, _ = window_features(clips.eeg, clips.ecg)
    return features
