"""A small cohort stored for real: parts, collected, with its index and manifest; and what is studied on it."""

from pathlib import Path

import numpy as np

from physiopipe.clips.clip_data import ClipData
from physiopipe.experiments.cross_validation import Study
from physiopipe.files import atomic_folder
from physiopipe.params import Params
from physiopipe.recordings.recording import Recording, recording_batch_of
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import QUALITY_FLAGS, PartName, PartWriter, StoredWindows

WINDOW_S = 10.0


def store_cohort(
    folder: Path,
    clips: ClipData,
    *,
    ratings: np.ndarray | None = None,
    left_out: tuple[tuple[str, str, int], ...] = (),
    ecg_delay_s: float = 0.005,
    simulated: bool = True,
    name: str = "dreamer",
    no_beats: np.ndarray | None = None,
) -> Path:
    """Store `clips` as the cohort `name`; returns the folder that holds its windows under its name.

    Args:
        ratings: (n, n tasks), 1..5; by default 2 for low and 4 for high.
        left_out: (modality, subject, clip) that are not stored.
        ecg_delay_s: by how much the ECG windows start later: rounding at another rate.
        no_beats: bool (w,), windows whose ECG is flagged.
    """
    no_beats = np.zeros(len(clips.clip_of), bool) if no_beats is None else no_beats
    ratings = 2.0 + 2.0 * clips.labels if ratings is None else ratings
    parts = []
    for modality, windows, present, channels in (
        ("eeg", clips.eeg, clips.eeg_present, clips.eeg_channels),
        ("ecg", clips.ecg, clips.ecg_present, clips.ecg_channels),
    ):
        part = folder / "parts" / modality
        with atomic_folder(part) as temporary:
            part_name = PartName(name, modality, f"{name}.{modality}", f"digest-{modality}", simulated, clips.tasks)
            writer = PartWriter(temporary, part_name, (200,), windows.shape[2])
            for row in range(len(clips)):
                if (modality, str(clips.subjects[row]), int(clips.clips[row])) in left_out:
                    continue
                mine = np.flatnonzero(clips.clip_of == row)
                scale = np.abs(windows[mine]).max(axis=(1, 2, 3)) / 32767
                recording = Recording(
                    np.zeros((windows.shape[1], 1), np.float32),
                    200.0,
                    channels,
                    "uV" if modality == "eeg" else "unspecified",
                    name,
                    f"{clips.subjects[row]}_c{clips.clips[row]:02d}_{modality}",
                    str(clips.subjects[row]),
                    int(clips.clips[row]),
                    dict(zip(clips.tasks, ratings[row].tolist(), strict=True)),
                )
                stored = StoredWindows(
                    counts={200: np.round(windows[mine] / scale[:, None, None, None]).astype(np.int16)[None]},
                    scale=scale.astype(np.float32)[None],
                    start_s=5.0 + WINDOW_S * np.arange(len(mine)) + (ecg_delay_s if modality == "ecg" else 0.0),
                    valid_patches=clips.valid_patches[mine].astype(np.int16),
                    saturated=np.zeros((1, len(mine)), np.int64),
                    present=present[mine][None],
                    flags={
                        flag: (no_beats[mine] & (flag == "no_beats") & (modality == "ecg"))[None]
                        for flag in QUALITY_FLAGS
                    },
                )
                writer.add(recording_batch_of([recording]), stored)
            writer.finish()
        parts.append(part)
    collect_cohort(name, parts, folder / "windows" / name, {})
    return folder / "windows"


def study_of(method: str, params: Params, windows_root: Path, encoder: Path | None = None) -> Study:
    """A study of the cohort `dreamer`, whose state is kept where the parameters say."""
    return Study(method, params, "dreamer", windows_root, encoder, Path(params.run.state_folder))


def store_challenge(folder: Path, records: int = 12, patches: int = 2) -> Path:
    """Store a few records of two leads, beats and noise, at two rates as the cohort `challenge`: twice as many windows
    at 500 Hz as at 200 Hz."""
    random = np.random.default_rng(5)
    part = folder / "challenge-parts" / "ecg"
    with atomic_folder(part) as temporary:
        writer = PartWriter(temporary, PartName("challenge", "ecg", "ptb.g1", "digest-ptb", True), (200, 500), patches)
        for number in range(records):
            name = f"r{number:02d}"
            recording = Recording(np.zeros((2, 10), np.float32), 500.0, ("II", "III"), "mV", "ptb", name, name)
            for rate, count in ((200, 2), (500, 4)):
                seconds = np.arange(patches * 200) / rate
                beats = 800 * np.exp(-((((seconds + random.uniform()) % 0.9) - 0.4) ** 2) / 0.001)
                counts = random.normal(0, 50, (count, 2, patches, 200)) + beats.reshape(patches, 200)
                stored = StoredWindows(
                    counts={rate: counts.astype(np.int16)[None]},
                    scale=np.full((1, count), 0.001, np.float32),
                    start_s=np.arange(count) * 2.0,
                    valid_patches=np.full(count, patches, np.int16),
                    saturated=np.zeros((1, count), np.int64),
                    present=np.ones((1, count, 2), bool),
                    flags={flag: np.zeros((1, count), bool) for flag in QUALITY_FLAGS},
                )
                writer.add(recording_batch_of([recording]), stored)
        writer.finish()
    collect_cohort("challenge", [part], folder / "windows" / "challenge", {})
    return folder / "windows" / "challenge"
