"""Where a recording really ends: recorders that fill up the last data records of a file. Pure functions."""

import numpy as np
import numpy.typing as npt

LEAST_PADDING_S = 0.1  # no recorder of several channels holds all of them still for so long
LARGEST_REST = 1e-4  # "about 0": share of a channel's range; a stored 0 is off by up to one step of 16 bits


def recorded_samples(signal: npt.NDArray[np.floating], rate_hz: float) -> int:
    """Samples before the padding at a recording's end: `signal[:, :recorded_samples(...)]` was recorded.

    Padding is a stretch at the end throughout which no channel changes: all are about 0 there, or hold the value that
    was recorded last, or do first the latter and then the former. A value that is held counts as recorded once. A
    shorter stretch than `LEAST_PADDING_S` is taken as recorded, and so is one where a single channel still moves.

    Args:
        signal: (channel, time), all channels of the file: one alone may well be still, all at once are not.
        rate_hz: samples a second.

    Returns:
        From 0 (nothing was recorded: no channel ever changes) to the number of samples.
    """
    samples = int(signal.shape[1])
    if samples == 0:
        return 0
    changes = np.flatnonzero((signal[:, 1:] != signal[:, :-1]).any(axis=0)) + 1  # samples that differ from the last
    if not len(changes):
        return 0
    least = LEAST_PADDING_S * rate_hz
    begin = int(changes[-1])  # of the last still stretch
    if samples - begin < least:
        return samples
    if not _about_zero(signal):
        return begin + 1
    before = int(changes[-2]) if len(changes) > 1 else 0  # of the still stretch before, if it is one
    if begin - before < least:
        return begin
    return before + 1 if len(changes) > 1 else 0


def _about_zero(signal: npt.NDArray[np.floating]) -> bool:
    spread = signal.max(axis=1) - signal.min(axis=1)
    return bool((np.abs(signal[:, -1]) <= LARGEST_REST * spread).all())
