"""How the files of a published tree come here: one class for each kind of address, checked by checksum whichever it is.

A file lies under `<name>.partial` until its checksum is right. Here: what they share; `recordings.tree.open_tree`
chooses by address between `http_tree` and `folder_tree`.
"""

import re
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file, shorten

LARGEST_SUMS_BYTES = 64 << 20  # SHA256SUMS.txt of the Challenge 2021: 19 MB for 176,000 files
LARGEST_LIST_BYTES = 4 << 20  # RECORDS names at most some thousand folders or records
LARGEST_HEADER_BYTES = 1 << 20
LARGEST_FILE_BYTES = 1 << 30  # the longest recording of the Challenge 2021 takes 11 MB
LONGEST_PATH = 1000
TRIES_OF_CONTENT = 3
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
