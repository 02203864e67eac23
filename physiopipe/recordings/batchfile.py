"""One file that holds a batch of recordings on their way between rules.

A zip file of uncompressed `.npy` members and one `meta.json`, last: `numpy.load` opens it too. Its dates are fixed, so
equal recordings are equal bytes. Signals are written and read one at a time: memory stays at one recording's size.
"""

import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array, write_array

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file
from physiopipe.recordings.recording import Recording

_FORMAT = 1
_META = "meta.json"
_DAMAGE = (zipfile.BadZipFile, KeyError, ValueError, EOFError, RuntimeError, OverflowError, OSError, struct.error)
_META_FIELDS = tuple(f.name for f in fields(Recording) if f.name != "signal")


class BatchWriter:
    """Context manager that writes a batch; `path` appears whole on success and not at all on failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recordings: list[dict[str, Any]] = []
        self._rejected: list[list[str]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self._path))
            self._zip = stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED))
            self._stack = stack.pop_all()
        return self

    def add(self, recording: Recording) -> None:
        """Append a recording; the same record may come several times, at different rates."""
        if recording.signal.dtype != np.float32 or recording.signal.ndim != 2:
            raise ValueError(f"expected float32 (channel, time), got {recording.signal.dtype} {recording.signal.shape}")
        with self._zip.open(_member(f"{len(self._recordings):06d}.npy"), "w", force_zip64=True) as member:
            write_array(member, np.ascontiguousarray(recording.signal), allow_pickle=False)  # type: ignore[no-untyped-call]
        self._recordings.append({name: getattr(recording, name) for name in _META_FIELDS})

    def reject(self, record: str, reason: str) -> None:
        """Note a record that is not in the batch, and why."""
        self._rejected.append([record, reason])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            meta = {"format": _FORMAT, "recordings": self._recordings, "rejected": self._rejected}
            try:
                self._zip.writestr(_member(_META), json.dumps(meta, sort_keys=True, ensure_ascii=False))
            except BaseException as fault:
                self._stack.__exit__(type(fault), fault, fault.__traceback__)
                raise
        return self._stack.__exit__(kind, error, trace)


def read_batch(path: Path) -> Iterator[Recording]:
    """Yield the recordings of a batch in the order written, each with a writable signal of its own."""
    with _open(path) as archive:
        for number, meta in enumerate(_meta(archive, path)["recordings"]):
            try:
                with archive.open(f"{number:06d}.npy") as member:
                    signal: npt.NDArray[np.float32] = read_array(member, allow_pickle=False)  # type: ignore[no-untyped-call]
                    member.read(1)  # at its end zipfile compares the checksum
            except _DAMAGE as error:
                raise _damaged(path, error) from None
            known: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in meta.items()
            }
            yield Recording(signal=signal, **known)


def read_rejects(path: Path) -> list[tuple[str, str]]:
    """(record, reason) of every record that was rejected on the way to this batch."""
    with _open(path) as archive:
        return [(record, reason) for record, reason in _meta(archive, path)["rejected"]]


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (snakemake does).") from None
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _meta(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(archive.read(_META))
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    if meta.get("format") != _FORMAT:
        raise _damaged(path, ValueError(f"format {meta.get('format')!r}, expected {_FORMAT}"))
    return meta


def _damaged(path: Path, error: Exception) -> PhysiopipeError:
    return PhysiopipeError(f"{path} is not a whole batch of recordings ({error}): delete it and run again.")


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system = 3  # Unix, wherever it is written
    info.external_attr = 0o644 << 16
    return info
