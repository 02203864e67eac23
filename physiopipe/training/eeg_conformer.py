"""EEG Conformer with a sigmoid a task, and the recombined windows that it is trained on besides."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from physiopipe.clips.segments import Segments
from physiopipe.models.eeg_conformer import EegConformer, recombined_trials
from physiopipe.training.segments import SegmentNetwork


class TaskConformer(SegmentNetwork):
    """`EegConformer` with a logit a task."""

    def __init__(self, electrodes: int, samples: int, tasks: int, *, blocks: int, dropout: float) -> None:
        super().__init__()
        self.body = EegConformer(electrodes, samples, tasks, blocks=blocks, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, tasks) of windows x (B, electrodes, samples)."""
        logits: Tensor = self.body(x)
        return logits

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(outputs, labels, reduction="none").sum(dim=1).mean()

    def probability(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs.double())


class Recombination:
    """Windows put together from segments of training windows with the same labels in all tasks, for each step.

    A step gets as many of each combination of labels, as published of each class; of more combinations than windows, a
    random choice.
    """

    def __init__(self, train: Segments, labels: npt.NDArray[np.int8], share: float, segments: int, seed: int) -> None:
        """Set up.

        Args:
            labels: of the training clips, (clips, tasks).
            share: recombined windows for each window of a step.
            segments: of a recombined window.
        """
        self._values = torch.from_numpy(train.values)
        kinds, kind = np.unique(labels[train.clip_of], axis=0, return_inverse=True)
        self._labels = torch.from_numpy(kinds.astype(np.float32))
        self._kind = torch.from_numpy(kind.reshape(-1).astype(np.int64))
        self._share, self._segments = share, segments
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, size: int) -> tuple[Tensor, Tensor]:
        """Windows and their labels (n, tasks), for a step of `size` windows."""
        count = max(round(size * self._share), 1)
        windows, kind = recombined_trials(
            self._values,
            self._kind,
            -(-count // len(self._labels)),
            generator=self._generator,
            segments=min(self._segments, self._values.shape[-1]),
        )
        return windows[:count], self._labels[kind[:count]]
