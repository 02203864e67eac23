"""The mean label of the same film clip among the training subjects: what the clip says without any physiology."""

from typing import Any, Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays, Method, prevalence


class ClipPrior(Method):
    """All subjects watch the same clips, so this is a strong baseline; an unseen clip gets the training prevalence."""

    name = "clip_prior"
    title = "Clip prior"
    note = "Mean label of the same film clip among the training subjects: knows nothing of physiology."
    exempt = {"chance": "People agree on a film clip whatever their signals say."}  # noqa: RUF012

    @property
    def trained_parameters(self) -> int:
        """A mean label a clip and task."""
        return sum(each.size for each in self._means.values())

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:  # noqa: ARG002
        self._prevalence = prevalence(train)
        self._means = {int(clip): train.labels[train.clips == clip].mean(axis=0) for clip in np.unique(train.clips)}
        return self

    def predict(self, test: ClipData) -> F64:
        rows = [self._means.get(int(clip), self._prevalence) for clip in test.clips]
        return np.array(rows, dtype=np.float64).reshape(len(test), len(test.tasks))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        means = np.array(list(self._means.values()), dtype=np.float64)
        return {"prevalence": self._prevalence, "clips": np.array(list(self._means)), "means": means}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        self._prevalence = arrays["prevalence"]
        self._means = dict(zip(arrays["clips"].tolist(), arrays["means"], strict=True))
        return self
