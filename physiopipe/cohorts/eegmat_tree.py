"""EEGMAT's tree: a flat list of EDF+ files, two of each person, one of them read."""

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from physiopipe.cohorts.eegmat import (
    EAR_CHANNEL,
    ECG_CHANNEL,
    PUBLISHED_EEG,
    RATE_HZ,
    TASK,
    EegmatData,
    eeg_channels,
)
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.edf import EdfSamples, in_unit, read_edf_header, read_edf_samples
from physiopipe.recordings.folder_tree import FolderTree
from physiopipe.recordings.recording import Recording, RejectedRecord, Unit
from physiopipe.recordings.transport import Tree
from physiopipe.recordings.tree import Batch, read_lines, read_sums
from physiopipe.signals.padding import recorded_samples

SIMULATED_MARK = "simulated_by_physiopipe"  # in the header's lines on the patient and the recording
LABELS = (*(f"EEG {name}" for name in (*PUBLISHED_EEG, EAR_CHANNEL)), f"ECG {ECG_CHANNEL}")  # of the files' channels
REST, ARITHMETIC = 1, 2  # the number at the end of a file's name, and of a clip

MAX_BATCH_BYTES = 250_000_000
_PERSON_BYTES = 5_200_000  # of both files, as published
FILE_NAME = re.compile(r"Subject([0-9]{2})_([12])\.edf")


def plan_batches(tree: Tree, data: EegmatData) -> list[Batch]:
    """Learn the batches from RECORDS and SHA256SUMS.txt: both files of a person in one batch, people as published.

    What a tree on this machine lists and does not have is found here; on a server, it is found by the download.

    Raises:
        PhysiopipeError: a list is missing or wrong, it names another kind of file, or files are missing and
            `allow_missing` is false.
    """
    with tree.connect() as connection:
        sums = read_sums(connection)
        names = read_lines(connection, "RECORDS", sums)
        where = connection.locate("RECORDS")
    files_of: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found = FILE_NAME.fullmatch(name)
        if found is None:
            raise PhysiopipeError(
                f"{where} names {name!r}; expected Subject<NN>_1.edf and Subject<NN>_2.edf. "
                f"Is data.{data.cohort}.base_url the root of the tree?"
            )
        files_of[found[1]].append(name)
    if not files_of:
        raise PhysiopipeError(f"{where} names no recording: there is nothing to do.")
    if isinstance(tree, FolderTree) and not data.allow_missing:
        missing = [name for name in names if not (tree.root / name).is_file()]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise PhysiopipeError(
                f"{tree.base_url} lists {len(names)} recordings and has not {', '.join(missing[:3])}{more}: bring them "
                f"there, or set data.{data.cohort}.allow_missing: true to go on without these people."
            )
    people = list(files_of.values())
    most = MAX_BATCH_BYTES // _PERSON_BYTES
    count = -(-len(people) // most)
    edges = [len(people) * number // count for number in range(count + 1)]
    batches = []
    for number, (first, end) in enumerate(pairwise(edges), 1):
        files = tuple((name, sums.get(name, "")) for person in people[first:end] for name in sorted(person))
        name = "eegmat" if count == 1 else f"eegmat.{number}"
        batches.append(Batch(name, "eegmat", files, (end - first) * _PERSON_BYTES))
    return batches


def read_recording(path: Path, source: str, modality: str, data: EegmatData) -> Recording:
    """Read the EEG or the ECG of one file, without the padding at its end; see `read_whole_recording`."""
    return _read(path, source, modality, data, with_padding=False)


def read_whole_recording(path: Path, source: str, modality: str, data: EegmatData) -> Recording:
    """Read the EEG or the ECG of one file, with the padding at its end.

    EEG is float32 (19, time), or (20, time) with A2-A1, in µV, channels by their names of today; ECG (1, time) in mV;
    both at 500 Hz and equally long. Clip 1 is rest, 2 arithmetic, and the rating of `arithmetic` is 0 or 1.

    Raises:
        RejectedRecord: unreadable, another rate, a channel missing or in no unit of voltage, nothing recorded, or the
            other file of this person is not there.
        PhysiopipeError: a simulated file where a real one is expected, or the other way round; the other file is not
            there and `allow_missing` is false.
    """
    return _read(path, source, modality, data, with_padding=True)


def _read(path: Path, source: str, modality: str, data: EegmatData, *, with_padding: bool) -> Recording:
    found = FILE_NAME.fullmatch(path.name)
    if found is None:
        raise RejectedRecord(f"{path.name} is not named Subject<NN>_1.edf or Subject<NN>_2.edf")
    person, clip = found[1], int(found[2])
    _check_origin(path, data)
    other = f"Subject{person}_{REST + ARITHMETIC - clip}.edf"
    if not path.with_name(other).is_file():
        if not data.allow_missing:
            raise PhysiopipeError(
                f"{path.name} is here and {other} is not: bring it to {data.base_url}, or set "
                f"data.{data.cohort}.allow_missing: true to go on without this person."
            )
        raise RejectedRecord(f"{other} is missing: a person without rest and arithmetic both is left out")
    samples = read_edf_samples(path, LABELS)
    if samples.rate_hz != RATE_HZ:
        raise RejectedRecord(f"{path.name} is at {samples.rate_hz:g} Hz, expected {RATE_HZ} Hz")
    length = recorded_samples(samples.signal, samples.rate_hz)
    if not length:
        raise RejectedRecord(f"{path.name}: no channel ever changes")
    if with_padding:
        length = samples.signal.shape[1]
    channels = eeg_channels(data) if modality == "eeg" else (ECG_CHANNEL,)
    rows = slice(len(channels)) if modality == "eeg" else slice(-1, None)
    unit: Unit = "uV" if modality == "eeg" else "mV"
    chosen = EdfSamples(samples.labels[rows], samples.signal[rows, :length], samples.rate_hz, samples.units[rows])
    return Recording(
        signal=np.ascontiguousarray(in_unit(chosen, unit)),
        rate_hz=float(RATE_HZ),
        channels=channels,
        unit=unit,
        source=source,
        record=f"s{person}_c{clip:02d}_{modality}",
        subject=f"s{person}",
        clip=clip,
        ratings={TASK: float(clip == ARITHMETIC)},
    )


def _check_origin(path: Path, data: EegmatData) -> None:
    header = read_edf_header(path)
    marked = SIMULATED_MARK in header.patient or SIMULATED_MARK in header.recording
    if marked != (data.origin == "simulated"):
        found, wanted = ("a simulated", "a real") if marked else ("not a simulated", "a simulated")
        raise PhysiopipeError(
            f"{path} is {found} file, expected {wanted} one: set `data.{data.cohort}.origin` to what it is."
        )
