"""Always `high`: the accuracy and F1 that need no signal at all."""

from typing import Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Method


class AlwaysHigh(Method):
    """Probability 1 for every clip and label; its AUC is .5 by ties."""

    name = "always_high"
    sources = ("methods/always_high.py",)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        return self

    def predict(self, test: ClipData) -> F64:
        return np.ones((len(test), 3))
