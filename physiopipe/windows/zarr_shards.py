"""Zarr 3 arrays of windows whose chunks lie uncompressed inside shards, written in one pass and mapped for reading.

An array has shape (n, channel, patch, sample); an inner chunk is one window; a shard is a file of SHARD_WINDOWS
chunks, one after another, and an index (offset and length of each, then a CRC-32C) at its end. zarr-python reads the
same files. Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError

SHARD_WINDOWS = 1024
_ABSENT = np.uint64(2**64 - 1)  # offset and length of a chunk that was never written
_LITTLE: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}


class ShardedWriter:
    """Appends windows int16 (k, channel, patch, sample) to a Zarr array; memory stays at one call's windows.

    The array can be read after `close`, which writes its metadata last.
    """

    def __init__(self, folder: Path, window_shape: tuple[int, ...]) -> None:
        self._folder = folder
        self._window_shape = window_shape
        self._window_bytes = 2 * int(np.prod(window_shape))
        self._shard: BinaryIO | None = None
        self.windows = 0
        folder.mkdir(parents=True)

    def append(self, windows: npt.NDArray[np.int16]) -> None:
        """Append windows; they must have the shape the array was opened with."""
        if windows.dtype != np.int16 or windows.shape[1:] != self._window_shape:
            raise ValueError(f"expected int16 (k, {self._window_shape}), got {windows.dtype} {windows.shape}")
        data = np.ascontiguousarray(windows, dtype="<i2")
        while len(data):
            if self._shard is None:
                self._shard = (self._folder / _shard_name(self.windows // SHARD_WINDOWS)).open("wb")
            taken = data[: SHARD_WINDOWS - self.windows % SHARD_WINDOWS]
            self._shard.write(taken.data)
            self.windows += len(taken)
            data = data[len(taken) :]
            if self.windows % SHARD_WINDOWS == 0:
                self._end_shard(SHARD_WINDOWS)

    def close(self) -> None:
        """End the last shard and write the array's metadata."""
        if self._shard is not None:
            self._end_shard(self.windows % SHARD_WINDOWS)
        _write_metadata(self._folder, _windows_metadata(self.windows, self._window_shape, SHARD_WINDOWS))

    def _end_shard(self, windows: int) -> None:
        assert self._shard is not None
        encoded = _shard_index(windows, SHARD_WINDOWS, self._window_bytes)
        self._shard.write(encoded + google_crc32c.value(encoded).to_bytes(4, "little"))
        self._shard.close()
        self._shard = None


def write_vector(folder: Path, values: npt.NDArray[np.float32]) -> None:
    """Write a float32 (n,) Zarr array as one uncompressed chunk."""
    folder.mkdir(parents=True)
    if len(values):
        (folder / "c.0").write_bytes(np.ascontiguousarray(values, dtype="<f4").tobytes())
    _write_metadata(folder, _array_metadata((len(values),), (max(len(values), 1),), "float32", 0.0, _LITTLE))


def read_vector(folder: Path) -> npt.NDArray[np.float32]:
    """Read what `write_vector` wrote."""
    length = _metadata(folder)["shape"][0]
    if length == 0:
        return np.zeros(0, np.float32)
    try:
        content = (folder / "c.0").read_bytes()
    except OSError as error:
        raise _damaged(folder / "c.0", f"{length} values", str(error)) from None
    if len(content) != 4 * length:
        raise _damaged(folder / "c.0", f"{4 * length} bytes ({length} values)", f"{len(content)}")
    return np.frombuffer(content, dtype="<f4")


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the metadata of a Zarr group."""
    _write_metadata(folder, {"zarr_format": 3, "node_type": "group", "attributes": attributes})


class ShardedReader:
    """Maps the shards of an array that `ShardedWriter` wrote; its metadata is checked at once, a shard when mapped.

    Attributes:
        windows: windows in the array.
        window_shape: (channel, patch, sample).
        shard_windows: windows in each shard but the last.

    Raises:
        PhysiopipeError: missing metadata, or an array of another type, codec or layout.
    """

    def __init__(self, folder: Path, compare: Callable[[Path, memoryview], None] | None = None) -> None:
        """`compare` is given the bytes of each shard that is mapped; it raises where they are damaged."""
        self._folder = folder
        self._compare = compare
        metadata = _metadata(folder)
        try:
            self.windows, *window_shape = (int(length) for length in metadata["shape"])
            self.window_shape = tuple(window_shape)
            self.shard_windows = int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])
        except (KeyError, TypeError, ValueError, IndexError):
            raise _damaged(folder / "zarr.json", "the metadata of a Zarr array of windows", "another") from None
        expected = _windows_metadata(self.windows, self.window_shape, self.shard_windows)
        for key, value in expected.items():
            if metadata.get(key) != value:
                raise _damaged(folder / "zarr.json", f"{key} {json.dumps(value)}", json.dumps(metadata.get(key)))

    def map_shard(self, number: int) -> npt.NDArray[np.int16]:
        """Map one shard read-only: int16 (k, channel, patch, sample). The mapping holds an open file.

        Raises:
            PhysiopipeError: the shard is missing or cut short, its index is damaged, or its windows lie apart.
        """
        path = self._folder / _shard_name(number)
        windows = min(self.shard_windows, self.windows - number * self.shard_windows)
        window_bytes = 2 * int(np.prod(self.window_shape))
        index_bytes = self.shard_windows * 16
        expected = windows * window_bytes + index_bytes + 4
        try:
            with path.open("rb") as shard:
                found = os.fstat(shard.fileno()).st_size
                if found != expected:
                    raise _damaged(path, f"{expected} bytes ({windows} windows and their index)", f"{found}")
                mapped = mmap.mmap(shard.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise _damaged(path, f"a shard of {windows} windows", "no file") from None
        encoded = mapped[windows * window_bytes : -4]
        if google_crc32c.value(encoded).to_bytes(4, "little") != mapped[-4:]:
            raise _damaged(path, "an index that matches its checksum", "another one")
        if encoded != _shard_index(windows, self.shard_windows, window_bytes):
            raise _damaged(path, "windows one after another", "another order")
        if self._compare is not None:
            self._compare(path, memoryview(mapped))
        # A plain array: slicing np.memmap, its subclass, costs as much as a tenth of copying a window
        flat = np.frombuffer(mapped, dtype="<i2", count=windows * window_bytes // 2)
        return flat.reshape(windows, *self.window_shape)


def _shard_name(number: int) -> str:
    return f"c.{number}.0.0.0"


def _shard_index(windows: int, capacity: int, window_bytes: int) -> bytes:
    """Offset and length of each of `windows` chunks one after another, then of absent ones up to `capacity`."""
    index = np.full((capacity, 2), _ABSENT, dtype="<u8")
    index[:windows, 0] = np.arange(windows, dtype=np.uint64) * np.uint64(window_bytes)
    index[:windows, 1] = window_bytes
    return index.tobytes()


def _windows_metadata(windows: int, window_shape: tuple[int, ...], shard_windows: int) -> dict[str, Any]:
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, *window_shape],
            "codecs": [_LITTLE],
            "index_codecs": [_LITTLE, {"name": "crc32c"}],
            "index_location": "end",
        },
    }
    return _array_metadata((windows, *window_shape), (shard_windows, *window_shape), "int16", 0, sharding)


def _array_metadata(
    shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str, fill: float, codec: dict[str, Any]
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": fill,
        "codecs": [codec],
        "attributes": {},
    }


def _write_metadata(folder: Path, content: dict[str, Any]) -> None:
    (folder / "zarr.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder / "zarr.json", "the metadata of a Zarr array", str(error)) from None
    return content


def _damaged(path: Path, expected: str, found: str) -> PhysiopipeError:
    return PhysiopipeError(
        f"{path}: expected {expected}, found {found}. Run `physiopipe verify --remove`, which takes all damage out of "
        "data/windows, data/parts and DVC's cache; then `dvc repro` (or `snakemake --cores 2`) makes it anew."
    )
