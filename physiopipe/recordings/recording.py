"""One recording: a signal with everything that is known of it."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Unit = Literal["mV", "uV", "unspecified"]


@dataclass(frozen=True)
class Recording:
    """A continuous recording of one modality.

    Attributes:
        signal: (channel, time): float32 in `unit`; once resampled perhaps int16, in multiples of `step`.
        rate_hz: samples a second.
        channels: a name for each row of `signal`.
        unit: mV, uV, or unspecified (then it is only ever z-scored). Never guessed.
        source: published folder (georgia, ...) or `dreamer`.
        record: name, unique in its cohort.
        subject: whose recording it is; for Challenge 2021, where it is not published, the record's name.
        clip: 1-based number of the film clip, 0 where there is none.
        ratings: valence, arousal, dominance (1..5) of the clip, empty where there are none.
        missing: channels that the recording does not have; their rows are zero.
        derived: channels computed from others (III, aVR, aVL, aVF from I and II).
        step: one unit of an int16 signal, in `unit`; 1 for float32.
        flags: findings about the whole record at reading (sorted names), carried to each of its windows.
        blocks, block_s: what `physiopipe.signals.quality.measure_blocks` found in the signal as it was recorded, and
            the length of a block, s; None before it was measured.
    """

    signal: npt.NDArray[Any]
    rate_hz: float
    channels: tuple[str, ...]
    unit: Unit
    source: str
    record: str
    subject: str
    clip: int = 0
    ratings: dict[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    step: float = 1.0
    flags: tuple[str, ...] = ()
    blocks: npt.NDArray[np.float32] | None = None
    block_s: float = 0.0


class RejectedRecord(Exception):  # noqa: N818 - a finding about one record, never a fault of the program
    """A record that cannot be used: its reason becomes a row of rejected.csv and the batch goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(NamedTuple):
    """A record that cannot be used, and why: a row of rejected.csv."""

    record: str
    reason: str
