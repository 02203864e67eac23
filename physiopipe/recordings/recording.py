"""A recording, with everything that is known of it, and stacks of recordings that are worked on as one array."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Unit = Literal["mV", "uV", "unspecified"]

OF_EACH = ("record", "subject", "clip", "ratings", "missing", "derived", "flags")  # what differs within a stack
RECORDING_BATCH_SAMPLES = 1 << 19  # 2 MiB of float32: larger stacks leave the processor's caches


@dataclass(frozen=True)
class Recording:
    """A continuous recording of one modality.

    Attributes:
        signal: float32 (channel, time), in `unit`.
        rate_hz: samples a second.
        channels: a name for each row of `signal`.
        unit: mV, uV, or unspecified (a scale that its authors do not tell). Never guessed.
        source: published folder (georgia, ...) or `dreamer`.
        record: name, unique in its cohort.
        subject: whose recording it is; for Challenge 2021, where it is not published, the record's name.
        clip: 1-based number of the film clip, 0 where there is none; -n: the baseline before clip n.
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


class LongSignal(ABC):
    """A signal (channel, time) that is too long to hold: read in stretches.

    Attributes:
        shape: (channel, time).
    """

    shape: tuple[int, int]

    @abstractmethod
    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """Samples `first` to `end` of every channel: float32 (channel, end - first)."""


class HeldSignal(LongSignal):
    """A long signal that is in memory all the same."""

    def __init__(self, signal: npt.NDArray[np.float32]) -> None:
        self._signal = signal
        self.shape = (signal.shape[0], signal.shape[1])

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return self._signal[:, first:end]


@dataclass(frozen=True)
class LongRecording:
    """A recording whose samples are read in stretches.

    Attributes:
        head: the recording with a signal of no samples.
        signal: its samples.
    """

    head: Recording
    signal: LongSignal


class RejectedRecord(Exception):  # noqa: N818 - a finding about one record, never a fault of the program
    """A record that cannot be used: its reason becomes a row of rejected.csv and the batch goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(NamedTuple):
    """A record that cannot be used, and why: a row of rejected.csv; `absent` where it is listed and not here."""

    record: str
    reason: str
    absent: bool = False


@dataclass(frozen=True)
class RecordingBatch:
    """Recordings of one source that are alike in rate, channels, unit and length; n of them.

    One call on a stack costs hardly more Python than one on a recording, and most published recordings last 10 s.

    Attributes:
        signal: (n, channel, time): float32 in `unit`; once resampled perhaps int16, in multiples of `step`.
        rate_hz, channels, unit, source: as in Recording, of all.
        record, subject, clip, ratings, missing, derived, flags: as in Recording, n of each.
        step: one unit of an int16 signal, in `unit`; 1 for float32.
        blocks, block_s: what `physiopipe.signals.quality.measure_blocks` found in the signals as they were recorded,
            and the length of a block, s; None before it was measured.
        whole: samples of the whole recording where this is a piece of a long one; 0: this is all of it.
        first: of the whole recording, the index of the piece's first own sample.
        before, after: samples of its neighbours that come with a piece on either side.
    """

    signal: npt.NDArray[Any]
    rate_hz: float
    channels: tuple[str, ...]
    unit: Unit
    source: str
    record: tuple[str, ...]
    subject: tuple[str, ...]
    clip: tuple[int, ...]
    ratings: tuple[dict[str, float], ...]
    missing: tuple[tuple[str, ...], ...]
    derived: tuple[tuple[str, ...], ...]
    flags: tuple[tuple[str, ...], ...]
    step: float = 1.0
    blocks: npt.NDArray[np.float32] | None = None
    block_s: float = 0.0
    whole: int = 0
    first: int = 0
    before: int = 0
    after: int = 0

    def __len__(self) -> int:
        return len(self.record)

    @property
    def seconds(self) -> float:
        """Length of each recording."""
        return float((self.whole or self.signal.shape[-1]) / self.rate_hz)


def in_batches(
    recordings: Iterable[Recording | LongRecording | Rejected],
) -> Iterator[RecordingBatch | LongRecording | Rejected]:
    """Join neighbours that are alike, in order, to batches of at most so many samples (or one recording)."""
    alike: list[Recording] = []
    for item in recordings:
        fits = (
            isinstance(item, Recording)
            and alike
            and _form(item) == _form(alike[0])
            and (len(alike) + 1) * item.signal.size <= RECORDING_BATCH_SAMPLES
        )
        if alike and not fits:
            yield recording_batch_of(alike)
            alike = []
        if isinstance(item, Recording):
            alike.append(item)
        else:
            yield item
    if alike:
        yield recording_batch_of(alike)


def recording_batch_of(recordings: list[Recording]) -> RecordingBatch:
    """One stack of recordings that are alike."""
    first = recordings[0]
    signal = first.signal[None] if len(recordings) == 1 else np.stack([each.signal for each in recordings])
    of_each: Any = {name: tuple(getattr(each, name) for each in recordings) for name in OF_EACH}
    return RecordingBatch(signal, first.rate_hz, first.channels, first.unit, first.source, **of_each)


def recording_of(stack: RecordingBatch) -> Recording:
    """The one recording of a stack, without its samples."""
    of_each: Any = {name: getattr(stack, name)[0] for name in OF_EACH}
    signal = np.empty((len(stack.channels), 0), np.float32)
    return Recording(signal, stack.rate_hz, stack.channels, stack.unit, stack.source, **of_each)


def _form(recording: Recording) -> tuple[Any, ...]:
    return recording.signal.shape, recording.rate_hz, recording.channels, recording.unit, recording.source
