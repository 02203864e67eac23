"""How the files of a published tree come here: one class for each kind of address, checked by checksum whichever it is.

A file lies under `<name>.partial` until its checksum is right. Here: what they share, and a tree on a disk;
`recordings.tree.open_tree` chooses by address.
"""

import errno
import os
import re
import shutil
import stat
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file, shorten

LARGEST_SUMS_BYTES = 64 << 20  # SHA256SUMS.txt of the Challenge 2021: 19 MB for 176,000 files
LARGEST_LIST_BYTES = 4 << 20  # RECORDS names at most some thousand folders or records
LARGEST_HEADER_BYTES = 1 << 20
LARGEST_FILE_BYTES = 1 << 30  # the longest recording of the Challenge 2021 takes 11 MB
LONGEST_PATH = 1000
TRIES_OF_CONTENT = 3
STILL_S = 600.0  # a file that has not changed for so long is written by nobody
_PART_OF_A_PATH = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.+-]{1,200}")


class UnusableFile(Exception):  # noqa: N818 - a finding about the tree, told in rejected.csv
    """A file that the tree's lists name and that cannot be had as published."""


class MissingFile(UnusableFile):
    """The server, or the folder, does not have it."""


class WrongContent(UnusableFile):
    """It has other bytes than those published, whenever it is asked for."""


def largest_bytes(relative: str) -> int:
    """The most bytes that a file of a tree may have, by its name: whatever is longer is no such file."""
    name = relative.rpartition("/")[2]
    if name == "SHA256SUMS.txt":
        return LARGEST_SUMS_BYTES
    if name == "RECORDS":
        return LARGEST_LIST_BYTES
    return LARGEST_HEADER_BYTES if name.endswith(".hea") else LARGEST_FILE_BYTES


def too_large(where: str, relative: str) -> PhysiopipeError:
    """What to say of a file that is longer than `largest_bytes`."""
    return PhysiopipeError(
        f"{where} is longer than the {largest_bytes(relative):,} bytes that such a file may have: nothing of it was "
        "kept. Is base_url the tree that you meant?"
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


class Connection(ABC):
    """One connection to a tree."""

    def partial_of(self, target: Path) -> Path:
        """Where a file lies until its checksum is right; the next run goes on with it."""
        return target.with_name(f"{target.name}.partial")

    @abstractmethod
    def bring(self, relative: str, partial: Path) -> None:
        """Make `partial` the whole file, going on from what it already holds where the server can.

        Raises:
            MissingFile: the tree has no such file.
            PhysiopipeError: it could not be had, after all the tries allowed.
        """

    @abstractmethod
    def read(self, relative: str) -> bytes:
        """The bytes of a small file; raises as `bring` does."""

    @abstractmethod
    def locate(self, relative: str) -> str:
        """Full address of a file, for messages."""

    def fetch(self, relative: str, target: Path, checksum: str) -> None:
        """Bring a file to `target`; its checksum is compared before it gets this name.

        Args:
            checksum: a sha256, or `md5:` and an MD5.

        Raises:
            WrongContent: its bytes are not those that were published, however often it is brought.
            UnusableFile, PhysiopipeError: as `bring`.
        """
        partial = self.partial_of(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        found = ""
        for _ in range(TRIES_OF_CONTENT):  # what is wrong may be an old partial file's beginning, or the way here
            self.bring(relative, partial)
            found = checksum_file(partial, checksum)
            if found == checksum:
                partial.replace(target)
                partial.unlink(missing_ok=True)  # renaming one link of a file to another link of it does nothing
                return
            partial.unlink()
        raise WrongContent(
            f"its checksum begins {found[:16]}, published is {checksum[:16]}; brought {TRIES_OF_CONTENT} times"
        )


class Tree(ABC):
    """A published tree of files below one address."""

    remote: bool
    base_url: str

    @abstractmethod
    def connect(self, stop: threading.Event | None = None) -> AbstractContextManager[Connection]:
        """Open one connection; once `stop` is set, it gives up waiting."""

    @abstractmethod
    def bytes_needed(self, relative: str, folder: Path) -> int | None:
        """Disk space that bringing a file to `folder` takes; None: not known before."""

    def read_bytes(self, relative: str) -> bytes:
        """The bytes of a small file that every such tree has; PhysiopipeError where this one has not."""
        with self.connect() as connection:
            return read_required(connection, relative)

    def read_text(self, relative: str) -> str:
        """The text of a small file that every such tree has; PhysiopipeError where this one has not."""
        return self.read_bytes(relative).decode("utf-8", errors="replace")


def read_required(connection: Connection, relative: str) -> bytes:
    """The bytes of a file without which a tree is none; PhysiopipeError where it is missing."""
    try:
        return connection.read(relative)
    except MissingFile as missing:
        raise PhysiopipeError(
            f"{connection.locate(relative)} is not there ({missing}): expected the root of a tree published like "
            "PhysioNet's, with RECORDS and SHA256SUMS.txt. Correct base_url."
        ) from None


def check_address(url: str) -> None:
    """Refuse an http or https address that holds a secret, or no host. The message never repeats the address.

    Raises:
        PhysiopipeError: a user name or a password (`//user:password@host`), a query (where keys stand), no host, a port
            that is no number.
    """
    what = "The address of the tree (base_url, or AWS_ENDPOINT_URL for s3://)"
    if "@" in url:
        raise PhysiopipeError(
            f"{what} holds `@`: expected an address without user name and password, since it is written into stamps "
            "and manifests. Credentials come from the environment (NETRC names a file) or from ~/.netrc: put the line "
            "`machine <host> login <user> password <password>` there, and take them out of the address."
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise PhysiopipeError(f"{what} names no host, or a port that is none: expected https://host/folder.")
    if "?" in url or "#" in url:
        raise PhysiopipeError(
            f"{what} holds `?` or `#`: expected the address of a folder, to which the files' paths are joined. "
            "Where a server wants a key, that comes from ~/.netrc."
        )


def check_relative(path: str, where: str) -> str:
    """`path` if it stays below the folder it is joined to; else PhysiopipeError naming the list it came from."""
    if not path or len(path) > LONGEST_PATH or not all(_PART_OF_A_PATH.fullmatch(part) for part in path.split("/")):
        raise PhysiopipeError(
            f"{where} names {shorten(path)!r}: expected a plain relative path of letters, digits and "
            "`_-.+/`. It is refused; is base_url the tree that you meant?"
        )
    return path


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
