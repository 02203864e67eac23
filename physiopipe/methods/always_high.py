"""Always `high`: the accuracy and F1 that need no signal at all."""

from typing import Any, Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays, Method


class AlwaysHigh(Method):
    """Probability 1 for every clip and task; its AUC is .5 by ties."""

    name = "always_high"
    title = "Always high"
    note = "Says high for every clip."

    @property
    def trained_parameters(self) -> int:
        return 0

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        return self

    def predict(self, test: ClipData) -> F64:
        return np.ones((len(test), len(test.tasks)))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return {}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        return self
