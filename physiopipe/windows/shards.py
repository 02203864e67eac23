"""Zarr 3 arrays of windows whose chunks lie uncompressed inside shards, written in one pass and mapped for reading.

An array has shape (n, channel, patch, sample); an inner chunk is one window; a shard is a file of SHARD_WINDOWS
chunks, one after another, and an index (offset and length of each, then a CRC-32C) at its end. zarr-python reads the
same files. Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

import json
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
        shape = (self.windows, *self._window_shape)
        sharding = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [1, *self._window_shape],
                "codecs": [_LITTLE],
                "index_codecs": [_LITTLE, {"name": "crc32c"}],
                "index_location": "end",
            },
        }
        _write_metadata(self._folder, shape, (SHARD_WINDOWS, *self._window_shape), "int16", 0, [sharding])

    def _end_shard(self, windows: int) -> None:
        assert self._shard is not None
        index = np.full((SHARD_WINDOWS, 2), _ABSENT, dtype="<u8")
        index[:windows, 0] = np.arange(windows, dtype=np.uint64) * np.uint64(self._window_bytes)
        index[:windows, 1] = self._window_bytes
        encoded = index.tobytes()
        self._shard.write(encoded + google_crc32c.value(encoded).to_bytes(4, "little"))
        self._shard.close()
        self._shard = None


def write_vector(folder: Path, values: npt.NDArray[np.float32]) -> None:
    """Write a float32 (n,) Zarr array as one uncompressed chunk."""
    folder.mkdir(parents=True)
    if len(values):
        (folder / "c.0").write_bytes(np.ascontiguousarray(values, dtype="<f4").tobytes())
    _write_metadata(folder, (len(values),), (max(len(values), 1),), "float32", 0.0, [_LITTLE])


def read_vector(folder: Path) -> npt.NDArray[np.float32]:
    """Read what `write_vector` wrote."""
    length = _metadata(folder)["shape"][0]
    if length == 0:
        return np.zeros(0, np.float32)
    values = np.fromfile(folder / "c.0", dtype="<f4")
    if len(values) != length:
        raise _damaged(folder / "c.0", f"{length} values", f"{len(values)}")
    return values


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the metadata of a Zarr group."""
    content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def map_windows(folder: Path) -> list[npt.NDArray[np.int16]]:
    """Map every shard of an array: one read-only int16 (k, channel, patch, sample) a shard, k = 1024 but in the last.

    Raises:
        PhysiopipeError: a shard is cut short, its index is damaged, or its chunks are not stored one after another.
    """
    metadata = _metadata(folder)
    total, *window_shape = metadata["shape"]
    shard_windows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
    return [
        _map_shard(
            folder / _shard_name(start // shard_windows), min(shard_windows, total - start), shard_windows, window_shape
        )
        for start in range(0, total, shard_windows)
    ]


def _map_shard(path: Path, windows: int, capacity: int, window_shape: list[int]) -> npt.NDArray[np.int16]:
    window_bytes = 2 * int(np.prod(window_shape))
    index_bytes = capacity * 16
    expected = windows * window_bytes + index_bytes + 4
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise _damaged(path, f"a shard of {windows} windows", "no file") from None
    if found != expected:
        raise _damaged(path, f"{expected} bytes ({windows} windows and their index)", f"{found}")
    with path.open("rb") as shard:
        shard.seek(windows * window_bytes)
        encoded, checksum = shard.read(index_bytes), shard.read(4)
    if google_crc32c.value(encoded).to_bytes(4, "little") != checksum:
        raise _damaged(path, "an index that matches its checksum", "another one")
    index = np.frombuffer(encoded, dtype="<u8").reshape(capacity, 2)[:windows]
    contiguous = np.arange(windows, dtype=np.uint64) * np.uint64(window_bytes)
    if not (np.array_equal(index[:, 0], contiguous) and np.all(index[:, 1] == window_bytes)):
        raise _damaged(path, "windows one after another", "another order")
    mapped: npt.NDArray[np.int16] = np.memmap(path, dtype="<i2", mode="r", shape=(windows, *window_shape))
    return mapped


def _shard_name(number: int) -> str:
    return f"c.{number}.0.0.0"


def _write_metadata(
    folder: Path, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str, fill: float, codecs: list[dict[str, Any]]
) -> None:
    content = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {},
    }
    (folder / "zarr.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder / "zarr.json", "the metadata of a Zarr array", str(error)) from None
    return content


def _damaged(path: Path, expected: str, found: str) -> PhysiopipeError:
    return PhysiopipeError(
        f"{path}: expected {expected}, found {found}. Delete the cohort's folder under data/windows and the part it is "
        "linked from under data/parts, then run `snakemake` again."
    )
