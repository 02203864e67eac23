"""EEG and ECG of one recording of a cohort of one's own: in one EDF file, or in two that began together."""

import math
from pathlib import Path

import numpy as np

from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.recordings.edf import EdfSamples, check_same_start, read_edf_header, read_edf_samples
from physiopipe.recordings.physio import ENDING, read_physio_header, read_physio_samples
from physiopipe.recordings.recording import RejectedRecord
from physiopipe.signals.padding import recorded_samples

_TOLD_S = 0.1  # files that differ by more are told


def of_one_file(path: Path, declared: OwnCohort) -> dict[str, EdfSamples]:
    """Both modalities of an EDF file at the declared rates, without the padding at its end.

    Raises:
        RejectedRecord: unreadable, another rate, a channel missing, nothing recorded.
    """
    samples = {modality: _read(path, modality, declared) for modality in ("eeg", "ecg")}
    length_s = min(_length_s(each) for each in samples.values())
    end_s = max(_recorded_s(each) for each in _by_rate(samples))
    return {modality: _cut(each, 0.0, min(end_s, length_s), path) for modality, each in samples.items()}


def of_two_files(eeg_path: Path, ecg_path: Path, declared: OwnCohort) -> dict[str, EdfSamples]:
    """Both modalities at the declared rates: the stretch that both files hold, without the padding at its end.

    Two EDF files must begin at the same second, as their headers say; BIDS' table says how long after the EEG it
    begins. Where the shared stretch is shorter than one of the files, it is told. As in one file, padding is where
    both are still: an ECG whose electrode fell off is flat to its end and cuts nothing off the EEG.

    Raises:
        RejectedRecord: as `of_one_file`, or they began at different moments, or share no stretch.
    """
    eeg, ecg = _read(eeg_path, "eeg", declared), _read(ecg_path, "ecg", declared)
    ecg_start_s = _start_s(eeg_path, ecg_path)
    eeg_end_s, ecg_end_s = _length_s(eeg), _length_s(ecg) + ecg_start_s
    begin_s, end_s = max(ecg_start_s, 0.0), min(eeg_end_s, ecg_end_s)
    if end_s <= begin_s:
        raise RejectedRecord(
            f"{eeg_path.name} and {ecg_path.name} share no stretch of time: EEG until {eeg_end_s:g} s, ECG from "
            f"{ecg_start_s:g} s to {ecg_end_s:g} s"
        )
    end_s = min(end_s, max(_recorded_s(eeg), _recorded_s(ecg) + ecg_start_s))
    if begin_s > _TOLD_S or abs(eeg_end_s - ecg_end_s) > _TOLD_S:
        print(
            f"{eeg_path.name}: EEG of {eeg_end_s:.1f} s, ECG from {ecg_start_s:.1f} s to {ecg_end_s:.1f} s; what both "
            f"hold is used, {begin_s:.1f} s to {end_s:.1f} s",
            flush=True,
        )
    return {
        "eeg": _cut(eeg, begin_s, end_s, eeg_path),
        "ecg": _cut(ecg, begin_s - ecg_start_s, end_s - ecg_start_s, ecg_path),
    }


def _start_s(eeg_path: Path, ecg_path: Path) -> float:
    """When the ECG begins, in seconds of the EEG."""
    if ecg_path.name.endswith(ENDING):
        return read_physio_header(ecg_path).start_s
    check_same_start(eeg_path, ecg_path)
    return 0.0


def _read(path: Path, modality: str, declared: OwnCohort) -> EdfSamples:
    channels, rate_hz = (
        (declared.eeg, declared.eeg_rate_hz) if modality == "eeg" else (declared.ecg, declared.ecg_rate_hz)
    )
    if path.name.endswith(ENDING):
        found = read_physio_samples(path, tuple(declared.stored_as.get(name, name) for name in channels))
    else:
        labels = read_edf_header(path).labels
        found = read_edf_samples(path, tuple(_stored(name, modality, labels, declared) for name in channels))
    if not math.isclose(found.rate_hz, rate_hz, rel_tol=1e-9):
        raise RejectedRecord(f"{path.name}: its {modality.upper()} is at {found.rate_hz:g} Hz, expected {rate_hz:g} Hz")
    return found


def _stored(name: str, modality: str, labels: tuple[str, ...], declared: OwnCohort) -> str:
    """What a file calls a channel: as declared, by its own name, or with the kind of signal before it (EDF+)."""
    if name in declared.stored_as:
        return declared.stored_as[name]
    prefixed = f"{modality.upper()} {name}"
    return prefixed if name not in labels and prefixed in labels else name


def _cut(samples: EdfSamples, begin_s: float, end_s: float, path: Path) -> EdfSamples:
    begin = math.floor(begin_s * samples.rate_hz + 0.5)
    end = min(math.floor(end_s * samples.rate_hz + 0.5), samples.signal.shape[1])
    if end <= begin:
        raise RejectedRecord(f"{path.name}: no channel ever changes")
    return samples._replace(signal=samples.signal[:, begin:end])


def _length_s(samples: EdfSamples) -> float:
    return float(samples.signal.shape[1] / samples.rate_hz)


def _recorded_s(samples: EdfSamples) -> float:
    return float(recorded_samples(samples.signal, samples.rate_hz) / samples.rate_hz)


def _by_rate(samples: dict[str, EdfSamples]) -> list[EdfSamples]:
    """All channels of equal rate together: padding is where none of them changes."""
    eeg, ecg = samples["eeg"], samples["ecg"]
    if eeg.rate_hz != ecg.rate_hz:
        return [eeg, ecg]
    return [EdfSamples((*eeg.labels, *ecg.labels), np.vstack([eeg.signal, ecg.signal]), eeg.rate_hz, ())]
