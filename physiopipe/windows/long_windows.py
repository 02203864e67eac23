"""Windows of a long recording, put together from its pieces as they come: memory is that of the windows kept."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from physiopipe.params import PATCH_SAMPLES, Shard
from physiopipe.recordings.recording import RecordingBatch
from physiopipe.signals.windowing import WindowPlan, Windows, plan_windows


@dataclass
class _OfRate:
    head: RecordingBatch
    plan: WindowPlan
    samples: npt.NDArray[Any]  # (1, window, channel, sample)


class LongWindows:
    """What `cut_windows` gives at each rate, of one recording whose pieces are added in order of time."""

    def __init__(self, params: Shard) -> None:
        self._params = params
        self._of: dict[float, _OfRate] = {}

    def add(self, piece: RecordingBatch) -> None:
        """Take from a piece (one recording, without neighbours' samples) what lies in windows."""
        signal = piece.signal
        of_rate = self._of.get(piece.rate_hz) or self._begin(piece)
        if signal.dtype != of_rate.samples.dtype:  # one of them exceeds the range of int16
            if of_rate.samples.dtype == np.int16:
                of_rate.samples = of_rate.samples * np.float32(of_rate.head.step)
            else:
                signal = signal * np.float32(piece.step)
        end = piece.first + signal.shape[2]
        starts, stops = of_rate.plan.start, of_rate.plan.start + of_rate.plan.filled
        for window in np.flatnonzero((starts < end) & (stops > piece.first)).tolist():
            begin = int(starts[window])
            first, last = max(begin, piece.first), min(int(stops[window]), end)
            taken = signal[:, :, first - piece.first : last - piece.first]
            of_rate.samples[:, window, :, first - begin : last - begin] = taken

    def _begin(self, piece: RecordingBatch) -> _OfRate:
        params, channels = self._params, len(piece.channels)
        plan = plan_windows(
            piece.whole,
            patches=params.patches,
            min_fill=params.min_fill,
            max_windows=params.max_windows_per_record,
            align=params.align,
        )
        shape = (1, plan.start.size, channels, params.patches * PATCH_SAMPLES)
        head = replace(piece, signal=piece.signal[:, :, :0])
        of_rate = self._of[piece.rate_hz] = _OfRate(head, plan, np.zeros(shape, piece.signal.dtype))
        return of_rate

    @property
    def heads(self) -> list[RecordingBatch]:
        """The recording at each rate, without samples."""
        return [of_rate.head for of_rate in self._of.values()]

    def windows(self) -> list[Windows]:
        """Its windows at each rate."""
        return [
            Windows(
                of.samples.reshape(*of.samples.shape[:3], self._params.patches, PATCH_SAMPLES),
                of.plan.start,
                of.plan.valid_patches,
            )
            for of in self._of.values()
        ]
