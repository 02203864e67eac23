"""Which windows of each clip an epoch trains on and is judged by, where a study takes fewer than all."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClipDraws:
    """How many windows of a clip are taken; a clip that has fewer gives all that it has. None: all.

    Attributes:
        epoch: of training people's clips, drawn anew for each epoch, every window as likely as its clip's others.
        validation: of validation people's clips, drawn once a fit: all epochs are judged by the same windows.
    """

    epoch: int | None = None
    validation: int | None = None

    def epoch_rows(self, order: np.random.Generator, clip_of: I64) -> I64:
        """Rows of an epoch in random order. With None exactly `order.permutation(len(clip_of))`.

        Args:
            clip_of: (w,), the clip of each window, in any order.
        """
        return _first_of_clips(order.permutation(len(clip_of)), clip_of, self.epoch)

    def validation_rows(self, order: np.random.Generator, clip_of: I64) -> I64:
        """Rows that every epoch is judged by, ascending. With None all, and nothing is drawn."""
        if self.validation is None:
            return np.arange(len(clip_of))
        return np.sort(_first_of_clips(order.permutation(len(clip_of)), clip_of, self.validation))


ALL_WINDOWS = ClipDraws()


def _first_of_clips(rows: I64, clip_of: I64, most: int | None) -> I64:
    """Those rows that fewer than `most` rows of their clip come before, in their order."""
    if most is None:
        return rows
    clips = clip_of[rows]
    by_clip = np.argsort(clips, kind="stable")
    _, start, count = np.unique(clips[by_clip], return_index=True, return_counts=True)
    before = np.empty(len(rows), dtype=np.int64)
    before[by_clip] = np.arange(len(rows)) - np.repeat(start, count)
    return rows[before < most]
