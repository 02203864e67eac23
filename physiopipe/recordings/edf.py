"""European Data Format (EDF) recordings: chosen channels of one modality, in a unit that the file names."""

from pathlib import Path
from typing import Literal

import numpy as np

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import Recording, Unit

_UNIT_OF: dict[str, tuple[Unit, float]] = {"eeg": ("uV", 1e6), "ecg": ("mV", 1e3)}  # and how many of it a volt is
_VOLTS = {"V", "mV", "µV", "uV", "nV"}


def read_edf(path: Path, channels: tuple[str, ...], modality: Literal["eeg", "ecg"], subject: str) -> Recording:
    """Read channels of one modality: float32 (channel, time), EEG in µV, ECG in mV.

    All must have one rate, or MNE brings the slower to the fastest.

    Raises:
        PhysiopipeError: no readable EDF file, a channel that it does not have, or one that is not a voltage.
    """
    import mne  # a second of imports that the rest of the package does without

    if not path.is_file():
        raise PhysiopipeError(f"{path} is missing: expected a recording in EDF there.")
    try:
        head = mne.io.read_raw_edf(path, preload=False, verbose="error")
    except Exception as error:  # what a foreign file raises depends on where it differs
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PhysiopipeError(f"{path} cannot be read as EDF: {first}") from None
    missing = [name for name in channels if name not in head.ch_names]
    if missing:
        raise PhysiopipeError(f"{path} has no channel {', '.join(missing)}; it has: {', '.join(head.ch_names)}.")
    units = {name: head._orig_units.get(name, "none") for name in channels}
    foreign = [f"{name} in {unit}" for name, unit in units.items() if unit not in _VOLTS]
    if foreign:
        raise PhysiopipeError(f"{path}: {', '.join(foreign)}; expected voltages. Choose other channels.")
    raw = mne.io.read_raw_edf(path, include=list(channels), preload=True, verbose="error")
    unit, scale = _UNIT_OF[modality]
    signal = (raw.get_data(picks=list(channels)) * scale).astype(np.float32)
    return Recording(signal, float(raw.info["sfreq"]), channels, unit, "edf", f"{subject}_{modality}", subject)
