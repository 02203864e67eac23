"""Bringing the files of one batch here, so that nothing wrong or half-written ever has a final name.

A batch's stamp names the sha256 of every file, and the files are compared with it whenever the batch is read or
downloaded again: sizes and times prove nothing. (2,000 records, 240 MB, take 0.2 s.)

At most `run.connections` connections are open over all processes on this file system: each worker holds the kernel's
lock on one of that many slot files while its connection lives. Light imports: every download job pays for them.
"""

import fcntl
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_json, shorten
from physiopipe.recordings.download_progress import Amount, DownloadProgress
from physiopipe.recordings.download_stamp import (
    Downloaded,
    NotHere,
    checksum_or_error,
    files_in,
    finished_download,
    write_stamp,
)
from physiopipe.recordings.folder_tree import remove_abandoned
from physiopipe.recordings.transport import (
    MissingFile,
    Tree,
    UnusableFile,
    WrongContent,
    check_relative,
)
from physiopipe.recordings.tree import Batch, record_of

if TYPE_CHECKING:
    from physiopipe.params import Run

MOST_WRONG_SHARE = 0.05  # of a batch's files: beyond, the server or the way to it is wrong, and not single files
_SLOT_POLL_S = 0.05


def download_batch(
    tree: Tree,
    batch: Batch,
    raw_root: Path,
    stamp: Path,
    lock_folder: Path,
    run: "Run",
    all_batches: Mapping[str, Amount] | None = None,
    allow_missing: bool = True,
    simulated: bool = False,
) -> list[NotHere]:
    """Bring every file of `batch` below `raw_root`, in the tree's layout, and write `stamp`, last.

    Files that are there and right are kept; partial ones go on where they stopped. With a stamp of the same files, all
    still there with their bytes, nothing is fetched.

    Args:
        allow_missing: go on where the tree lists files that it does not have, or has no checksum of.
        all_batches: what the whole download wants (`expected_amounts`), of which progress is shown; None: this batch.
        simulated: the tree was made here, and progress says so.

    Returns:
        Each record that the tree lists and does not have as published: a file is missing, or its checksum stays wrong.

    Raises:
        PhysiopipeError: wrong checksums of more than one file and of a twentieth of them, a host that cannot be
            reached, too little disk space.
    """
    listed = sha256_json([list(entry) for entry in batch.files])
    earlier = finished_download(stamp, listed, raw_root)
    if earlier is not None and (allow_missing or not any(each.absent for each in earlier.rejected)):
        return list(earlier.rejected)
    raw_root.mkdir(parents=True, exist_ok=True)
    remove_abandoned(raw_root / check_relative(path, f"the plan of {batch.name}") for path, _ in batch.files)
    rejected: dict[str, NotHere] = {}

    def reject(relative: str, reason: str, absent: bool) -> None:
        record = record_of(relative)
        rejected.setdefault(record, NotHere(record, shorten(f"{relative}: {reason}"), absent))

    wanted: list[tuple[str, str]] = []
    replaced: list[str] = []
    for relative, sha256 in batch.files:
        if not sha256:
            reject(relative, "no checksum of it is published", absent=True)
        elif not (raw_root / relative).is_file():
            wanted.append((relative, sha256))
        elif checksum_or_error(raw_root / relative, sha256) != sha256:
            wanted.append((relative, sha256))
            replaced.append(relative)
    _forget(replaced, raw_root, stamp)
    _check_space(tree, batch, raw_root, [relative for relative, _ in wanted])
    fetched = {relative for relative, _ in wanted}
    before = [(raw_root / path).stat().st_size for path, sha256 in batch.files if sha256 and path not in fetched]
    amounts = all_batches or expected_amounts([(batch.name, len(batch.files), batch.size)])
    noted = lock_folder.parent / f"progress-{raw_root.name}"
    here = Amount(len(before), sum(before))
    with DownloadProgress(noted, batch.name, amounts, here, simulated=simulated) as progress:
        unusable = _fetch_all(tree, batch, wanted, raw_root, lock_folder, run, progress)
    for relative, finding in unusable.items():
        absent = isinstance(finding, MissingFile)
        what = "listed, but not on the server" if absent else "not what was published"
        reject(relative, f"{what} ({finding})", absent)
    not_here = [rejected[record] for record in batch.records if record in rejected]
    absent_ones = [each for each in not_here if each.absent]
    if absent_ones and not allow_missing:
        told = "\n".join(f"  {each.reason}" for each in absent_ones[:5])
        raise PhysiopipeError(
            f"{len(absent_ones)} of {len(batch.records)} records of {batch.name} are listed, not to be had:\n{told}\n"
            "Complete the tree at `base_url` or take another one, or set `allow_missing: true` in the cohort's section "
            "of `data` to go on without them. Files that are here are kept."
        )
    files = {relative: sha256 for relative, sha256 in batch.files if sha256 and relative not in unusable}
    records = tuple(record for record in batch.records if record not in rejected)
    write_stamp(stamp, listed, files, Downloaded(records, tuple(not_here)))
    return not_here


def expected_amounts(batches: Iterable[tuple[str, int, int]]) -> dict[str, Amount]:
    """Files and about how many bytes each (batch, files, bytes) will be."""
    return {name: Amount(files, size) for name, files, size in batches}


@contextmanager
def connection_slot(folder: Path, slots: int, give_up: Callable[[], bool]) -> Iterator[bool]:
    """Hold one of `slots` places for a connection, shared by all processes; false if `give_up` came true first.

    A place is the kernel's lock on a file, so that it is free again however its holder ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pause = threading.Event()
    while not give_up():
        for number in range(slots):
            with (folder / f"connection-{number}.lock").open("a") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield True
                return
        pause.wait(_SLOT_POLL_S)
    yield False


def _fetch_all(
    tree: Tree,
    batch: Batch,
    wanted: list[tuple[str, str]],
    raw_root: Path,
    lock_folder: Path,
    run: "Run",
    progress: DownloadProgress,
) -> dict[str, UnusableFile]:
    """Fetch files over at most `run.connections` connections; returns path → finding of those that cannot be had."""
    if not wanted:
        return {}
    waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for entry in wanted:
        waiting.put(entry)
    unusable: dict[str, UnusableFile] = {}
    stop = threading.Event()
    guard = threading.Lock()

    def work() -> None:
        slot = (
            connection_slot(lock_folder, run.connections, lambda: stop.is_set() or waiting.empty())
            if tree.remote
            else nullcontext(True)
        )
        with slot as granted:
            if not granted:
                return
            with tree.connect(stop) as connection:
                while not stop.is_set():
                    try:
                        relative, sha256 = waiting.get_nowait()
                    except queue.Empty:
                        return
                    size = 0
                    try:
                        connection.fetch(relative, raw_root / relative, sha256)
                        size = (raw_root / relative).stat().st_size
                    except UnusableFile as finding:
                        with guard:
                            unusable[relative] = finding
                            _check_wrong(tree, batch, unusable)
                    with guard:
                        progress.add(size)

    count = min(run.connections, len(wanted))
    with ThreadPoolExecutor(count, thread_name_prefix="download") as pool:
        try:
            for worker in as_completed([pool.submit(work) for _ in range(count)]):
                worker.result()
        except OSError as error:
            raise PhysiopipeError(
                f"{batch.name} could not be kept under {raw_root} ({error}; "
                f"{shutil.disk_usage(raw_root).free / 1e9:.2f} GB free). Make room or mend the disk, then run again: "
                "finished files are kept."
            ) from None
        finally:
            stop.set()
    return unusable


def _check_wrong(tree: Tree, batch: Batch, unusable: Mapping[str, UnusableFile]) -> None:
    """One wrong file is that file's fault; many are another version of the tree, or a page that asks for a log-in."""
    wrong = [path for path, finding in unusable.items() if isinstance(finding, WrongContent)]
    if len(wrong) > max(1, MOST_WRONG_SHARE * len(batch.files)):
        raise PhysiopipeError(
            f"{len(wrong)} of the {len(batch.files)} files of {batch.name} have not the bytes that were published, "
            f"among them {wrong[-1]} ({unusable[wrong[-1]]}). None of them was kept. Look at one of them below "
            f"{tree.base_url}; run again later, or take another mirror as base_url."
        )


def _check_space(tree: Tree, batch: Batch, raw_root: Path, wanted: list[str]) -> None:
    needed, unknown = 0, 0
    for relative in wanted:
        known = tree.bytes_needed(relative, raw_root)
        needed += known or 0
        unknown += known is None
    needed += batch.size * unknown // max(len(batch.files), 1)
    free = shutil.disk_usage(raw_root).free
    if needed > free:
        raise PhysiopipeError(
            f"{batch.name} needs about {needed / 1e6:,.0f} MB under {raw_root}, and {free / 1e6:,.0f} MB are free: "
            "make room there, or take fewer records."
        )


def _forget(replaced: list[str], raw_root: Path, stamp: Path) -> None:
    """Remove files that are another version's, or damaged: they must not keep the final name while the right one comes.

    The stamps of all batches that hold them go first: what they stand for is no longer here.
    """
    gone = set(replaced)
    for other in (raw_root / "complete").glob("*/*.json") if gone else ():
        if other != stamp and not gone.isdisjoint(files_in(other)):
            other.unlink(missing_ok=True)
    for relative in replaced:
        (raw_root / relative).unlink(missing_ok=True)
