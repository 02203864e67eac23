"""Recordings in a folder of WFDB, EDF or BIDS files, whoever made it: which there are, and each one opened."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.edf_stretches import EdfFile
from physiopipe.recordings.mne_stretches import MneFile
from physiopipe.recordings.opened import Channel, Kind, OpenedFile
from physiopipe.recordings.recording import RejectedRecord
from physiopipe.recordings.wfdb_header import read_whole
from physiopipe.recordings.wfdb_stretches import WfdbFile

READERS: dict[str, type[WfdbFile | EdfFile | MneFile]] = {
    ".hea": WfdbFile,
    ".edf": EdfFile,
    ".vhdr": MneFile,
    ".set": MneFile,
    ".bdf": MneFile,
}
FORMATS = "WFDB (.hea), EDF (.edf), BrainVision (.vhdr), EEGLAB (.set), BioSemi (.bdf)"
_NOT_RAW = ("derivatives", "sourcedata", "code", "stimuli", "phenotype")  # folders of a BIDS dataset beside its people
_SUFFIXES = ("_eeg", "_ecg", "_physio")  # of BIDS files
_KINDS: dict[str, Kind] = {"ECG": "ecg", "EKG": "ecg", "EEG": "eeg", "": ""}
_MAX_TABLE_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """A recording in a folder.

    Attributes:
        name: its path below the folder, without the ending where no other one has the same.
        path: its file, or its header.
    """

    name: str
    path: Path


def find_recordings(place: Path) -> list[Found]:
    """Every recording in a folder and the folders below, by name; or the one that a path names.

    Folders whose name begins with a dot are left out, and of a BIDS dataset those that hold no raw recordings.

    Raises:
        PhysiopipeError: there is no such place, or no recording in it.
    """
    if place.is_file():
        if place.suffix.lower() not in READERS:
            raise PhysiopipeError(f"{place} is in no format that is read here: expected {FORMATS}.")
        return [Found(shorten(place.stem), place)]
    if not place.is_dir():
        raise PhysiopipeError(f"{place} is missing: name a folder of recordings, or one recording's file.")
    paths = sorted(_files_below(place))
    if not paths:
        raise PhysiopipeError(f"{place} holds no recording: expected {FORMATS} in it or in folders below.")
    stems = Counter(path.relative_to(place).with_suffix("") for path in paths)
    found = []
    for path in paths:
        below = path.relative_to(place)
        name = below if stems[below.with_suffix("")] > 1 else below.with_suffix("")
        found.append(Found(shorten(name.as_posix()), path))
    return found


def readable_files(folder: Path) -> list[Path]:
    """The files of a folder, without those of folders below, that `open_recording` takes, by name.

    Raises:
        PhysiopipeError: the system would not let the folder be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS and path.name[0] != ".")
    except OSError as error:
        raise PhysiopipeError(f"{folder} cannot be read ({error.strerror}): mend that, then run again.") from None


def _files_below(root: Path) -> Iterator[Path]:
    bids = (root / "dataset_description.json").is_file()
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [each for each in folders if not each.startswith(".")]
        if bids and here == root:
            folders[:] = [each for each in folders if each not in _NOT_RAW]
        yield from (here / name for name in names if Path(name).suffix.lower() in READERS and name[0] != ".")


def open_recording(path: Path) -> OpenedFile:
    """A recording's file, opened; where a BIDS table of channels lies beside it, with the types and units in it.

    Raises:
        RejectedRecord: it cannot be read, with the reason.
        PhysiopipeError: the system would not let it be read, or its format is none that is read here.
    """
    if path.suffix.lower() not in READERS:
        raise PhysiopipeError(f"{path} is in no format that is read here: expected {FORMATS}.")
    opened: OpenedFile = READERS[path.suffix.lower()](path)
    table = _table_of_channels(path)
    if table is not None:
        opened.channels = _described(opened.channels, table)
    return opened


def _table_of_channels(path: Path) -> Path | None:
    """`sub-01_task-rest_channels.tsv` of `sub-01_task-rest_eeg.edf`, where it is there."""
    suffix = next((each for each in _SUFFIXES if path.stem.endswith(each)), None)
    if suffix is None or not path.name.startswith("sub-"):
        return None
    table = path.with_name(f"{path.stem.removesuffix(suffix)}_channels.tsv")
    return table if table.is_file() else None


def _described(channels: tuple[Channel, ...], table: Path) -> tuple[Channel, ...]:
    """Channels with the type that BIDS' table gives each, and its unit where the file itself names none."""
    text = read_whole(table, 0, _MAX_TABLE_BYTES).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    if not {"name", "type", "units"} <= set(reader.fieldnames or ()):
        raise RejectedRecord(f"{table.name} has not the columns name, type and units")
    rows = {str(row["name"]).strip(): row for row in reader}
    found = []
    for channel in channels:
        row = rows.get(channel.name)
        if row is not None:
            kind = _KINDS.get(str(row["type"] or "").strip().upper(), "other")
            channel = replace(channel, kind=kind, unit=channel.unit or str(row["units"] or "").strip())
        found.append(channel)
    return tuple(found)
