"""Reading windows: shuffled batches from a store, as training gets them, against a bare memory map of the same windows.

Three ways take the same rows, in the order that training draws them, in turn:

    store      `load_windows` of a cohort that does not fit in memory: windows gathered from mapped shards
    resident   `load_windows` of a cohort that does: int16 in memory
    memmap     `np.memmap` of one flat file, indexed by row

The first two also fetch what training needs beside the samples (scale, valid patches, leads), the memory map does not.
All files are in the kernel's cache: a disk would be equally slow for everyone.

The store has about as many parts as the published corpus has folders (92), at four rates: what a batch costs grows with
the arrays that its windows lie in.

    python benchmarks/loader.py [--windows 8000] [--part-records 8] [--rounds 7] [--batches 40]

Last line: JSON {"windows_per_s", "memmap_windows_per_s", "ratio"}, by CPU time; the ratio is the median over rounds.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
from records import benchmark_batches, benchmark_tree, some_of

from physiopipe.cohorts.registry import cohort
from physiopipe.files import write_json
from physiopipe.params import check_params
from physiopipe.recordings.recording import LongRecording, RecordingBatch, Rejected
from physiopipe.recordings.tree import Batch
from physiopipe.training.arrays import WindowArrays
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch
from physiopipe.windows.pretraining import epoch_order, load_windows, window_weights
from physiopipe.windows.shard import shard_batch
from physiopipe.windows.store import WindowStore

RATES_HZ = (100, 200, 500, 1000)
BATCH_WINDOWS = 256
PARAMS = check_params({}, "defaults", with_methods=False)

Rows = npt.NDArray[np.int64]


class Spent(NamedTuple):
    """Seconds that a way took."""

    cpu_s: float
    wall_s: float


def build_store(tree: Path, scratch: Path, windows: int, part_records: int) -> WindowStore:
    """A cohort of at least `windows` windows in parts of at most `part_records` records.

    It holds every record of the tree, under new names as often as that takes.
    """
    batches = [
        some_of(batch, batch.records[first : first + part_records])
        for batch in benchmark_batches(tree)
        for first in range(0, len(batch.records), part_records)
    ]
    parts: list[Path] = []
    stored = 0
    while stored < windows:
        for batch in batches:
            part = scratch / "parts" / f"{len(parts)}"
            _prepare(batch, f"-{len(parts)}", tree, scratch, part)
            parts.append(part)
            stored += sum(a["windows"] for a in json.loads((part / "part.json").read_text())["arrays"].values())
    collect_cohort("challenge", parts, scratch / "cohort", {})
    return WindowStore(scratch / "cohort")


def _prepare(batch: Batch, suffix: str, tree: Path, scratch: Path, part: Path) -> None:
    stamp, filtered, resampled = (scratch / name for name in ("stamp.json", "filtered.batch", "resampled.batch"))
    write_json(stamp, {"listed": "", "files": {}, "records": list(batch.records), "rejected": []})

    def renamed() -> Iterator[RecordingBatch | LongRecording | Rejected]:
        known, data = cohort("challenge"), PARAMS.data["challenge"]
        for item in read_recordings(known, "ecg", stamp, batch, tree, data):
            if isinstance(item, Rejected):
                yield item._replace(record=item.record + suffix)
            elif isinstance(item, LongRecording):
                yield replace(item, head=replace(item.head, record=item.head.record + suffix))
            else:
                yield replace(item, record=tuple(name + suffix for name in item.record))

    filter_batch(renamed(), filtered, PARAMS.filter["challenge"]["ecg"])
    resample_batch(filtered, resampled, PARAMS.resample["challenge"]["ecg"])
    name = PartName("challenge", "ecg", batch.name + suffix, f"benchmark{suffix}", False)
    shard_batch(resampled, part, name, RATES_HZ, PARAMS.shard["challenge"]["ecg"])


def flat_file(store: WindowStore, rows: Rows, path: Path) -> np.memmap:
    """The same windows one after another in one file, mapped."""
    shape = store.gather(rows[:1])[0].shape
    with path.open("wb") as handle:
        for start in range(0, len(rows), 1024):
            store.gather(rows[start : start + 1024])[0].tofile(handle)
    return np.memmap(path, dtype=np.int16, mode="r", shape=(len(rows), *shape[1:]))


def training_batch(windows: WindowArrays, rows: Rows) -> npt.NDArray[np.int16]:
    """What training takes to the device for one batch, see `physiopipe.training.arrays.load_batch`."""
    samples = windows.samples[rows]
    for beside in (windows.scale, windows.valid_patches, windows.channel_mask, windows.window_id):
        beside[rows]
    return samples


def timed(take: Callable[[Rows], npt.NDArray[np.int16]], batches: list[Rows]) -> Spent:
    """Time of taking every batch, one after another."""
    cpu, wall = time.process_time(), time.perf_counter()
    for rows in batches:
        take(rows)
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=8000, help="least windows in the store")
    parser.add_argument("--part-records", type=int, default=8, help="most records in a part")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=40, help="batches of 256 windows a round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tree, what = benchmark_tree(scratch)
        store = build_store(tree, scratch, arguments.windows, arguments.part_records)
        rows = store.rows("ecg", RATES_HZ)
        flat = flat_file(store, rows, scratch / "flat.int16")
        weights = window_weights(store.index.iloc[rows], PARAMS.pretrain.rate_weights)
        on_disk, resident = load_windows(store, rows, memory_bytes=0), load_windows(store, rows, memory_bytes=2**62)
        ways: dict[str, Callable[[Rows], npt.NDArray[np.int16]]] = {
            "store": lambda chosen: training_batch(on_disk, chosen),
            "resident": lambda chosen: training_batch(resident, chosen),
            "memmap": lambda chosen: flat[chosen],
        }
        some = np.random.default_rng(0).permutation(len(rows))[:BATCH_WINDOWS]
        for name, take in ways.items():
            assert np.array_equal(take(some), flat[some]), f"{name} reads other windows"
            timed(take, [np.arange(len(rows))])  # every page is mapped once
        taken = arguments.batches * BATCH_WINDOWS
        rounds: list[dict[str, Spent]] = []
        for number in range(arguments.rounds):
            epochs = -(-taken // len(rows))
            order = np.concatenate([epoch_order(weights, number, epoch) for epoch in range(epochs)])[:taken]
            batches = np.split(order, arguments.batches)
            names = list(ways)[number % 3 :] + list(ways)[: number % 3]  # nobody is always first
            spent = {name: timed(ways[name], batches) for name in names}
            rounds.append(spent)
        print(
            f"{len(rows)} windows ({len(rows) * flat[0].nbytes / 1e6:.0f} MB) in {len(store.manifest['parts'])} parts, "
            f"{what}; "
            f"{arguments.rounds} rounds of {arguments.batches} batches of {BATCH_WINDOWS}; medians, windows/s:"
        )
        rate: dict[str, float] = {}
        for name in ways:
            rate[name] = taken / float(np.median([spent[name].cpu_s for spent in rounds]))
            wall = taken / float(np.median([spent[name].wall_s for spent in rounds]))
            ratio = _ratio(rounds, name)
            print(f"  {name:9s} {rate[name]:9,.0f} by CPU time, {wall:9,.0f} by the clock; {ratio:.2f} of memmap")
        summary = {
            "windows_per_s": round(rate["store"]),
            "memmap_windows_per_s": round(rate["memmap"]),
            "ratio": round(_ratio(rounds, "store"), 2),
        }
        print(json.dumps(summary))


def _ratio(rounds: list[dict[str, Spent]], name: str) -> float:
    return float(np.median([spent["memmap"].cpu_s / spent[name].cpu_s for spent in rounds]))


if __name__ == "__main__":
    main()
