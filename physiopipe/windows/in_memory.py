"""Windows of one recording in memory, a stretch of it at a time: the same numbers as `shard` stores, and no files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.params import PATCH_SAMPLES, Filter, Shard
from physiopipe.recordings.recording import (
    LongRecording,
    Recording,
    RecordingBatch,
    Rejected,
    RejectedRecord,
    recording_batch_of,
)
from physiopipe.signals.beats import JUDGED_S, Beats, beats_rate_hz
from physiopipe.signals.resampling import resample, resampled_length
from physiopipe.signals.windowing import WindowPlan, Windows, plan_windows
from physiopipe.windows.part import QUALITY_FLAGS
from physiopipe.windows.prepare import filter_one, own_samples
from physiopipe.windows.shard import stored_windows

Modality = Literal["eeg", "ecg"]


@dataclass(frozen=True)
class PreparedWindows:
    """Windows of one recording at one rate, in order of time; w windows, C channels, P patches of 200 samples.

    Attributes:
        counts: int16 (w, C, P, 200), 0 in channels that are missing or flat and where the recording does not reach.
        scale: float32 (w,), one unit of `counts` in `unit`.
        start_s: (w,) start of each window from the recording's start.
        valid_patches: int64 (w,), leading patches that hold signal.
        present: bool (w, C), channels that are there and not flat.
        flags: bool (w,) for each of `QUALITY_FLAGS`.
        channels, unit, rate_hz: of the windows.
    """

    counts: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    start_s: npt.NDArray[np.float64]
    valid_patches: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    flags: dict[str, npt.NDArray[np.bool_]]
    channels: tuple[str, ...]
    unit: str
    rate_hz: int

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def window_s(self) -> float:
        """Length of a window, s."""
        return float(self.counts.shape[2] * PATCH_SAMPLES / self.rate_hz)

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """float32 (w, C, P, 200), in `unit`."""
        return np.asarray(self.counts.astype(np.float32) * self.scale[:, None, None, None])

    def chosen(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> "PreparedWindows":
        """Some of the windows."""
        of_each = {name: getattr(self, name)[rows] for name in _OF_WINDOWS}
        return replace(self, **of_each, flags={name: values[rows] for name, values in self.flags.items()})


_OF_WINDOWS = ("counts", "scale", "start_s", "valid_patches", "present")


def joined(blocks: Sequence[PreparedWindows]) -> PreparedWindows:
    """Windows of one recording, one after the other; at least one block."""
    of_each = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in _OF_WINDOWS}
    flags = {name: np.concatenate([block.flags[name] for block in blocks]) for name in QUALITY_FLAGS}
    return replace(blocks[0], **of_each, flags=flags)


def window_blocks(
    recording: Recording | LongRecording, modality: Modality, band: Filter, rate_hz: int, shard: Shard
) -> Iterator[PreparedWindows]:
    """Filter, resample and cut a recording; a long one in pieces, so that memory does not grow with its length.

    Args:
        modality: heartbeats are looked for in an ECG.

    Raises:
        RejectedRecord: it cannot be filtered at its rate, holds samples that are no numbers, or fills no window.
    """
    head = recording.head if isinstance(recording, LongRecording) else recording
    source = recording if isinstance(recording, LongRecording) else recording_batch_of([recording])
    samples = recording.signal.shape[1]
    plan = plan_windows(
        resampled_length(samples, head.rate_hz, rate_hz),
        patches=shard.patches,
        min_fill=shard.min_fill,
        max_windows=shard.max_windows_per_record,
        align=shard.align,
    )
    if not plan.start.size:
        raise RejectedRecord(
            f"{samples / head.rate_hz:.1f} s long: it does not fill {shard.min_fill:.0%} of a window of "
            f"{shard.patches * PATCH_SAMPLES / rate_hz:g} s"
        )
    beats_at_hz = beats_rate_hz((rate_hz,)) if modality == "ecg" else None
    window_s = shard.patches * PATCH_SAMPLES / rate_hz
    margin = ceil((max(JUDGED_S - window_s, 0.0) / 2 + 1) * rate_hz)  # around a window, to look for heartbeats
    whole = resampled_length(samples, head.rate_hz, rate_hz)
    first: RecordingBatch | None = None
    kept = np.empty((len(head.channels), 0), np.float32)  # what later windows need of the signal, from `begin` on
    begin = done = 0
    for item in filter_one(source, band):
        if isinstance(item, Rejected):
            raise RejectedRecord(item.reason)
        piece = replace(item, signal=resample(item.signal, item.rate_hz, rate_hz), rate_hz=float(rate_hz))
        piece = own_samples(item, piece) if item.whole else piece
        first = first or piece
        kept = np.concatenate([kept, piece.signal[0]], axis=1)
        end = begin + kept.shape[1]
        stops = np.minimum(plan.start + plan.filled + margin, whole)
        ready = done + int(np.searchsorted(stops[done:], end, side="right"))
        if ready > done:
            beats = _BeatsFrom(begin / rate_hz, beats_at_hz).add(kept[None]) if beats_at_hz else None
            yield _prepared(first, _cut(kept, begin, plan, slice(done, ready), shard), shard, beats)
            done = ready
        if done == plan.start.size:
            return
        # from a whole second on, so that heartbeats are measured at the same moments as in one piece
        needed = max(int(plan.start[done]) - margin, 0) // rate_hz * rate_hz - begin
        needed = min(max(needed, 0), kept.shape[1] // rate_hz * rate_hz)
        kept, begin = kept[:, needed:], begin + needed


class _BeatsFrom(Beats):
    """Heartbeats of a part of a recording that begins at `from_s`."""

    def __init__(self, from_s: float, rate_hz: float) -> None:
        super().__init__(rate_hz)
        self._from_s = from_s

    def absent(
        self, start_s: npt.ArrayLike, window_s: npt.ArrayLike, present: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.bool_]:
        """See Beats; `start_s` is of the recording."""
        return super().absent(np.asarray(start_s, np.float64) - self._from_s, window_s, present)


def _cut(kept: npt.NDArray[np.float32], begin: int, plan: WindowPlan, chosen: slice, shard: Shard) -> Windows:
    """Some windows of a plan, from the recording's samples (channel, time) from `begin` on."""
    starts, lengths = plan.start[chosen], plan.filled[chosen]
    cut = np.zeros((1, len(starts), len(kept), shard.patches * PATCH_SAMPLES), np.float32)
    for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        cut[0, row, :, :length] = kept[:, start - begin : start - begin + length]
    shaped = cut.reshape(*cut.shape[:3], shard.patches, PATCH_SAMPLES)
    return Windows(shaped, starts, plan.valid_patches[chosen])


def _prepared(head: RecordingBatch, cut: Windows, shard: Shard, beats: Beats | None) -> PreparedWindows:
    found = stored_windows([head], [cut], shard, beats)
    return PreparedWindows(
        counts=found.counts[int(head.rate_hz)][0],
        scale=found.scale[0],
        start_s=found.start_s,
        valid_patches=found.valid_patches.astype(np.int64),
        present=found.present[0],
        flags={name: found.flags[name][0] for name in QUALITY_FLAGS},
        channels=head.channels,
        unit=head.unit,
        rate_hz=int(head.rate_hz),
    )
