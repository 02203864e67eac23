"""Small parts made of numbers that name themselves, for the tests of the store."""

from pathlib import Path

import numpy as np

from physiopipe.files import atomic_folder
from physiopipe.recordings.recording import Recording, Unit, recording_batch_of
from physiopipe.windows.part import QUALITY_FLAGS, PartName, PartWriter, StoredWindows

CHANNELS = ("I", "II", "III")
PATCHES = 2
TASKS = ("valence",)


def counts_of(batch: int, record: int, rate_hz: int, count: int, patches: int = PATCHES) -> np.ndarray:
    """Windows whose samples are a function of where they belong."""
    rng = np.random.default_rng([batch, record, rate_hz])
    return rng.integers(-32768, 32767, (count, len(CHANNELS), patches, 200), dtype=np.int16, endpoint=True)


def write_part(
    folder: Path,
    batch: int,
    windows_per_record: list[int],
    rates_hz: tuple[int, ...] = (100, 200),
    cohort: str = "challenge",
    modality: str = "ecg",
    unit: Unit = "mV",
    patches: int = PATCHES,
    digest: str = "",
    inputs: str = "",
) -> Path:
    """A part of as many records as `windows_per_record` is long; the record of no window is rejected."""
    with atomic_folder(folder) as temporary:
        name = PartName(cohort, modality, f"b{batch}", digest or f"digest{batch}", False, TASKS, inputs)
        writer = PartWriter(temporary, name, rates_hz, patches)
        for number, count in enumerate(windows_per_record):
            record = f"b{batch}r{number}"
            if count == 0:
                writer.reject(record, "gave no window")
                continue
            recording = Recording(
                np.zeros((3, 10), np.float32),
                500.0,
                CHANNELS,
                unit,
                "ptb",
                record,
                record,
                derived=("III",),
                flags=("checksum",),
            )
            for rate in rates_hz:
                writer.add(
                    recording_batch_of([recording]),
                    StoredWindows(
                        counts={rate: counts_of(batch, number, rate, count, patches)[None]},
                        scale=np.full((1, count), 0.001, np.float32) * (number + 1),
                        start_s=np.arange(count) * 2.0,
                        valid_patches=np.full(count, patches, np.int16),
                        saturated=np.zeros((1, count), np.int64),
                        present=np.tile([True, True, number % 2 == 0], (1, count, 1)),
                        flags={flag: np.full((1, count), flag == "wander") for flag in QUALITY_FLAGS},
                    ),
                )
        writer.finish()
    return folder
