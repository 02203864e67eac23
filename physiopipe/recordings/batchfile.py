"""One file that holds a batch of recordings on their way between rules.

The arrays of stacks of recordings one after another (signals float32 or int16, quality blocks float32, little endian),
a JSON text that describes them, and a trailer: the text's length and CRC-32C, and a mark. A stack's own CRC-32C stands
in the text. Nothing in it depends on when or where it was written, so equal stacks are equal bytes. They are written
and read one at a time: memory stays at one.
"""

import json
import math
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import google_crc32c
import numpy as np

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, shorten
from physiopipe.recordings.recording import OF_EACH, RecordingBatch, Rejected

_TRAILER = struct.Struct("<QI8s")  # length and CRC-32C of the text, the mark
_MARK = b"PPBATCH5"
SUFFIX = ".batch"
_KINDS = {np.dtype(np.float32): "<f4", np.dtype(np.int16): "<i2"}
_ARRAYS = ("signal", "blocks")
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, struct.error)


class BatchWriter:
    """Context manager that writes a batch; `path` appears whole on success and not at all on failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stacks: list[dict[str, Any]] = []
        self._rejected: list[tuple[str, str, bool]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self._path, durable=False))
            self._file = stack.enter_context(temporary.open("wb"))
            self._stack = stack.pop_all()
        return self

    def add(self, item: RecordingBatch | Rejected) -> None:
        """Append recordings (the same records may come several times, at different rates), or note a rejected one."""
        if isinstance(item, Rejected):
            # Both go on into rejected.csv; a reason may quote what a stranger wrote, of any length
            self._rejected.append((shorten(item.record), shorten(item.reason), item.absent))
            return
        if item.signal.ndim != 3:
            raise ValueError(f"expected a signal (recording, channel, time), got shape {item.signal.shape}")
        checksum, arrays = 0, []
        for name in _ARRAYS:
            values = getattr(item, name)
            if values is None:
                continue
            kind = _KINDS.get(values.dtype)
            if kind is None:
                raise ValueError(f"expected {name} as float32 or int16, got {values.dtype}")
            data = np.ascontiguousarray(values, dtype=kind).reshape(-1).view(np.uint8)
            self._file.write(data.data)
            checksum = google_crc32c.extend(checksum, data)
            arrays.append([name, kind, values.shape])
        about = {name: value for name, value in vars(item).items() if name not in _ARRAYS}
        self._stacks.append({"arrays": arrays, "crc32c": checksum, "about": about})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            try:
                content = {"stacks": self._stacks, "rejected": self._rejected}
                text = json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
                self._file.write(text + _TRAILER.pack(len(text), _checksum(text), _MARK))
            except BaseException as fault:
                self._stack.__exit__(type(fault), fault, fault.__traceback__)
                raise
        return self._stack.__exit__(kind, error, trace)


def read_batch(path: Path) -> Iterator[RecordingBatch | Rejected]:
    """Yield the rejected records of a batch, then its stacks in the order written, with arrays of their own.

    Raises:
        PhysiopipeError: no such file, or its bytes are not those that were written.
    """
    with _open(path) as file:
        with _plain_errors(path):
            content = _content(file)
        for record, reason, absent in content["rejected"]:
            yield Rejected(record, reason, absent)
        file.seek(0)
        for entry in content["stacks"]:
            with _plain_errors(path):
                stack = _read_stack(file, entry)
            yield stack


def _read_stack(file: BufferedReader, entry: dict[str, Any]) -> RecordingBatch:
    checksum = 0
    known: dict[str, Any] = dict(entry["about"])
    known["channels"] = tuple(known["channels"])
    for name in OF_EACH:
        known[name] = tuple(tuple(value) if isinstance(value, list) else value for value in known[name])
    for name, kind, shape in entry["arrays"]:
        values = np.empty(shape, dtype=kind)
        data = values.reshape(-1).view(np.uint8)
        if file.readinto(data.data) != values.nbytes:
            raise EOFError("it ends within a stack")
        checksum = google_crc32c.extend(checksum, data)
        known[name] = values
    if checksum != entry["crc32c"]:
        raise ValueError("a stack does not match its checksum")
    return RecordingBatch(**known)


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (snakemake does).") from None


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Say what is wrong with the bytes of `path`, or that they could not be had."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    except OSError as error:  # tells of the disk and not of the file, which stays
        raise PhysiopipeError(f"{path} cannot be read ({error}): look at the disk, then run again.") from None


def _content(file: BufferedReader) -> dict[str, Any]:
    end = file.seek(0, 2) - _TRAILER.size
    if end < 0:
        raise ValueError(f"it ends after {end + _TRAILER.size} bytes")
    file.seek(end)
    length, checksum, mark = _TRAILER.unpack(file.read(_TRAILER.size))
    if mark != _MARK or length > end:
        raise ValueError(f"it ends with {mark!r}, expected {_MARK!r}")
    file.seek(end - length)
    text = file.read(length)
    if _checksum(text) != checksum:
        raise ValueError("its description does not match its checksum")
    content: dict[str, Any] = json.loads(text.decode("utf-8", "surrogatepass"))
    arrays = sum(_bytes_of(entry) for entry in content["stacks"])
    if arrays != end - length:
        raise ValueError(f"its arrays take {end - length} bytes, expected {arrays}")
    return content


def _bytes_of(entry: dict[str, Any]) -> int:
    total = 0
    for name, kind, shape in entry["arrays"]:
        if name not in _ARRAYS or kind not in _KINDS.values():
            raise ValueError(f"an array {name!r} of type {kind!r}")
        total += np.dtype(kind).itemsize * math.prod(shape)
    return total


def _checksum(data: bytes) -> int:
    return int(google_crc32c.value(data))


def _damaged(path: Path, error: Exception) -> PhysiopipeError:
    if path.suffix == SUFFIX:  # ours; as it is no use to anybody, the next run had better make it again
        path.unlink(missing_ok=True)
        return PhysiopipeError(
            f"{path} was not a whole batch of recordings ({error}), as a power cut may leave one. "
            "It is removed: run again."
        )
    return PhysiopipeError(f"{path} is not a batch of recordings ({error}): expected a file *{SUFFIX}.")
