"""The recordings that windows were cut from, as they were recorded, as far as their files are still in data/raw."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from physiopipe import plan
from physiopipe.cohorts.base import OwnFolder, PublishedTree, imported
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file
from physiopipe.params import Params
from physiopipe.recordings.batchfile import SUFFIX, read_batch
from physiopipe.recordings.recording import OF_EACH, LongRecording, Recording, RecordingBatch, RejectedRecord
from physiopipe.recordings.tree import Batch, record_of

Found = Recording | LongRecording


def raw_reader(params: Params) -> Callable[[str, str, Mapping[str, str]], dict[str, Found]]:
    """`(cohort, modality, {record: batch}) → {record: recording}` of a study, with the records that are here alone.

    A record counts as here if each of its files has its published checksum. Why a batch's are not is printed.
    """

    def read(name: str, modality: str, batches: Mapping[str, str]) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for batch in dict.fromkeys(batches.values()):
            wanted = {record for record, of in batches.items() if of == batch}
            try:
                for recording in _recordings(params, name, modality, plan.planned_batch(params, name, batch), wanted):
                    record = recording.head.record if isinstance(recording, LongRecording) else recording.record
                    if record in wanted:
                        found[record] = recording
                    if wanted <= found.keys():
                        break
            except PhysiopipeError as error:
                print(f"{name}, {batch}: the raw signal is not to be had: {error}")
        return found

    return read


def _recordings(params: Params, name: str, modality: str, batch: Batch, wanted: set[str]) -> Iterator[Found]:
    publication = cohort(name).publication
    if isinstance(publication, PublishedTree):
        folder = plan.raw_folder(params, name)
        yield from _of_tree(publication, folder, batch, wanted, modality, params.data[name])
        return
    for item in read_batch(plan.recordings_file(params, name, batch).parent / f"{modality}{SUFFIX}"):
        if isinstance(item, RecordingBatch):
            for number, record in enumerate(item.record):
                if record in wanted:
                    yield _one_of(item, number)


def _one_of(stack: RecordingBatch, number: int) -> Recording:
    of_each: Any = {name: getattr(stack, name)[number] for name in OF_EACH}
    signal = stack.signal[number]
    return Recording(signal, stack.rate_hz, stack.channels, stack.unit, stack.source, **of_each)


def _of_tree(
    publication: PublishedTree, folder: Path, batch: Batch, wanted: set[str], modality: str, data: Any
) -> Iterator[Found]:
    """Recordings of a tree; a file may hold several, of other names."""
    read, checksums = imported(publication.read), dict(batch.files)
    same_name: dict[str, list[str]] = {}
    for path in checksums:
        same_name.setdefault(record_of(path), []).append(path)
    alone = wanted <= batch.first_files.keys()
    for record, first in batch.first_files.items():
        if alone and record not in wanted:
            continue
        needed: Sequence[str] = same_name[record]
        if isinstance(publication, OwnFolder):  # the EEG's and the ECG's file may have any names
            needed = imported(publication.files_of)(folder, first, data)
        if not all(path in checksums and _is_whole(folder / path, checksums[path]) for path in needed):
            continue
        try:
            found = read(folder / first, batch.source, modality, data)
            yield from [found] if isinstance(found, Found) else (each for each in found if isinstance(each, Found))
        except RejectedRecord:
            continue  # no window of it was stored


def _is_whole(path: Path, checksum: str) -> bool:
    return path.is_file() and checksum_file(path, checksum) == checksum
