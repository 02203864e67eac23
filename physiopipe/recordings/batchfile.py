"""One file that holds a batch of recordings on their way between rules.

The signals one after another (float32 or int16, little endian), a JSON text that describes them, and a trailer: the
text's length and CRC-32C, and a mark. A signal's own CRC-32C stands in the text. Nothing in it depends on when or where
it was written, so equal recordings are equal bytes. Signals are written and read one at a time: memory stays at one
recording.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import google_crc32c
import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file
from physiopipe.recordings.recording import Recording

_TRAILER = struct.Struct("<QI8s")  # length and CRC-32C of the text, the mark
_MARK = b"PPBATCH2"
_KINDS = {"float32": "<f4", "int16": "<i2"}
_DESCRIBED = tuple(f.name for f in fields(Recording) if f.name != "signal")
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, OSError, struct.error)


class BatchWriter:
    """Context manager that writes a batch; `path` appears whole on success and not at all on failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recordings: list[dict[str, Any]] = []
        self._rejected: list[list[str]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self._path))
            self._file = stack.enter_context(temporary.open("wb"))
            self._stack = stack.pop_all()
        return self

    def add(self, recording: Recording) -> None:
        """Append a recording; the same record may come several times, at different rates."""
        kind = _KINDS.get(recording.signal.dtype.name)
        if kind is None or recording.signal.ndim != 2:
            found = f"{recording.signal.dtype} {recording.signal.shape}"
            raise ValueError(f"expected float32 or int16 (channel, time), got {found}")
        signal = np.ascontiguousarray(recording.signal, dtype=kind)
        data = signal.reshape(-1).view(np.uint8)
        self._file.write(data.data)
        about = {name: getattr(recording, name) for name in _DESCRIBED}
        self._recordings.append({"dtype": kind, "shape": signal.shape, "crc32c": _checksum(data), "about": about})

    def reject(self, record: str, reason: str) -> None:
        """Note a record that is not in the batch, and why."""
        self._rejected.append([record, reason])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            try:
                content = {"recordings": self._recordings, "rejected": self._rejected}
                text = json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
                self._file.write(text + _TRAILER.pack(len(text), _checksum(text), _MARK))
            except BaseException as fault:
                self._stack.__exit__(type(fault), fault, fault.__traceback__)
                raise
        return self._stack.__exit__(kind, error, trace)


def read_batch(path: Path) -> Iterator[Recording]:
    """Yield the recordings of a batch in the order written, each with a writable signal of its own.

    Raises:
        PhysiopipeError: no such file, or its bytes are not those that were written.
    """
    with _open(path) as file:
        content = _content(file, path)
        file.seek(0)
        for entry in content["recordings"]:
            try:
                signal = np.empty(entry["shape"], dtype=entry["dtype"])
                data = signal.reshape(-1).view(np.uint8)
                if file.readinto(data.data) != signal.nbytes or _checksum(data) != entry["crc32c"]:
                    raise ValueError("a signal does not match its checksum")
                about: dict[str, Any] = {
                    key: tuple(value) if isinstance(value, list) else value for key, value in entry["about"].items()
                }
            except _DAMAGE as error:
                raise _damaged(path, error) from None
            yield Recording(signal=signal, **about)


def read_rejects(path: Path) -> list[tuple[str, str]]:
    """(record, reason) of every record that was rejected on the way to this batch."""
    with _open(path) as file:
        return [(record, reason) for record, reason in _content(file, path)["rejected"]]


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (snakemake does).") from None


def _content(file: BufferedReader, path: Path) -> dict[str, Any]:
    try:
        file.seek(-_TRAILER.size, 2)
        end = file.tell()
        length, checksum, mark = _TRAILER.unpack(file.read(_TRAILER.size))
        if mark != _MARK or length > end:
            raise ValueError(f"it ends with {mark!r}, expected {_MARK!r}")
        file.seek(end - length)
        text = file.read(length)
        if _checksum(text) != checksum:
            raise ValueError("its description does not match its checksum")
        content: dict[str, Any] = json.loads(text.decode("utf-8", "surrogatepass"))
        signals = sum(_bytes_of(entry) for entry in content["recordings"])
        if signals != end - length:
            raise ValueError(f"its signals take {end - length} bytes, expected {signals}")
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    return content


def _bytes_of(entry: dict[str, Any]) -> int:
    if entry["dtype"] not in _KINDS.values():
        raise ValueError(f"a signal of type {entry['dtype']!r}")
    channels, samples = entry["shape"]
    return int(np.dtype(entry["dtype"]).itemsize * channels * samples)


def _checksum(data: bytes | npt.NDArray[np.uint8]) -> int:
    return int(google_crc32c.value(data))


def _damaged(path: Path, error: Exception) -> PhysiopipeError:
    return PhysiopipeError(f"{path} is not a whole batch of recordings ({error}): delete it and run again.")
