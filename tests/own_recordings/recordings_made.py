"""The same ECG in several formats, and files that cannot be used."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.signals.leads import CLINICAL_LEADS


def beats(seconds: float, rate_hz: float, leads: int = 12) -> npt.NDArray[np.float64]:
    """Millivolt (lead, time): beats of another size in each lead, and a little noise. Limb leads obey Einthoven."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    shape = np.exp(-0.5 * ((time % 0.83 - 0.4) / 0.015) ** 2) + 0.3 * np.exp(-0.5 * ((time % 0.83 - 0.65) / 0.05) ** 2)
    size = np.array([0.7, 1.1, 0.4, -0.9, 0.15, 0.75, -0.5, 0.4, 0.9, 1.3, 1.2, 0.8])
    noise = 0.01 * np.random.default_rng(1).normal(size=time.size)
    return size[:leads, None] * (shape + noise)


def write_wfdb(
    folder: Path,
    name: str,
    signal: npt.NDArray[np.float64],
    rate_hz: float,
    names: tuple[str, ...] = CLINICAL_LEADS,
    form: str = "16",
    unit: str = "mV",
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name, fs=rate_hz, units=[unit] * len(signal), sig_name=list(names), p_signal=signal.T,
        fmt=[form] * len(signal), adc_gain=[1000.0 if form == "16" else 200.0] * len(signal),
        baseline=[0] * len(signal), write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{name}.hea"


def write_edf(
    path: Path, signal: npt.NDArray[np.float64], rate_hz: int, names: tuple[str, ...], unit: str = "mV"
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = [EdfChannel(name, unit) for name in names]
    path.write_bytes(edf_bytes(signal, rate_hz, channels, "X X X X", "Startdate X X X X"))
    return path


def write_brainvision(path: Path, signal: npt.NDArray[np.float64], rate_hz: float, names: tuple[str, ...]) -> Path:
    """A .vhdr with its .eeg beside: signal in microvolt, at 0.1 µV a unit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]", "Codepage=UTF-8"]
    lines += [f"DataFile={path.stem}.eeg", "DataFormat=BINARY", "DataOrientation=MULTIPLEXED"]
    lines += [f"NumberOfChannels={len(signal)}", f"SamplingInterval={1e6 / rate_hz:g}"]
    lines += ["[Binary Infos]", "BinaryFormat=INT_16", "[Channel Infos]"]
    lines += [f"Ch{number}={name},,0.1,µV" for number, name in enumerate(names, 1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.with_suffix(".eeg").write_bytes(np.rint(signal.T / 0.1).astype("<i2").tobytes())
    return path
