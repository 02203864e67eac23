"""Curves to look at while training runs, in TensorBoard's format: `tensorboard --logdir logs`."""

import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

_EVERY_S = 1.0  # least time between two points of the live curves
_FLUSH_S = 5


class LiveLog:
    """Two runs in one folder.

    `losses`: the rows of the loss log. A run that goes on writes them anew from its state, so that none is missing or
    there twice, whenever it was killed. `live`: the loss of the last step, learning rate, samples a second and hours
    left, about once a second; what came after the saved step is taken back.

    Args:
        folder: None: nothing is written.
        step: done so far. rows: of the loss log so far (epoch, step, split, rate_hz, source, term, value).
    """

    def __init__(self, folder: Path | None, step: int, rows: Iterable[Sequence[Any]]) -> None:
        self._writers: Sequence[Any] = ()
        self._last = -math.inf
        if folder is None:
            return
        from tensorboardX import SummaryWriter  # here: no other part of training needs more than torch and numpy

        shutil.rmtree(folder / "losses", ignore_errors=True)
        self._losses = SummaryWriter(str(folder / "losses"), flush_secs=_FLUSH_S)
        self._live = SummaryWriter(
            str(folder / "live"), purge_step=step + 1, flush_secs=_FLUSH_S, filename_suffix=f".from-{step}"
        )
        self._writers = (self._losses, self._live)
        for row in rows:
            self.row(row)

    def row(self, row: Sequence[Any]) -> None:
        """One row of the loss log."""
        if not self._writers:
            return
        _, step, split, rate, source, term, value = row
        group = f"{split}_{rate}_hz" if rate else f"{split}_{source}" if source else split
        self._losses.add_scalar(f"{group}/{term}", float(value), int(step))

    def live(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of the steps so far, by name; taken about once a second."""
        now = time.monotonic()
        if not self._writers or now - self._last < _EVERY_S:
            return
        self._last = now
        for name, value in values.items():
            self._live.add_scalar(f"live/{name}", value, step)

    def __enter__(self) -> "LiveLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            writer.close()
