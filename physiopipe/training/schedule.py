"""What each step of pretraining is done with: the rows of its batch, and its learning rate.

Fine-tuning has its own (`physiopipe.training.finetune`).
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from physiopipe.params import Pretrain

Order = Callable[[int], npt.NDArray[np.int64]]  # epoch (from 0) → rows in the order of that epoch


class BatchOrder:
    """Rows of each step's batch; an epoch's order is computed once."""

    def __init__(self, order: Order, batch_size: int) -> None:
        self._order, self._batch_size = order, batch_size
        self._epochs = {0: order(0)}
        self.steps_per_epoch = -(-len(self._epochs[0]) // batch_size)

    def rows(self, step: int) -> npt.NDArray[np.int64]:
        """Rows of step (from 0), of all processes."""
        epoch, index = divmod(step, self.steps_per_epoch)
        rows = self._epochs.get(epoch)
        if rows is None:  # a thread may read ahead into the next epoch: two are kept
            rows = self._order(epoch)
            self._epochs = {known: kept for known, kept in self._epochs.items() if known >= epoch - 1} | {epoch: rows}
        return rows[index * self._batch_size : (index + 1) * self._batch_size]


def learning_rate(step: int, total: int, params: Pretrain) -> float:
    """Rate of a step (from 0): linear warm-up, then a cosine to final_learning_rate."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    share = (step - params.warmup_steps) / max(1, total - params.warmup_steps)
    low, high = params.final_learning_rate, params.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2
