"""A published tree in a folder of this machine: its files are hard-linked, or copied, and never written to."""

import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.transport import Connection, MissingFile, Tree, largest_bytes, too_large

STILL_S = 600.0  # a file that has not changed for so long is written by nobody


class FolderTree(Tree):
    """A tree on a disk: its files are hard-linked where that is possible, else copied."""

    remote = False

    def __init__(self, root: Path) -> None:
        try:
            self._real_root = Path(os.path.realpath(root, strict=True))
            found = self._real_root.is_dir()
        except (OSError, ValueError):
            found = False
        if not found:
            raise PhysiopipeError(
                f"base_url is {shorten(str(root), 400)!r}, and no such folder exists: expected the "
                "folder that holds RECORDS, SHA256SUMS.txt and training/, or an https:// address."
            )
        self.root = root
        self.base_url = str(root)

    @contextmanager
    def connect(self, stop: threading.Event | None = None) -> Iterator[Connection]:  # noqa: ARG002 - never waits
        yield _FolderConnection(self.root, self._real_root)

    def bytes_needed(self, relative: str, folder: Path) -> int | None:
        try:
            found = (self.root / relative).stat()
        except OSError:
            return 0
        return 0 if found.st_dev == folder.stat().st_dev else found.st_size


class _FolderConnection(Connection):
    def __init__(self, root: Path, real_root: Path) -> None:
        self._root, self._real_root = root, real_root

    def locate(self, relative: str) -> str:
        return str(self._root / relative)

    def partial_of(self, target: Path) -> Path:
        """Each process has its own: another's may be a link to the source itself, which nobody may write to."""
        return target.with_name(f"{target.name}.{os.getpid()}.partial")

    def bring(self, relative: str, partial: Path) -> None:
        partial.unlink(missing_ok=True)
        source = self._find(relative)
        try:
            os.link(source, partial)
        except OSError:
            with self._open(relative, source) as handle, partial.open("xb") as copy:
                shutil.copyfileobj(handle, copy, 1 << 20)

    def read(self, relative: str) -> bytes:
        with self._open(relative, self._find(relative)) as handle:
            content = handle.read(largest_bytes(relative) + 1)
        if len(content) > largest_bytes(relative):
            raise too_large(self.locate(relative), relative)
        return content

    def _find(self, relative: str) -> Path:
        """The file itself, links followed: a hard link to a symbolic one would dangle, or lead anywhere."""
        try:
            found = Path(os.path.realpath(self._root / relative, strict=True))
            about = found.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise MissingFile("no such file") from None
            if error.errno == errno.ELOOP:
                raise MissingFile("a loop of links") from None
            raise self._unreadable(relative, error) from None
        if not found.is_relative_to(self._real_root):
            raise PhysiopipeError(
                f"{self.locate(relative)} leads out of the tree, to {found}: it is neither read nor linked. Put the "
                "file itself into the tree, or name the folder that holds all of it as base_url."
            )
        if not stat.S_ISREG(about.st_mode):
            raise MissingFile("not a regular file, but a folder, a pipe or a device")
        if about.st_size > largest_bytes(relative):
            raise too_large(self.locate(relative), relative)
        return found

    def _open(self, relative: str, found: Path) -> BinaryIO:
        try:
            return found.open("rb")
        except OSError as error:
            raise self._unreadable(relative, error) from None

    def _unreadable(self, relative: str, error: OSError) -> PhysiopipeError:
        return PhysiopipeError(
            f"{self.locate(relative)} cannot be read ({error.strerror}): look at its permissions and the disk."
        )


def remove_abandoned(targets: Iterable[Path]) -> None:
    """Remove what killed processes left of these files: `<name>.<process>.partial`, where no such process lives.

    On a cluster the process may live on another node: what was written to in the last ten minutes stays.
    """
    names: dict[Path, set[str]] = {}
    for target in targets:
        names.setdefault(target.parent, set()).add(target.name)
    for folder, here in names.items():
        for path in folder.glob("*.partial"):
            name, _, process = path.name.removesuffix(".partial").rpartition(".")
            if name in here and process.isdecimal() and not _lives(int(process)) and _is_still(path):
                path.unlink(missing_ok=True)


def _is_still(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_ctime > STILL_S
    except FileNotFoundError:
        return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True
