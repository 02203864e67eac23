"""The mean label of the same film clip among the training subjects: what the clip says without any physiology."""

from typing import Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Method, prevalence


class ClipPrior(Method):
    """All subjects watch the same clips, so this is a strong baseline; an unseen clip gets the training prevalence."""

    name = "clip_prior"
    sources = ("methods/clip_prior.py",)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        self._prevalence = prevalence(train)
        self._means = {int(clip): train.labels[train.clips == clip].mean(axis=0) for clip in np.unique(train.clips)}
        return self

    def predict(self, test: ClipData) -> F64:
        rows = [self._means.get(int(clip), self._prevalence) for clip in test.clips]
        return np.array(rows, dtype=np.float64).reshape(len(test), 3)
