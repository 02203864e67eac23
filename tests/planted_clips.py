"""A small cohort with planted effects, as the arrays that methods are given."""

import numpy as np

from physiopipe.clips.clip_data import ClipData


def planted_clips(
    subjects: int = 6, clips: int = 6, windows: int = 2, effect: float = 1.0, seed: int = 0, patches: int = 3
) -> ClipData:
    """White EEG and a beat-like ECG whose amplitudes carry the labels: valence in EEG, arousal in ECG, dominance none.

    Labels are balanced inside a subject and independent of the clip's number.
    """
    random = np.random.default_rng([seed, 7])
    names = np.repeat([f"s{i + 1:02d}" for i in range(subjects)], clips)
    labels = np.stack(
        [np.concatenate([random.permutation(np.arange(clips) % 2) for _ in range(subjects)]) for _ in range(3)], axis=1
    ).astype(np.int8)
    clip_of = np.repeat(np.arange(len(names)), windows)
    shape = (len(clip_of), patches, 200)
    seconds = np.arange(patches * 200).reshape(patches, 200) / 200
    eeg = random.normal(0, 20, (shape[0], 14, *shape[1:])) * np.exp(
        effect * (labels[clip_of, 0] - 0.5)[:, None, None, None]
    )
    beats = np.exp(-(((seconds % 0.8) - 0.4) ** 2) / 0.002) * 500
    ecg = random.normal(0, 20, (shape[0], 2, *shape[1:])) + beats
    ecg += (effect * labels[clip_of, 1])[:, None, None, None] * 300 * np.sin(2 * np.pi * 8 * seconds)
    return ClipData(
        subjects=names.astype(np.str_),
        clips=np.tile(np.arange(1, clips + 1), subjects).astype(np.int64),
        labels=labels,
        eeg=eeg.astype(np.float32),
        ecg=ecg.astype(np.float32),
        eeg_present=np.ones((shape[0], 14), dtype=bool),
        ecg_present=np.ones((shape[0], 2), dtype=bool),
        valid_patches=np.full(shape[0], patches, dtype=np.int64),
        clip_of=clip_of.astype(np.int64),
    )
