"""The stamp of a finished download: which files are here, which records are not, and whether that still holds.

Light imports: every download job pays for them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file, read_json, write_json


class NotHere(NamedTuple):
    """A record of a batch that is not here whole.

    Attributes:
        record: its name.
        reason: what is the matter with it, for a person.
        absent: it is listed and was not to be had; false: its bytes are not those that were published.
    """

    record: str
    reason: str
    absent: bool


@dataclass(frozen=True)
class Downloaded:
    """What a download's stamp says: the records that are here whole, and those that are not."""

    records: tuple[str, ...]
    rejected: tuple[NotHere, ...]


def write_stamp(stamp: Path, listed: str, files: dict[str, str], downloaded: Downloaded) -> None:
    """Write a stamp: the digest of what the tree lists, path → checksum of each file that is here, the records."""
    rejected = [list(each) for each in downloaded.rejected]
    write_json(stamp, {"listed": listed, "files": files, "records": list(downloaded.records), "rejected": rejected})


def read_download(stamp: Path, raw_root: Path | None = None) -> Downloaded:
    """Read the stamp of a finished download; with `raw_root`, every file that it names must still have its sha256.

    Where one has not, the stamp is removed: the next run then fetches that file again, and it alone.

    Raises:
        PhysiopipeError: no such stamp, or a file was removed or changed since: a record that was downloaded must not
            turn into a rejected one.
    """
    content = read_json(stamp)
    try:
        changed = None if raw_root is None else _first_changed(content["files"], raw_root)
        downloaded = _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PhysiopipeError(f"{stamp} is not the stamp of a download: delete it and run again.") from None
    if changed is not None:
        stamp.unlink(missing_ok=True)
        raise PhysiopipeError(
            f"{changed} was removed or changed since it was downloaded: its bytes are not those that {stamp} names, "
            "which is removed. Run again, and what is missing or changed is fetched again."
        )
    return downloaded


def finished_download(stamp: Path, listed: str, raw_root: Path) -> Downloaded | None:
    """What an earlier run has left whole, or None."""
    if not stamp.exists():
        return None
    try:
        content = json.loads(stamp.read_text(encoding="utf-8"))
        if content["listed"] != listed or _first_changed(content["files"], raw_root) is not None:
            return None
        return _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _first_changed(files: dict[str, str], raw_root: Path) -> Path | None:
    """The first file of a stamp that is not there with its bytes."""
    for relative, checksum in files.items():
        path = raw_root / relative
        if not path.is_file() or checksum_or_error(path, checksum) != checksum:
            return path
    return None


def checksum_or_error(path: Path, like: str) -> str:
    """As `files.checksum_file`; what cannot be read is a plain error."""
    try:
        return checksum_file(path, like)
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): look at the disk or its permissions, then run again."
        ) from None


def _parse(content: Any) -> Downloaded:
    rejected = tuple(NotHere(str(record), str(reason), bool(absent)) for record, reason, absent in content["rejected"])
    return Downloaded(tuple(str(record) for record in content["records"]), rejected)


def files_in(stamp: Path) -> set[str]:
    """Files that a stamp names; none where it is no stamp."""
    try:
        return set(read_json(stamp)["files"])
    except (PhysiopipeError, KeyError, TypeError):
        return set()
