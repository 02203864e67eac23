"""The Challenge's tree: which records lie in which folder, batches of them, and one record read."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from physiopipe.cohorts.challenge import ChallengeData
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.clinical_order import in_clinical_order
from physiopipe.recordings.recording import LongRecording, Recording
from physiopipe.recordings.transport import Tree, check_relative
from physiopipe.recordings.tree import HEADER, SAMPLES, Batch, read_lines, read_sums
from physiopipe.recordings.wfdb import read_wfdb_record

# A job starts Python, which takes as long as a hundred records; what it leaves for the next takes disk space, four to
# nine times that of the raw samples.
MAX_BATCH_RECORDS = 2000
MAX_BATCH_BYTES = 250_000_000
_HEADER_BYTES = 1_000
_BATCH_NAME = re.compile(r"[a-z0-9_.-]+")


def plan_batches(tree: Tree, data: ChallengeData) -> list[Batch]:
    """Learn the batches from RECORDS and SHA256SUMS.txt, in the order of `data.sources`, then as published.

    Raises:
        PhysiopipeError: a list is missing or wrong, a name climbs out of its folder, or a source is missing and
            `allow_missing_sources` is false.
    """
    with tree.connect() as connection:
        sums = read_sums(connection)
        folders = [line.rstrip("/") for line in read_lines(connection, "RECORDS", sums)]
        for folder in folders:
            check_relative(folder, connection.locate("RECORDS"))
        batches: list[Batch] = []
        missing: list[str] = []
        for source in data.sources:
            own = [folder for folder in folders if f"{folder}/".startswith(f"training/{source}/")]
            wanted = data.most_records(source)
            records_of: dict[str, list[str]] = {}
            for folder in own:
                if wanted == 0:
                    break
                where = connection.locate(f"{folder}/RECORDS")
                records = read_lines(connection, f"{folder}/RECORDS", sums)[:wanted]
                wanted = None if wanted is None else wanted - len(records)
                _check_names(source, folder, records, where)
                records_of[folder] = records
            batches += batches_of_source(source, records_of, sums)
            if not own:
                missing.append(source)
    if missing and not data.allow_missing_sources:
        raise PhysiopipeError(
            f"{tree.base_url} has no folder of {', '.join(missing)}: expected training/<source>/ of each of "
            f"data.challenge.sources in its RECORDS, found {', '.join(folders) or 'nothing'}. Take another base_url, "
            "take the source out of data.challenge.sources, or set data.challenge.allow_missing_sources: true."
        )
    if not batches:
        raise PhysiopipeError(f"{tree.base_url} lists no record of {', '.join(data.sources)}: there is nothing to do.")
    twice = [name for name, times in Counter(batch.name for batch in batches).items() if times > 1]
    if twice:
        raise PhysiopipeError(f"{tree.base_url} has two folders that would both be called {twice[0]}.")
    return batches


def _check_names(source: str, folder: str, records: list[str], where: str) -> None:
    for record in records:
        check_relative(record, where)
        if "/" in record:
            raise PhysiopipeError(f"{where} names {record!r}: expected names of records, without folders.")
    name = _batch_name(source, [folder])
    if not _BATCH_NAME.fullmatch(name):
        raise PhysiopipeError(f"{where}: {folder!r} gives no usable name for a batch, found {name!r}.")


def batches_of_source(source: str, records_of: dict[str, list[str]], sums: dict[str, str]) -> list[Batch]:
    """The batches of a source: neighbouring folders together as far as a job can take them, a larger one in shares.

    Args:
        records_of: names of the records of each folder, in published order.
        sums: path below the tree's root → sha256.
    """
    info = SOURCE_INFO.get(source)
    most = MAX_BATCH_RECORDS if info is None else min(MAX_BATCH_RECORDS, MAX_BATCH_BYTES // info.bytes_per_record)
    joined: list[dict[str, str]] = []  # record → folder
    for folder, records in records_of.items():
        mine = dict.fromkeys(records, folder)
        if joined and len(joined[-1]) + len(mine) <= most and joined[-1].keys().isdisjoint(mine):
            joined[-1] |= mine
        elif mine:
            joined.append(mine)
    batches = []
    for folder_of in joined:
        name = _batch_name(source, list(dict.fromkeys(folder_of.values())))
        paths = [(f"{folder}/{record}{HEADER}", f"{folder}/{record}{SAMPLES}") for record, folder in folder_of.items()]
        count = -(-len(paths) // most)
        edges = [len(paths) * number // count for number in range(count + 1)]
        for number, (first, end) in enumerate(pairwise(edges), 1):
            files = tuple((path, sums.get(path, "")) for both in paths[first:end] for path in both)
            size = len(files) // 2 * (_HEADER_BYTES + (info.bytes_per_record if info else 0))
            batches.append(Batch(name if count == 1 else f"{name}.{number}", source, files, size))
    return batches


def _batch_name(source: str, folders: list[str]) -> str:
    """`georgia.g1` of one folder, `georgia.g1-g2` of neighbours."""
    within = [".".join(folder.split("/")[2:]) for folder in (folders[0], folders[-1])]
    return ".".join(filter(None, [source, "-".join(dict.fromkeys(within))])).lower()


def read_record(
    path: Path,
    source: str,
    modality: str,  # noqa: ARG001
    data: ChallengeData,  # noqa: ARG001
) -> Recording | LongRecording:
    """One record, its leads in clinical order.

    Raises:
        RejectedRecord: it cannot be used, with the reason.
    """
    return in_clinical_order(read_wfdb_record(path, source))
