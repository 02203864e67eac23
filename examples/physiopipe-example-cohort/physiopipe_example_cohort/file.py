"""The one file of the cohort `eyes_closed`: an .npz without pickled objects; read, and simulated.

Arrays: `eeg` float32 (subject, clip, 2, time) in µV, `ecg` float32 (subject, clip, 1, time) in mV, both at 128 Hz;
`closed` int64 (subject, clip), 0 or 1; `simulated` bool ().
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file
from physiopipe.recordings.recording import Recording, Rejected, Unit
from physiopipe_example_cohort.cohort import ECG_CHANNELS, EEG_CHANNELS, RATE_HZ, EyesClosedData, SimulateEyesClosed


def read_clips(path: Path, data: EyesClosedData, simulated: bool) -> Iterator[Recording | Rejected]:  # noqa: ARG001
    """EEG and ECG of each clip, one after the other.

    Raises:
        PhysiopipeError: the file is no such .npz, or is simulated where a real one is expected (or the other way).
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            eeg, ecg, closed, marked = (file[name] for name in ("eeg", "ecg", "closed", "simulated"))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise PhysiopipeError(f"{path} is no file of this cohort: {error}") from None
    if bool(marked) != simulated:
        found = "simulated" if marked else "not simulated"
        raise PhysiopipeError(f"{path} is {found}: set data.eyes_closed.origin to what it is.")
    for person, clips in enumerate(closed.tolist()):
        for clip, label in enumerate(clips, start=1):
            name = f"s{person:02d}_c{clip:02d}"
            signals: tuple[tuple[str, np.ndarray, tuple[str, ...], Unit], ...] = (
                ("eeg", eeg[person, clip - 1], EEG_CHANNELS, "uV"),
                ("ecg", ecg[person, clip - 1], ECG_CHANNELS, "mV"),
            )
            for modality, signal, channels, unit in signals:
                if not np.isfinite(signal).all():
                    yield Rejected(f"{name}_{modality}", "samples are NaN or infinite")
                    continue
                yield Recording(
                    signal=np.ascontiguousarray(signal, dtype=np.float32),
                    rate_hz=RATE_HZ,
                    channels=channels,
                    unit=unit,
                    source="eyes_closed",
                    record=f"{name}_{modality}",
                    subject=f"s{person:02d}",
                    clip=clip,
                    ratings={"closed": float(label)},
                )


def simulate(last: Path, params: SimulateEyesClosed) -> None:
    """Write the file: 10 Hz in noise, stronger with closed eyes; beats 0.8 s apart. The same seed, the same bytes."""
    rng = np.random.default_rng(params.seed)
    time = np.arange(round(params.clip_s * RATE_HZ)) / RATE_HZ
    closed = np.tile(np.arange(params.clips) % 2, (params.subjects, 1))
    own = np.exp(rng.normal(0.0, 0.3, (params.subjects, 1)))
    alpha_uv = 10.0 * own * np.where(closed == 1, params.alpha_ratio, 1.0)
    shape = (*closed.shape, len(EEG_CHANNELS), len(time))
    eeg = rng.normal(0.0, 15.0, shape) + alpha_uv[..., None, None] * np.sin(2 * np.pi * 10.0 * time)
    beat = np.exp(-0.5 * (((time % 0.8) - 0.4) / 0.015) ** 2)
    ecg = beat + rng.normal(0.0, 0.02, (*closed.shape, len(ECG_CHANNELS), len(time)))
    with atomic_file(last) as temporary, temporary.open("wb") as handle:
        np.savez(handle, eeg=eeg.astype(np.float32), ecg=ecg.astype(np.float32), closed=closed, simulated=True)
