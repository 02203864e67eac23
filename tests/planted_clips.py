"""A small cohort with planted effects, as the arrays that methods are given."""

from copy import deepcopy
from functools import cache

import numpy as np

from physiopipe.clips.clip_data import ClipData


def planted_clips(
    subjects: int = 6,
    clips: int = 6,
    windows: int = 2,
    effect: float = 1.0,
    seed: int = 0,
    patches: int = 3,
    channels: tuple[int, int] = (14, 2),
    tasks: tuple[str, ...] = ("valence", "arousal", "dominance"),
) -> ClipData:
    """White EEG and beat-like ECG whose amplitudes carry the labels: the first task in the EEG, the second (if any) in
    the ECG, and no other.

    Labels are balanced inside a subject and independent of the clip's number.

    Args:
        channels: of EEG and of ECG.
    """
    return deepcopy(_drawn(subjects, clips, windows, effect, seed, patches, channels, tasks))


@cache
def _drawn(
    subjects: int,
    clips: int,
    windows: int,
    effect: float,
    seed: int,
    patches: int,
    channels: tuple[int, int],
    tasks: tuple[str, ...],
) -> ClipData:
    random = np.random.default_rng([seed, 7])
    names = np.repeat([f"s{i + 1:02d}" for i in range(subjects)], clips)
    labels = np.stack(
        [np.concatenate([random.permutation(np.arange(clips) % 2) for _ in range(subjects)]) for _ in tasks], axis=1
    ).astype(np.int8)
    clip_of = np.repeat(np.arange(len(names)), windows)
    shape = (len(clip_of), patches, 200)
    seconds = np.arange(patches * 200).reshape(patches, 200) / 200
    eeg = random.normal(0, 20, (shape[0], channels[0], *shape[1:])) * np.exp(
        effect * (labels[clip_of, 0] - 0.5)[:, None, None, None]
    )
    beats = np.exp(-(((seconds % 0.8) - 0.4) ** 2) / 0.002) * 500
    ecg = random.normal(0, 20, (shape[0], channels[1], *shape[1:])) + beats
    if len(tasks) > 1:
        ecg += (effect * labels[clip_of, 1])[:, None, None, None] * 300 * np.sin(2 * np.pi * 8 * seconds)
    return ClipData(
        subjects=names.astype(np.str_),
        clips=np.tile(np.arange(1, clips + 1), subjects).astype(np.int64),
        labels=labels,
        eeg=eeg.astype(np.float32),
        ecg=ecg.astype(np.float32),
        eeg_present=np.ones((shape[0], channels[0]), dtype=bool),
        ecg_present=np.ones((shape[0], channels[1]), dtype=bool),
        valid_patches=np.full(shape[0], patches, dtype=np.int64),
        clip_of=clip_of.astype(np.int64),
        tasks=tasks,
        eeg_channels=tuple(f"E{number + 1}" for number in range(channels[0])),
        ecg_channels=tuple(f"L{number + 1}" for number in range(channels[1])),
    )
