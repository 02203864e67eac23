"""A list of a tree's files with MD5, for publishers that give none: `path,bytes,md5`. Standard library only."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable
from typing import NamedTuple

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.transport import check_relative

COLUMNS = ("path", "bytes", "md5")
_MD5 = re.compile(r"[0-9a-f]{32}")


class ListedFile(NamedTuple):
    """A file of a tree: its path below the root, its size in bytes and its MD5, 32 hexadecimal digits.

    An MD5 tells a damaged or exchanged file from the published one; it does not stand against an attacker who made
    both.
    """

    path: str
    size: int
    md5: str

    @property
    def entry(self) -> tuple[str, str]:
        """As an entry of `Batch.files`."""
        return self.path, f"md5:{self.md5}"


def described(path: str, content: bytes) -> ListedFile:
    """The entry of a file with this content."""
    return ListedFile(path, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def write_list(files: Iterable[ListedFile]) -> str:
    """The list as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(files)
    return text.getvalue()


def read_list(text: str, where: str) -> list[ListedFile]:
    """Read what `write_list` wrote; `where` names it in messages.

    Raises:
        PhysiopipeError: other columns, a path that leaves the tree or stands there twice, no size, no MD5.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise PhysiopipeError(f"{where} is no list of files: expected the columns {', '.join(COLUMNS)}.")
    files: dict[str, ListedFile] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(COLUMNS) or not row[1].isdecimal() or not _MD5.fullmatch(row[2]) or row[0] in files:
            raise PhysiopipeError(
                f"{where}, line {number}: expected the path of a file, named once, its bytes and its MD5, found {row}."
            )
        files[row[0]] = ListedFile(check_relative(row[0], where), int(row[1]), row[2])
    return list(files.values())
