"""Reading windows from an object store (S3): shuffled batches as training draws them, against mapped local shards.

The shards are uploaded as they are, and read in these ways, in turn:

    mapped          `WindowStore`: shards on a local disk, mapped
    ranges          one range request a window (obstore), offsets computed: a shard's windows lie one after another
    zarr, obstore   the same through zarr-python's sharding codec and its obstore store
    zarr, s3fs      the same through zarr-python and fsspec
    whole shards    each shard fetched once, in one request, and kept in memory: what a copy to local disk costs

It needs `pip install s3fs obstore` and an S3 server that is given as address, key and secret:

    python benchmarks/object_store.py --windows data/windows/challenge --endpoint http://127.0.0.1:PORT \
        --key KEY --secret SECRET [--batches 4] [--rounds 3]

Each way reads the same windows; what it read is compared with the mapped ones. Last line: JSON, windows a second.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
import obstore
import s3fs
import zarr
import zarr.storage
from obstore.store import S3Store
from zarr.core.sync import sync

from physiopipe.params import check_params
from physiopipe.windows.pretraining import epoch_order, window_weights
from physiopipe.windows.store import WindowStore
from physiopipe.windows.zarr_shards import SHARD_WINDOWS

BUCKET, BATCH_WINDOWS = "windows", 256
Rows = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


class Remote:
    """The arrays of a cohort in a bucket: where each row of its index lies, and ways to fetch it."""

    def __init__(self, store: WindowStore, endpoint: str, key: str, secret: str, connections: int) -> None:
        self._store, self._connections = store, connections
        options = {"endpoint_url": endpoint}
        self._s3fs = s3fs.S3FileSystem(key=key, secret=secret, client_kwargs=options, asynchronous=True)
        self._files = s3fs.S3FileSystem(key=key, secret=secret, client_kwargs=options)
        self._obstore = S3Store(
            BUCKET, endpoint=endpoint, access_key_id=key, secret_access_key=secret, region="us-east-1",
            client_options={"allow_http": True},
        )  # fmt: skip
        self._pool = ThreadPoolExecutor(connections)
        self._arrays: dict[tuple[str, str], Any] = {}
        self._shape = store.samples(np.zeros(1, np.int64)).shape[1:]
        self._window_bytes = 2 * int(np.prod(self._shape))

    def upload(self) -> int:
        """Put every shard and its metadata into the bucket; return bytes."""
        if not self._files.exists(BUCKET):
            self._files.mkdir(BUCKET)
        files = sorted(path for path in self._store.folder.glob("ecg-*/*/windows/*") if path.is_file())
        for path in files:
            obstore.put(self._obstore, path.relative_to(self._store.folder).as_posix(), path)
        return sum(path.stat().st_size for path in files)

    def ranges(self, rows: Rows) -> Samples:
        """A request a window, all of a batch at once; no metadata is asked for."""

        def fetch(path: str, row: int) -> bytes:
            shard, place = divmod(row, SHARD_WINDOWS)
            start = place * self._window_bytes
            return bytes(
                obstore.get_range(self._obstore, f"{path}/c.{shard}.0.0.0", start=start, length=self._window_bytes)
            )

        fetched = self._pool.map(lambda place: fetch(*place), self._places(rows))
        return np.frombuffer(b"".join(fetched), dtype="<i2").reshape(-1, *self._shape)

    def through_zarr(self, library: str) -> Callable[[Rows], Samples]:
        """Zarr's own sharding codec over one of its remote stores."""

        def read(rows: Rows) -> Samples:
            places = self._places(rows)
            windows = np.empty((len(rows), *self._shape), np.int16)
            for path in {path for path, _ in places}:
                at = np.array([number for number, place in enumerate(places) if place[0] == path])
                windows[at] = self._array(library, path).oindex[np.array([places[number][1] for number in at])]
            return windows

        return read

    def whole_shards(self, rows: Rows) -> Samples:
        """Fetch each shard that the rows lie in, keep it in memory, and take the rows."""
        places = [(f"{path}/c.{row // SHARD_WINDOWS}.0.0.0", row % SHARD_WINDOWS) for path, row in self._places(rows)]
        names = sorted({name for name, _ in places})
        fetched = self._pool.map(lambda name: bytes(obstore.get(self._obstore, name).bytes()), names)
        shards = dict(zip(names, fetched, strict=True))
        starts = [(name, place * self._window_bytes) for name, place in places]
        return np.stack(
            [
                np.frombuffer(shards[n], "<i2", self._window_bytes // 2, start).reshape(self._shape)
                for n, start in starts
            ]
        )

    def close(self) -> None:
        """End what s3fs opened in zarr's event loop."""

        async def end() -> None:
            await (await self._s3fs.set_session()).close()

        sync(end())

    def _places(self, rows: Rows) -> list[tuple[str, int]]:
        index = self._store.index.iloc[rows]
        return [
            (f"{modality}-{rate}hz/part-{part}.zarr/windows", int(row))
            for modality, rate, part, row in zip(
                *(index[c] for c in ("modality", "rate_hz", "part", "row")), strict=True
            )
        ]

    def _array(self, library: str, path: str) -> Any:
        if (library, path) not in self._arrays:
            store: Any
            if library == "s3fs":
                store = zarr.storage.FsspecStore(self._s3fs, read_only=True, path=BUCKET)
            else:
                store = zarr.storage.ObjectStore(self._obstore, read_only=True)
            self._arrays[library, path] = zarr.open_array(store, path=path, mode="r")
        return self._arrays[library, path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=Path, required=True, help="a cohort under data/windows")
    parser.add_argument("--endpoint", required=True, help="address of an S3 server")
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--batches", type=int, default=4, help="batches of 256 windows a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    zarr.config.set({"async.concurrency": arguments.connections})
    store = WindowStore(arguments.windows)
    rates = check_params({}, "defaults", with_methods=False).pretrain.rate_weights
    rows = store.rows("ecg", tuple(rates))
    weights = window_weights(store.index.iloc[rows], rates)
    remote = Remote(store, arguments.endpoint, arguments.key, arguments.secret, arguments.connections)
    began = time.perf_counter()
    stored = remote.upload()
    print(f"uploaded {stored / 1e6:.0f} MB, {len(rows)} windows, in {time.perf_counter() - began:.1f} s", flush=True)
    ways: dict[str, Callable[[Rows], Samples]] = {
        "mapped": store.samples,
        "ranges": remote.ranges,
        "zarr, obstore": remote.through_zarr("obstore"),
        "zarr, s3fs": remote.through_zarr("s3fs"),
    }
    taken = arguments.batches * BATCH_WINDOWS
    clock: dict[str, list[float]] = {name: [] for name in (*ways, "whole shards")}
    cpu: dict[str, list[float]] = {name: [] for name in clock}
    for number in range(-1, arguments.rounds):  # round -1 opens arrays and connections, and compares
        order = rows[epoch_order(weights, 0, max(number, 0))]
        batches = np.split(order[: taken if number >= 0 else BATCH_WINDOWS], arguments.batches if number >= 0 else 1)
        rounds = {name: (take, batches) for name, take in ways.items()}
        rounds["whole shards"] = (remote.whole_shards, [rows])
        for name in list(rounds)[number % 5 :] + list(rounds)[: number % 5]:
            take, chosen = rounds[name]
            at, spent = time.perf_counter(), time.process_time()
            found = [take(batch) for batch in chosen]
            read = sum(map(len, chosen))
            if number < 0:
                assert all(np.array_equal(f, store.samples(b)) for f, b in zip(found, chosen, strict=True)), name
            else:
                clock[name].append(read / (time.perf_counter() - at))
                cpu[name].append(read / (time.process_time() - spent))
                print(f"  round {number}, {name:14s} {clock[name][-1]:9,.0f} windows/s", flush=True)
    remote.close()
    print(f"medians of {arguments.rounds} rounds; CPU: this process alone, not the server:")
    for name in clock:
        by_clock, by_cpu = float(np.median(clock[name])), float(np.median(cpu[name]))
        print(f"  {name:14s} {by_clock:9,.0f} windows/s by the clock, {by_cpu:9,.0f} by CPU time")
    print(json.dumps({name: round(float(np.median(rates))) for name, rates in clock.items()}))


if __name__ == "__main__":
    main()
