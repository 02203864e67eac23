"""The loss log of pretraining (results/pretrain/loss.csv): a long table, of training and of held-out windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from physiopipe.files import atomic_file
from physiopipe.models.losses import TERMS, combine, named_terms
from physiopipe.params import Objective
from physiopipe.training.checkpoint import Progress
from physiopipe.training.live_log import LiveLog

LOSS_COLUMNS = ("epoch", "step", "split", "rate_hz", "source", "term", "value")
ROWS_PER_EPOCH = 10  # rows of training loss; each is over all windows since the last


class LossLog:
    """Adds rows to `progress.losses`, which is saved with the state, and to the curves of `live_log`."""

    def __init__(self, progress: Progress, live_log: LiveLog, objective: Objective, steps_per_epoch: int) -> None:
        self._progress, self._live_log = progress, live_log
        self._objective, self._steps_per_epoch = objective, steps_per_epoch

    def step(self, step: int, parts: Sequence[float]) -> None:
        """Count a step (from 0), by sums and counts of its loss's parts; a row ROWS_PER_EPOCH times an epoch."""
        progress = self._progress
        progress.pending = [a + b for a, b in zip(progress.pending, parts, strict=True)]
        epoch, index = divmod(step, self._steps_per_epoch)
        every = max(1, self._steps_per_epoch // ROWS_PER_EPOCH)
        if (index + 1) % every and index + 1 != self._steps_per_epoch:
            return
        sums, counts = torch.tensor(progress.pending, dtype=torch.float64).chunk(2)
        self.row(epoch + 1, step + 1, "train", "", "", named_terms(combine(sums, counts, self._objective)))
        progress.pending = Progress().pending

    def row(self, epoch: int, step: int, split: str, rate: str, source: str, terms: Mapping[str, float]) -> None:
        """The terms of a loss, a row each; an empty rate or source means all of them."""
        for term in TERMS:
            self._progress.losses.append([epoch, step, split, rate, source, term, f"{terms[term]:.7g}"])
            self._live_log.row(self._progress.losses[-1])

    def write(self, path: Path) -> None:
        """Write all rows as CSV under LOSS_COLUMNS."""
        lines = [",".join(map(str, row)) for row in (LOSS_COLUMNS, *self._progress.losses)]
        with atomic_file(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
