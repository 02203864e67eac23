"""Chance: the training prevalence, with ties broken by a draw that knows nothing of the clip."""

import hashlib
from typing import Any, Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays, Method, prevalence

JITTER = 1e-4  # breaks ties and moves no decision unless the prevalence is one half


class Chance(Method):
    """Training prevalence plus a tiny jitter drawn from (seed, task, subject, clip) alone."""

    name = "chance"
    title = "Chance"
    note = "Random probabilities around the training subjects' share of high."

    @property
    def trained_parameters(self) -> int:
        """The share of high labels, a task."""
        return self._level.size

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        self._level = np.clip(prevalence(train), JITTER, 1 - JITTER)
        self._seed = seed
        return self

    def predict(self, test: ClipData) -> F64:
        jitter = [
            [self._draw(f"{self._seed}/{task}/{subject}/{clip}") for task in test.tasks]
            for subject, clip in zip(test.subjects, test.clips, strict=True)
        ]
        # keyed by name, not by position: the same draws at the same place of every fold would move all folds together
        return self._level + JITTER * np.array(jitter, dtype=np.float64).reshape(len(test), len(test.tasks))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return {"level": self._level}, {"seed": self._seed}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        self._level, self._seed = arrays["level"], about["seed"]
        return self

    @staticmethod
    def _draw(name: str) -> float:
        """A number in [-1, 1) that is a pure function of the name."""
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7]) / 2**55 - 1
