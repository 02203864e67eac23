"""The recordings of a cohort of one's own: a folder of EDF files on this machine, with EEG and ECG in one or in two."""

from pathlib import Path

import numpy as np

from physiopipe.cohorts.own import OwnData
from physiopipe.cohorts.own_labels import Labelled, label_of, read_labels
from physiopipe.cohorts.own_signals import of_one_file, of_two_files
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.recordings.edf import in_unit
from physiopipe.recordings.folder_tree import FolderTree
from physiopipe.recordings.recording import Recording, RejectedRecord, Unit
from physiopipe.recordings.transport import Tree, check_relative
from physiopipe.recordings.tree import Batch

MAX_BATCH_BYTES = 250_000_000
_UNITS: dict[str, Unit] = {"eeg": "uV", "ecg": "mV"}


def listed_files(root: Path, data: OwnData) -> list[str]:
    """The table, and the recordings that it names, as paths below the folder.

    Raises:
        PhysiopipeError: as `read_labels`, or files are named and missing.
    """
    files = [file for one in read_labels(root, data.declared).values() for file in one.files]
    for file in files:
        check_relative(file, data.declared.labels)
    if missing := [file for file in files if not (root / file).is_file()]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise PhysiopipeError(
            f"{root / data.declared.labels} names {len(files)} files, and {root} has not "
            f"{', '.join(missing[:3])}{more}: bring them there, or take their rows out."
        )
    return [data.declared.labels, *files]


def files_of(root: Path, first: str, data: OwnData) -> tuple[str, ...]:
    """The table, and the files of one recording; none of an ECG's own file, which is read with its EEG.

    Args:
        first: the path of a file below the folder.

    Raises:
        PhysiopipeError: as `read_labels`.
    """
    labelled = label_of(root, first, data.declared)
    return () if labelled is None else (data.declared.labels, *labelled.files)


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
        size = _size(root, recordings)
        if filled + size > MAX_BATCH_BYTES:
            groups.append([])
            filled = 0
        groups[-1] += recordings
        filled += size
    of_table = (table, sha256_file(root / table))
    batches = []
    for number, group in enumerate(groups, 1):
        files = tuple((file, sha256_file(root / file)) for one in group for file in one.files)
        name = data.cohort if len(groups) == 1 else f"{data.cohort}.{number}"
        batches.append(Batch(name, data.cohort, (*files, of_table), _size(root, group)))
    return batches


def _size(root: Path, recordings: list[Labelled]) -> int:
    return sum((root / file).stat().st_size for one in recordings for file in one.files)


def read_recording(path: Path, source: str, modality: str, data: OwnData) -> Recording | tuple[()]:
    """Read the EEG (µV) or the ECG (mV) of one recording, float32 (channel, time), without the padding at its end.

    Where they are in two files, both give the stretch that both hold. A file that holds the ECG alone is read with
    its EEG, and gives nothing by itself.

    Args:
        path: of the EEG.

    Raises:
        RejectedRecord: unreadable, another rate, a channel missing or in no unit of voltage, nothing recorded, a label
            is not known, or EEG and ECG began at different moments.
        PhysiopipeError: as `read_labels`.
    """
    declared = data.declared
    root = next((folder for folder in path.parents if (folder / declared.labels).is_file()), None)
    if root is None:
        raise PhysiopipeError(f"{declared.labels} is not beside {path}: run again, so that it is brought there.")
    labelled = label_of(root, path.relative_to(root).as_posix(), declared)
    if labelled is None:  # of an ECG
        return ()
    if unknown := [task for task in declared.tasks if task not in labelled.ratings]:
        raise RejectedRecord(f"{declared.labels} gives no {', '.join(unknown)} of {path.name}")
    if labelled.ecg_file == labelled.file:
        samples = of_one_file(path, declared)
    else:
        samples = of_two_files(path, root / labelled.ecg_file, declared)
    chosen, unit = samples[modality], _UNITS[modality]
    return Recording(
        signal=np.ascontiguousarray(in_unit(chosen, unit)),
        rate_hz=chosen.rate_hz,
        channels=declared.eeg if modality == "eeg" else declared.ecg,
        unit=unit,
        source=source,
        record=f"{labelled.subject}_c{labelled.clip:02d}_{modality}",
        subject=labelled.subject,
        clip=labelled.clip,
        ratings=dict(labelled.ratings),
    )
