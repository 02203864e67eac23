"""EEG and ECG of a clip are of the same seconds: an event planted in both comes out in the same patch of both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from prepared import defaults, store_file

from physiopipe.clips.selection import load_clips
from physiopipe.cohorts.dreamer_simulation import SIMULATED_MARK
from physiopipe.cohorts.registry import cohort

# Lengths of a clip's EEG and ECG in samples, and the second of its event: whole, ragged, EEG longer, ECG longer
CLIPS = ((128 * 30, 256 * 30, 11.0), (3333, 6666, 19.37), (4001, 7900, 25.61), (3900, 8000, 14.05))


def clip(samples: int, rate: int, channels: int, event_s: float, rng: np.random.Generator) -> np.ndarray:
    """A little noise, and a bump of 40 ms at the event, 50 times as high; in the two channels of ECG a heart beats."""
    seconds = np.arange(samples) / rate
    beats = 30 * np.exp(-0.5 * ((seconds % 0.8 - 0.4) / 0.012) ** 2) if channels == 2 else np.zeros(samples)
    bump = 100 * np.exp(-0.5 * ((seconds - event_s) / 0.02) ** 2)
    return 4200 + (bump + beats)[:, None] + rng.normal(0, 2, (samples, channels))


def cells(values: list[Any]) -> np.ndarray:
    box = np.empty((len(values), 1), object)
    box[:, 0] = values
    return box


def write_file(path: Path) -> None:
    rng = np.random.default_rng(0)
    people = np.empty((1, 5), object)
    for number in range(5):
        eeg = cells([clip(eeg, 128, 14, at, rng) for eeg, _, at in CLIPS])
        ecg = cells([clip(ecg, 256, 2, at, rng) for _, ecg, at in CLIPS])
        scores = {f"Score{name}": np.full((len(CLIPS), 1), 4.0) for name in ("Valence", "Arousal", "Dominance")}
        people[0, number] = {
            "EEG": {"stimuli": eeg, "baseline": eeg},
            "ECG": {"stimuli": ecg, "baseline": ecg},
            **scores,
        }
    content = {"Data": people, "EEG_SamplingRate": 128.0, "ECG_SamplingRate": 256.0}
    scipy.io.savemat(path, {"DREAMER": content})
    text = f"MATLAB 5.0 MAT-file, {SIMULATED_MARK}".encode().ljust(116)
    path.write_bytes(text + path.read_bytes()[116:])


@pytest.mark.parametrize("align", ["end", "start"])
def test_a_planted_event_lands_in_the_same_patch_of_both(tmp_path: Path, align: str) -> None:
    write_file(tmp_path / "DREAMER.mat")
    windows = store_file(tmp_path, "dreamer", tmp_path / "DREAMER.mat", defaults(), align=align)
    clips = load_clips(windows, 60.0, dict.fromkeys(cohort("dreamer").task_names, 3.0))
    assert len(clips) == 5 * len(CLIPS)
    for row in range(len(clips)):
        windows = np.flatnonzero(clips.clip_of == row)
        assert len(windows) >= 2
        where = []
        for signal in (clips.eeg, clips.ecg):
            size = np.abs(signal[windows]).mean(axis=1)  # (window, patch, sample)
            window, patch, sample = np.unravel_index(size.argmax(), size.shape)
            assert size.max() > 10 * np.median(size)
            where.append((window, patch, window * 10 + patch + sample / 200))
        assert where[0][:2] == where[1][:2], f"clip {clips.clips[row]}: {where}"
        assert where[0][2] == pytest.approx(where[1][2], abs=0.02)
        eeg, ecg, event_s = CLIPS[clips.clips[row] - 1]
        length_s = min(eeg / 128, ecg / 256)
        first_s = 0.0 if align == "start" else length_s - 10 * len(windows)
        assert first_s + where[0][2] == pytest.approx(event_s, abs=0.03)
