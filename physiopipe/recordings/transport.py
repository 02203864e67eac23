"""How the files of a published tree come here: one class for each kind of address, checked by checksum whichever it is.

A file lies under `<name>.partial` until its checksum is right. Here: what they share, and a tree on a disk.
"""

import os
import re
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file

_PART_OF_A_PATH = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.+-]{1,200}")


class MissingFile(Exception):  # noqa: N818 - a finding about the tree, told in rejected.csv
    """A file that the tree's lists name and its server does not have."""


class Connection(ABC):
    """One connection to a tree."""

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
        """Bring a file to `target`; its checksum is compared before it gets this name. Raises as `bring` does.

        Args:
            checksum: a sha256, or `md5:` and an MD5.
        """
        partial = target.with_name(f"{target.name}.partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        found = ""
        for _ in range(2):  # what is wrong may be an old partial file's beginning: try once more from nothing
            self.bring(relative, partial)
            found = checksum_file(partial, checksum)
            if found == checksum:
                partial.replace(target)
                partial.unlink(missing_ok=True)  # renaming one link of a file to another link of it does nothing
                return
            partial.unlink()
        kind = "" if ":" in checksum else "sha256 "
        raise PhysiopipeError(
            f"{self.locate(relative)} has not the bytes that were published, twice: expected {kind}{checksum}, "
            f"found {found}. Nothing of it was kept. Run again later; if it stays so, compare the file with the "
            "address in docs/data.md, or take another mirror as data.challenge.base_url."
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
            "challenge-2021/1.0.3, with RECORDS and SHA256SUMS.txt. Correct data.challenge.base_url."
        ) from None


def check_relative(path: str, where: str) -> str:
    """`path` if it stays below the folder it is joined to; else PhysiopipeError naming the list it came from."""
    if not path or not all(_PART_OF_A_PATH.fullmatch(part) for part in path.split("/")):
        raise PhysiopipeError(
            f"{where} names {path!r}: expected a plain relative path of letters, digits, `_`, `-`, `.`, `+` and `/`. "
            "It is refused; is data.challenge.base_url the tree that you meant?"
        )
    return path


class FolderTree(Tree):
    """A tree on a disk: its files are hard-linked where that is possible, else copied."""

    remote = False

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise PhysiopipeError(
                f"data.challenge.base_url is {str(root)!r}, and no such folder exists: expected the folder that holds "
                "RECORDS, SHA256SUMS.txt and training/, or an https:// address."
            )
        self.root = root
        self.base_url = str(root)

    @contextmanager
    def connect(self, stop: threading.Event | None = None) -> Iterator[Connection]:  # noqa: ARG002 - never waits
        yield _FolderConnection(self.root)

    def bytes_needed(self, relative: str, folder: Path) -> int | None:
        try:
            found = (self.root / relative).stat()
        except OSError:
            return 0
        return 0 if found.st_dev == folder.stat().st_dev else found.st_size


class _FolderConnection(Connection):
    def __init__(self, root: Path) -> None:
        self._root = root

    def locate(self, relative: str) -> str:
        return str(self._root / relative)

    def bring(self, relative: str, partial: Path) -> None:
        partial.unlink(missing_ok=True)
        source = (self._root / relative).resolve()  # the file itself: a link to a symbolic link would dangle
        if not source.is_file():
            raise MissingFile("no such file")
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)

    def read(self, relative: str) -> bytes:
        try:
            return (self._root / relative).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise MissingFile("no such file") from None
        except OSError as error:
            raise PhysiopipeError(
                f"{self.locate(relative)} cannot be read ({error.strerror}): look at its permissions and the disk."
            ) from None
