"""Files that are kept for later runs, each with its sha256 beside it, which is verified whenever the file is read.

`<name>.sha256` is in the format of sha256sum, so `sha256sum --check *.sha256` tells the same as this module.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from physiopipe.files import atomic_file, sha256_file


def checksum_of(path: Path) -> Path:
    """Where the sha256 of a kept file is."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def kept_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which becomes `path` on success, whole or not at all, with its sha256 beside it.

    Where a run is killed between the two, the file has no checksum and counts as absent.
    """
    beside = checksum_of(path)
    with atomic_file(path) as temporary:
        yield temporary
        digest = sha256_file(temporary)
        beside.unlink(missing_ok=True)  # an older file's: it would accuse the new one
    with atomic_file(beside) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="ascii")


def seal(path: Path) -> None:
    """Keep the sha256 of a file that was written by other means beside it."""
    with atomic_file(checksum_of(path)) as temporary:
        temporary.write_text(f"{sha256_file(path)}  {path.name}\n", encoding="ascii")


def read_kept(path: Path) -> bytes | None:
    """The bytes that were kept, or None where there are none.

    A file that is not as it was written is named on stderr and removed, so that it is made anew.
    """
    try:
        content, said = path.read_bytes(), checksum_of(path).read_bytes()
    except FileNotFoundError:
        return None
    if said == f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode():
        return content
    print(f"{path} is damaged: its sha256 is not the one it was kept with. It is removed and made anew.",
          file=sys.stderr, flush=True)  # fmt: skip
    for damaged in (checksum_of(path), path):
        damaged.unlink(missing_ok=True)
    return None
