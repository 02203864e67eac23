"""One recording: a signal with everything that is known of it."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Unit = Literal["mV", "uV", "unspecified"]


@dataclass(frozen=True)
class Recording:
    """A continuous recording of one modality.

    Attributes:
        signal: float32 (channel, time), in `unit`.
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
        flags: findings about the whole record at reading (sorted names), carried to each of its windows.
    """

    signal: npt.NDArray[np.float32]
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
    flags: tuple[str, ...] = ()


class RejectedRecord(Exception):  # noqa: N818 - a finding about one record, never a fault of the program
    """A record that cannot be used: its reason becomes a row of rejected.csv and the batch goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(NamedTuple):
    """A record that cannot be used, and why: a row of rejected.csv."""

    record: str
    reason: str
