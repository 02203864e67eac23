"""EEG and ECG of one recording in two files: the stretch that both hold."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import Modality
from physiopipe.recordings.opened import OpenedFile
from physiopipe.recordings.recording import LongRecording, LongSignal, Recording

_TOLD_S = 0.1  # files that differ by more are told


def end_together(eeg: OpenedFile, ecg: OpenedFile) -> None:
    """Take as padding only what lies after the last change in either file, as in one file that holds both.

    An ECG whose electrode fell off is then flat to its file's end, and cuts nothing off the EEG.
    """
    eeg.until_s = ecg.until_s = max(eeg.recorded_s(), ecg.recorded_s())


def shared_stretch(
    recordings: Mapping[Modality, Recording | LongRecording],
) -> tuple[dict[Modality, Recording | LongRecording], str]:
    """The recordings as long as the shortest of them, and a sentence on it where one was longer."""
    lengths_s = {each: of.signal.shape[1] / of.rate_hz for each, of in recordings.items()}
    end_s = min(lengths_s.values())
    cut = {each: _until(of, round(end_s * of.rate_hz)) for each, of in recordings.items()}
    if max(lengths_s.values()) - end_s <= _TOLD_S:
        return cut, ""
    words = " and ".join(f"{each.upper()} of {length_s:.1f} s" for each, length_s in lengths_s.items())
    return cut, f"{words}: the first {end_s:.1f} s are used"


def _until(found: Recording | LongRecording, samples: int) -> Recording | LongRecording:
    if isinstance(found, LongRecording):
        return LongRecording(found.head, _First(found.signal, min(samples, found.signal.shape[1])))
    return replace(found, signal=found.signal[:, :samples])


class _First(LongSignal):
    def __init__(self, signal: LongSignal, samples: int) -> None:
        self._signal, self.shape = signal, (signal.shape[0], samples)

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return self._signal.read(first, min(end, self.shape[1]))
