"""The recordings of a cohort of one's own: a folder of EDF files on this machine, each with EEG and ECG."""

import math
from pathlib import Path

import numpy as np

from physiopipe.cohorts.own import OwnData
from physiopipe.cohorts.own_labels import Labelled, read_labels
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.recordings.edf import EdfSamples, in_unit, read_edf_header, read_edf_samples
from physiopipe.recordings.recording import Recording, RejectedRecord, Unit
from physiopipe.recordings.transport import FolderTree, Tree, check_relative
from physiopipe.recordings.tree import Batch
from physiopipe.signals.padding import recorded_samples

MAX_BATCH_BYTES = 250_000_000
_UNITS: dict[str, Unit] = {"eeg": "uV", "ecg": "mV"}


def listed_files(root: Path, data: OwnData) -> list[str]:
    """The table, and the recordings that it names, as paths below the folder.

    Raises:
        PhysiopipeError: as `read_labels`, or files are named and missing.
    """
    files = list(read_labels(root, data.declared))
    for file in files:
        check_relative(file, data.declared.labels)
    if missing := [file for file in files if not (root / file).is_file()]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise PhysiopipeError(
            f"{root / data.declared.labels} names {len(files)} recordings, and {root} has not "
            f"{', '.join(missing[:3])}{more}: bring them there, or take their rows out."
        )
    return [data.declared.labels, *files]


def plan_batches(tree: Tree, data: OwnData) -> list[Batch]:
    """Batches of whole people, in the table's order, of at most 250 MB; each holds the table too.

    Raises:
        PhysiopipeError: the recordings are not in a folder of this machine, or as `listed_files`.
    """
    if not isinstance(tree, FolderTree):
        raise PhysiopipeError(f"data.{data.cohort}.path is an address: expected a folder of this machine.")
    root = tree.root
    table, *_ = listed_files(root, data)
    people: dict[str, list[Labelled]] = {}
    for one in read_labels(root, data.declared).values():
        people.setdefault(one.subject, []).append(one)
    groups: list[list[Labelled]] = []
    filled = MAX_BATCH_BYTES
    for recordings in people.values():
        size = sum((root / one.file).stat().st_size for one in recordings)
        if filled + size > MAX_BATCH_BYTES:
            groups.append([])
            filled = 0
        groups[-1] += recordings
        filled += size
    of_table = (table, sha256_file(root / table))
    batches = []
    for number, group in enumerate(groups, 1):
        files = tuple((one.file, sha256_file(root / one.file)) for one in group)
        name = data.cohort if len(groups) == 1 else f"{data.cohort}.{number}"
        size = sum((root / one.file).stat().st_size for one in group)
        batches.append(Batch(name, data.cohort, (*files, of_table), size))
    return batches


def read_recording(path: Path, source: str, modality: str, data: OwnData) -> Recording:
    """Read the EEG (µV) or the ECG (mV) of one file, float32 (channel, time), without the padding at its end.

    Raises:
        RejectedRecord: unreadable, another rate, a channel missing or in no unit of voltage, nothing recorded, or a
            label is not known.
        PhysiopipeError: as `read_labels`.
    """
    declared = data.declared
    root = next((folder for folder in path.parents if (folder / declared.labels).is_file()), None)
    if root is None:
        raise PhysiopipeError(f"{declared.labels} is not beside {path}: run again, so that it is brought there.")
    labelled = read_labels(root, declared)[path.relative_to(root).as_posix()]
    if unknown := [task for task in declared.tasks if task not in labelled.ratings]:
        raise RejectedRecord(f"{declared.labels} gives no {', '.join(unknown)} of {path.name}")
    samples = _read(path, declared)
    chosen = samples[modality]
    length_s = min(_length_s(each) for each in samples.values())
    end_s = max(recorded_samples(each.signal, each.rate_hz) / each.rate_hz for each in _by_rate(samples))
    kept = min(math.floor(min(end_s, length_s) * chosen.rate_hz + 0.5), chosen.signal.shape[1])
    if not kept:
        raise RejectedRecord(f"{path.name}: no channel ever changes")
    unit = _UNITS[modality]
    return Recording(
        signal=np.ascontiguousarray(in_unit(chosen._replace(signal=chosen.signal[:, :kept]), unit)),
        rate_hz=chosen.rate_hz,
        channels=declared.eeg if modality == "eeg" else declared.ecg,
        unit=unit,
        source=source,
        record=f"{labelled.subject}_c{labelled.clip:02d}_{modality}",
        subject=labelled.subject,
        clip=labelled.clip,
        ratings=dict(labelled.ratings),
    )


def _length_s(samples: EdfSamples) -> float:
    return float(samples.signal.shape[1] / samples.rate_hz)


def _read(path: Path, declared: OwnCohort) -> dict[str, EdfSamples]:
    """Both modalities of a file, at the declared rates."""
    labels = read_edf_header(path).labels
    found = {}
    for modality, channels, rate_hz in (
        ("eeg", declared.eeg, declared.eeg_rate_hz),
        ("ecg", declared.ecg, declared.ecg_rate_hz),
    ):
        found[modality] = read_edf_samples(path, tuple(_stored(name, modality, labels, declared) for name in channels))
        if found[modality].rate_hz != rate_hz:
            raise RejectedRecord(
                f"{path.name}: its {modality.upper()} is at {found[modality].rate_hz:g} Hz, expected {rate_hz:g} Hz"
            )
    return found


def _stored(name: str, modality: str, labels: tuple[str, ...], declared: OwnCohort) -> str:
    """What a file calls a channel: as declared, by its own name, or with the kind of signal before it (EDF+)."""
    if name in declared.stored_as:
        return declared.stored_as[name]
    prefixed = f"{modality.upper()} {name}"
    return prefixed if name not in labels and prefixed in labels else name


def _by_rate(samples: dict[str, EdfSamples]) -> list[EdfSamples]:
    """All channels of equal rate together: padding is where none of them changes."""
    eeg, ecg = samples["eeg"], samples["ecg"]
    if eeg.rate_hz != ecg.rate_hz:
        return [eeg, ecg]
    return [EdfSamples((*eeg.labels, *ecg.labels), np.vstack([eeg.signal, ecg.signal]), eeg.rate_hz, ())]
