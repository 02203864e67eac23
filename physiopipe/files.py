"""Files that appear whole or not at all, locks that die with their holder, and digests.

Standard library only: every verb imports this module.
"""

import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from physiopipe.errors import PhysiopipeError

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, else removed.

    What killed runs left of the same file is removed too: its writer's lock has died with it. A file that is soon
    read and removed again need not be durable: it never waits for the disk, and a power cut may cut it short.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        _remove_abandoned(left)
    with _names_place(path), _locked_temporary(path) as temporary:
        try:
            yield temporary
            if durable:
                _sync(temporary)
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 would lock colleagues out of a shared folder
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _locked_temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`, under the kernel's lock as long as it is in use."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else another process took it for an abandoned one just before
                yield Path(name)
                return
        finally:
            os.close(handle)


def _remove_abandoned(temporary: Path) -> None:
    try:
        with temporary.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink(missing_ok=True)
    except OSError:
        return  # somebody writes it, has finished it, or it is not ours to remove


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it is synced and takes the place of `path`, else it is
    removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed run left; the caller holds the lock on `path`
    with _names_place(path):
        temporary.mkdir()
        try:
            yield temporary
            for written in (*temporary.rglob("*"), temporary):
                _sync(written)
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk: a power cut then leaves them whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def full_disk(error: BaseException) -> OSError | None:
    """The system's word that no space is left, where that is behind `error`."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _FULL_DISK:
            return found
        found = found.__cause__ or found.__context__
    return None


@contextmanager
def _names_place(path: Path) -> Iterator[None]:
    """A refused write does not say where: let a full disk's error name `path`."""
    try:
        yield
    except Exception as error:
        full = full_disk(error)
        if full is not None and not full.filename:
            full.filename = str(path)
        raise


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the kernel's lock on `path` (waiting for another holder, and saying so); it ends with the process.

    `path` is the lock file itself, kept after use: removing it would let two holders in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another process is at work under {path}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_json(path: Path, content: Any) -> None:
    """Write `content` as sorted, indented JSON, atomically: equal contents are equal bytes."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier step wrote; a missing or broken one is a plain error."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (`dvc repro` does).") from None
    except json.JSONDecodeError as error:
        raise PhysiopipeError(f"{path} is not JSON ({error}): delete it and run again.") from None


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def checksum_file(path: Path, like: str) -> str:
    """Checksum of a file's bytes in the form of a published one: `md5:` and an MD5, or a sha256 alone."""
    if not like.startswith("md5:"):
        return sha256_file(path)
    with path.open("rb") as handle:
        return "md5:" + hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_json(content: Any) -> str:
    """Hexadecimal sha256 of a JSON value's canonical text: the name of whatever `content` determines."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def shorten(text: str, most: int = 200) -> str:
    """`text` on one line and of at most so many characters: what strangers wrote, before it gets into a table."""
    cut = text[: 4 * most]  # enough to be longer than `most`, however it ends
    line = "".join(letter if letter.isprintable() else " " for letter in cut).strip()
    return line if len(line) <= most and len(cut) == len(text) else f"{line[: most - 3]}..."


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """The content with a digest of itself, by which a later change of it is seen."""
    rest = {key: value for key, value in content.items() if key != "content_sha256"}
    return rest | {"content_sha256": sha256_json(rest)}


def is_sealed(content: dict[str, Any]) -> bool:
    """Whether a content is as `sealed` left it."""
    return content == sealed(content)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy where the file system cannot link; `target` appears whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}.partial"
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
