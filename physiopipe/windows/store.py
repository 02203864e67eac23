"""Reading a cohort's windows: the index as a table, windows gathered from mapped shards."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.errors import PhysiopipeError
from physiopipe.files import read_json
from physiopipe.windows.shards import map_windows, read_vector


class WindowStore:
    """A cohort under data/windows. Nothing is cached in the process: shards are mapped, the kernel keeps the pages."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "manifest.json").exists():
            raise PhysiopipeError(
                f"{folder} holds no cohort (manifest.json is missing): run `snakemake --cores 2` or `dvc repro` first."
            )
        self.folder = folder
        self._shards: dict[str, list[npt.NDArray[np.int16]]] = {}
        self._scales: dict[str, npt.NDArray[np.float32]] = {}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.folder / "manifest.json")
        return content

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row a window, see `physiopipe.windows.part.INDEX_SCHEMA`; names are categories."""
        return pd.read_parquet(self.folder / "index.parquet")

    def attributes(self, modality: str, rate_hz: int) -> dict[str, Any]:
        """Attributes of the first part of a modality and rate: unit, channels, rate_hz, ..."""
        for array in self.manifest["arrays"]:
            if array["path"].startswith(f"{modality}-{rate_hz}hz/"):
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
        arrays, array_of, row_in_array, valid = self._places
        places, inner = array_of[rows], row_in_array[rows]
        if len(rows) == 0:
            raise ValueError("gather needs at least one row")
        first = self._mapped(arrays[places[0]])[0]
        windows = np.empty((len(rows), *first.shape[1:]), dtype=np.int16)
        scale = np.empty(len(rows), dtype=np.float32)
        for place in np.unique(places):
            shards = self._mapped(arrays[place])
            capacity = len(shards[0])
            wanted = np.flatnonzero(places == place)
            scale[wanted] = self._scales[arrays[place]][inner[wanted]]
            shard_of, row_of = np.divmod(inner[wanted], capacity)
            for at, shard, row in zip(wanted.tolist(), shard_of.tolist(), row_of.tolist(), strict=True):
                windows[at] = shards[shard][row]
        return windows, scale, valid[rows]

    @cached_property
    def _places(
        self,
    ) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int16]]:
        """Paths of the arrays, and for each row of the index: which array, which row in it, valid patches."""
        index = self.index
        keys = (
            index["modality"].astype(str)
            + "-"
            + index["rate_hz"].astype(str)
            + "hz/part-"
            + index["part"].astype(str)
            + ".zarr"
        )
        codes, paths = pd.factorize(keys)
        return (
            [str(path) for path in paths],
            codes.astype(np.int64),
            index["row"].to_numpy(np.int64),
            index["valid_patches"].to_numpy(np.int16),
        )

    def _mapped(self, array: str) -> list[npt.NDArray[np.int16]]:
        if array not in self._shards:
            self._shards[array] = map_windows(self.folder / array / "windows")
            self._scales[array] = read_vector(self.folder / array / "scale")
        return self._shards[array]
