"""What can happen to a test recording: a modality or channels are lost, noise is added. Pure functions on clips.

What is corrupted is a function of seed, subject and clip alone, so that every method, seed and fold meets the same, and
a stronger corruption contains a weaker one: more channels include the fewer, noise is the same at another size.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from physiopipe.clips.clip_data import F32, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Robustness

Kind = Literal["clean", "lost_eeg", "lost_ecg", "dropped_eeg_channels", "noise_snr_db"]


@dataclass(frozen=True)
class Condition:
    """A kind of corruption and its level: channels lost, or the signal-to-noise ratio in dB; 0 for the others."""

    kind: Kind
    level: float = 0.0


def conditions(params: Robustness) -> Iterator[Condition]:
    """Clean clips first, then every corruption of the parameters."""
    yield Condition("clean")
    for modality in params.lost_modalities:
        yield Condition("lost_eeg" if modality == "eeg" else "lost_ecg")
    yield from (Condition("dropped_eeg_channels", float(count)) for count in params.dropped_eeg_channels)
    yield from (Condition("noise_snr_db", level) for level in params.noise_snr_db)


def corrupted(clips: ClipData, condition: Condition, seed: int) -> ClipData:
    """The clips after a corruption; what is lost is absent and 0, labels and the rest are as they were.

    Baselines lose the same, and meet noise of their own.
    """
    found = _corrupted(clips, condition, seed, noise=(1, 2))
    if clips.baseline is None:
        return found
    rest = _corrupted(clips.baseline.windows, condition, seed, noise=(4, 5))
    return replace(found, baseline=replace(clips.baseline, windows=rest))


def _corrupted(clips: ClipData, condition: Condition, seed: int, noise: tuple[int, int]) -> ClipData:
    """`noise`: which streams that of the EEG and that of the ECG are."""
    if condition.kind == "lost_eeg":
        return replace(clips, eeg=np.zeros_like(clips.eeg), eeg_present=np.zeros_like(clips.eeg_present))
    if condition.kind == "lost_ecg":
        return replace(clips, ecg=np.zeros_like(clips.ecg), ecg_present=np.zeros_like(clips.ecg_present))
    if condition.kind == "dropped_eeg_channels":
        return _without_channels(clips, int(condition.level), seed)
    if condition.kind == "noise_snr_db":
        return replace(
            clips,
            eeg=_with_noise(clips, clips.eeg, condition.level, [seed, noise[0]]),
            ecg=_with_noise(clips, clips.ecg, condition.level, [seed, noise[1]]),
        )
    return clips


def _without_channels(clips: ClipData, count: int, seed: int) -> ClipData:
    """The EEG without `count` channels, drawn for each subject: an electrode that fails stays failed."""
    present = clips.eeg_present.copy()
    if count > present.shape[1]:
        raise PhysiopipeError(
            f"{count} EEG channels cannot be dropped of {present.shape[1]}: take the number out of "
            "robustness.dropped_eeg_channels."
        )
    for name in np.unique(clips.subjects):
        order = np.random.default_rng([seed, 3, zlib.crc32(name.encode())]).permutation(present.shape[1])
        rows = (clips.subjects == name)[clips.clip_of]
        present[np.ix_(rows, order[:count])] = False
    return replace(clips, eeg=np.where(present[:, :, None, None], clips.eeg, np.float32(0)), eeg_present=present)


def _with_noise(clips: ClipData, windows: F32, snr_db: float, seed: list[int]) -> F32:
    """White Gaussian noise on every channel, its power that of the channel in the window over the ratio."""
    noisy = np.empty_like(windows)
    for row in range(len(clips)):
        mine = np.flatnonzero(clips.clip_of == row)
        key = [*seed, zlib.crc32(str(clips.subjects[row]).encode()), int(clips.clips[row])]
        part = windows[mine]
        size = part.std(axis=(2, 3), keepdims=True) * np.float32(10 ** (-snr_db / 20))
        noisy[mine] = part + size * np.random.default_rng(key).standard_normal(part.shape, np.float32)
    return noisy
