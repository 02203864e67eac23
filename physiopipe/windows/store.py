"""Reading a cohort's windows: the index as a table, windows gathered from mapped shards."""

import resource
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.errors import PhysiopipeError
from physiopipe.files import is_sealed, read_json
from physiopipe.windows.checksums import Checked, damaged
from physiopipe.windows.identity import check_identity
from physiopipe.windows.part import index_schema
from physiopipe.windows.zarr_shards import ShardedReader, read_vector

_OTHER_FILES = 256  # open files left to the rest of the process
_RAISED_FILES = 65536


class _Places(NamedTuple):
    """Where each row of the index lies: array `arrays[array_of[i]]`, row `row_of[i]` of it."""

    arrays: list[str]
    array_of: npt.NDArray[np.int64]
    row_of: npt.NDArray[np.int64]


class _Known(NamedTuple):
    """What is known of each row of the index once its array was opened, so that a batch is one lookup.

    It is window `row_of[i]` of the shard that has number `shard_of[i]` in the whole store, and `scale[i]` one unit.
    """

    shard_of: npt.NDArray[np.int64]
    row_of: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float32]


def read_index(path: Path) -> pd.DataFrame:
    """Read an index; names are categories, which take far less memory than strings."""
    names = [column.name for column in index_schema(()) if pa.types.is_dictionary(column.type)]
    frame: pd.DataFrame = pq.read_table(path, read_dictionary=names).to_pandas()
    return frame


class WindowStore:
    """A cohort under data/windows. Nothing is cached in the process: shards are mapped, the kernel keeps the pages.

    Each file is compared with its checksum in the manifest when it is first read.

    Raises:
        PhysiopipeError: there is no cohort, its parts are not those that its manifest states, or (when it is read) a
            file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "manifest.json").exists():
            raise PhysiopipeError(
                f"{folder} holds no cohort (manifest.json is missing): run `snakemake --cores 2` or `dvc repro` first."
            )
        self.folder = folder
        check_identity(self.manifest, folder / "manifest.json")
        self._checked = Checked(folder, self.manifest)
        self._arrays: dict[int, ShardedReader] = {}
        self._shards: list[tuple[ShardedReader, int]] = []  # by number in the whole store: array, number in the array
        self._mapped: dict[int, npt.NDArray[np.int16]] = {}
        self._most_shards = _mappable_files()

    def __reduce__(self) -> tuple[type["WindowStore"], tuple[Path]]:
        """A copy in another process maps the files itself."""
        return WindowStore, (self.folder,)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.folder / "manifest.json")
        if "content_sha256" in content and not is_sealed(content):
            raise damaged([self.folder / "manifest.json"])
        return content

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row a window, see `physiopipe.windows.part.index_schema`; names are categories."""
        self._checked.compare(self.folder / "index.parquet")
        return read_index(self.folder / "index.parquet")

    def attributes(self, modality: str, rate_hz: int) -> dict[str, Any]:
        """Attributes of the first part of a modality and rate: unit, channels, rate_hz, ..."""
        for array in self.manifest["arrays"]:
            if array["path"].startswith(f"{modality}-{rate_hz}hz/"):
                self._checked.compare(self.folder / array["path"] / "zarr.json")
                found: dict[str, Any] = read_json(self.folder / array["path"] / "zarr.json")["attributes"]
                return found
        raise PhysiopipeError(f"{self.folder} has no {modality} at {rate_hz} Hz.")

    def rows(self, modality: str, rates_hz: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Rows of the index of one modality at some rates, in stored order."""
        chosen = (self.index["modality"] == modality) & self.index["rate_hz"].isin(rates_hz)
        return np.flatnonzero(chosen.to_numpy())

    def gather(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32], npt.NDArray[np.int16]]:
        """Windows of these rows of the index (one modality), in their order.

        Returns:
            int16 (n, channel, patch, 200); float32 (n,) one unit of it; int16 (n,) leading valid patches.
        """
        return self.samples(rows), *self.scale_and_valid(rows)

    def samples(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        """The first of what `gather` returns."""
        known = self._known(rows)
        shapes = {self._arrays[array].window_shape for array in np.unique(self._places.array_of[rows]).tolist()}
        if len(shapes) != 1:
            raise ValueError(f"gather takes rows of one modality, at least one; found windows of shapes {shapes}")
        windows = np.empty((len(rows), *shapes.pop()), dtype=np.int16)
        numbers, places = known.shard_of[rows].tolist(), known.row_of[rows].tolist()
        mapped = self._mapped
        for at, (number, row) in enumerate(zip(numbers, places, strict=True)):
            shard = mapped.get(number)
            windows[at] = (self._map(number) if shard is None else shard)[row]
        return windows

    def scale_and_valid(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]:
        """What `gather` returns beside the windows, without reading these."""
        return self._known(rows).scale[rows], self._valid_patches[rows]

    @cached_property
    def _places(self) -> _Places:
        keys = ["modality", "rate_hz", "part"]
        array_of = self.index.groupby(keys, observed=True, sort=False).ngroup()
        first = self.index[keys].drop_duplicates()  # in order of appearance, as the groups are numbered
        return _Places(
            [f"{modality}-{rate}hz/part-{part}.zarr" for modality, rate, part in first.itertuples(index=False)],
            np.asarray(array_of, dtype=np.int64),
            self.index["row"].to_numpy(np.int64),
        )

    @cached_property
    def _valid_patches(self) -> npt.NDArray[np.int16]:
        return self.index["valid_patches"].to_numpy(np.int16)

    @cached_property
    def _of_rows(self) -> _Known:
        count = len(self.index)
        return _Known(np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.float32))

    def _known(self, rows: npt.NDArray[np.int64]) -> _Known:
        """`_of_rows`, filled for all rows of the arrays that these rows lie in."""
        for array in np.unique(self._places.array_of[rows]).tolist():
            if array not in self._arrays:
                self._open(array)
        return self._of_rows

    def _open(self, array: int) -> None:
        folder = self.folder / self._places.arrays[array]
        for name in ("windows/zarr.json", "scale/zarr.json", "scale/c.0"):
            self._checked.compare(folder / name)
        reader = ShardedReader(folder / "windows", self._checked.compare)
        scales = read_vector(folder / "scale")
        rows = np.flatnonzero(self._places.array_of == array)
        places = self._places.row_of[rows]
        if not reader.windows == len(scales) == len(rows) > places.max(initial=-1):
            raise PhysiopipeError(
                f"{folder} holds {reader.windows} windows and {len(scales)} scales, the index names {len(rows)}:"
                f" delete {self.folder} and run `snakemake --cores 2` again."
            )
        shard, row = np.divmod(places, reader.shard_windows)
        known = self._of_rows
        known.shard_of[rows], known.row_of[rows], known.scale[rows] = len(self._shards) + shard, row, scales[places]
        self._shards += [(reader, number) for number in range(-(-reader.windows // reader.shard_windows))]
        self._arrays[array] = reader

    def _map(self, number: int) -> npt.NDArray[np.int16]:
        if len(self._mapped) >= self._most_shards:
            self._most_shards = _mappable_files(raise_limit=True)
        while len(self._mapped) >= self._most_shards:
            del self._mapped[next(iter(self._mapped))]  # the one mapped first
        reader, number_in_array = self._shards[number]
        mapped = reader.map_shard(number_in_array)
        self._mapped[number] = mapped
        return mapped


class StoredSamples:
    """Samples of some rows of the index, read when asked for: as an array int16 (n, channel, patch, 200) on disk.

    Takes an array of row numbers or a slice, as numpy does, and returns the windows in memory.
    """

    dtype = np.dtype(np.int16)

    def __init__(self, store: WindowStore, rows: npt.NDArray[np.int64]) -> None:
        self._store, self._rows = store, rows
        self.shape = (len(rows), *store.samples(rows[:1]).shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        rows = self._rows[chosen]
        return self._store.samples(rows) if len(rows) else np.empty((0, *self.shape[1:]), np.int16)


def _mappable_files(raise_limit: bool = False) -> int:
    """Shards that may be mapped at once: Python keeps a mapped file open, and the full corpus has over 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _RAISED_FILES if soft == resource.RLIM_INFINITY else soft
    most = _RAISED_FILES if hard == resource.RLIM_INFINITY else min(hard, _RAISED_FILES)
    if raise_limit and most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(soft - _OTHER_FILES, 8)
