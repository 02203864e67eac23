"""Preparing records: ours against the way a user would write it. One process, one thread, CPU time, rounds in turn.

Ours is what the rules run: read, lead order, filter, four rates, windows, quality flags, int16, store, index and
checksums, through the temporary files between rules. The plain way reads with wfdb, filters and resamples with scipy
in float64, cuts whole windows and writes them with zarr's defaults; it does not flag, index or check anything.

A batch costs some work of its own (files, index, metadata), and batches of the corpus hold up to 2,000 records: so each
record of the sample is taken several times, under new names (copied_tree.py).

    python benchmarks/prepare.py [--rounds 5] [--copies 6]

Last line: JSON {"records_per_s", "plain_records_per_s", "ratio", "peak_rss_mib"}.
"""

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ[name] = "1"

import numpy as np
import wfdb
import zarr
from copied_tree import INCART, make_tree, original_records
from records import benchmark_batches, some_of
from scipy import signal

from physiopipe.cohorts.challenge import COHORT
from physiopipe.files import write_json
from physiopipe.memory import keep_freed_memory
from physiopipe.params import check_params
from physiopipe.recordings.tree import Batch
from physiopipe.windows.part import PartName
from physiopipe.windows.prepare import filter_batch, read_recordings, resample_batch
from physiopipe.windows.shard import shard_batch

RATES_HZ = (100, 200, 500, 1000)
PARAMS = check_params({}, "defaults", with_methods=False)


def ours(batch: Batch, tree: Path, scratch: Path, stage_s: Counter[str]) -> None:
    """One batch through the functions behind `filter`, `resample` and `shard`."""
    stamp = scratch / "stamp.json"
    write_json(stamp, {"listed": "", "files": {}, "records": list(batch.records), "rejected": []})
    steps = {
        "filter": lambda: filter_batch(
            read_recordings(COHORT, "ecg", stamp, batch, tree, PARAMS.data["challenge"]),
            scratch / "filtered.batch",
            PARAMS.filter["challenge"]["ecg"],
        ),
        "resample": lambda: resample_batch(
            scratch / "filtered.batch", scratch / "resampled.batch", PARAMS.resample["challenge"]["ecg"]
        ),
        "shard": lambda: shard_batch(
            scratch / "resampled.batch",
            scratch / "part",
            PartName("challenge", "ecg", batch.name, "benchmark", False),
            RATES_HZ,
            PARAMS.shard["challenge"]["ecg"],
        ),
    }
    for name, step in steps.items():
        start = time.process_time()
        step()
        stage_s[name] += time.process_time() - start


def plain(batch: Batch, tree: Path, scratch: Path) -> None:
    """The same records as a user would prepare them."""
    windows: dict[int, list[np.ndarray]] = {rate: [] for rate in RATES_HZ}
    for header in batch.first_files.values():
        record = wfdb.rdrecord(str((tree / header).with_suffix("")))
        rate = record.fs
        sections = signal.butter(3, [0.5, 40.0], "bandpass", fs=rate, output="sos")
        filtered = signal.sosfiltfilt(sections, record.p_signal, axis=0)
        b, a = signal.iirnotch(60.0 if batch.source == "georgia" else 50.0, 30.0, fs=rate)
        filtered = signal.filtfilt(b, a, filtered, axis=0)
        for to in RATES_HZ:
            divisor = np.gcd(to, int(rate))
            resampled = filtered if to == rate else signal.resample_poly(filtered, to // divisor, int(rate) // divisor)
            length = -(-len(resampled) // 2000) * 2000
            padded = np.zeros((length, 12), np.float32)
            padded[: len(resampled)] = resampled
            cut = padded.reshape(-1, 10, 200, 12).transpose(0, 3, 1, 2)
            windows[to] += list(cut[: PARAMS.shard["challenge"]["ecg"].max_windows_per_record])
    for to, cut_windows in windows.items():
        data = np.stack(cut_windows)
        array = zarr.create_array(scratch / "plain" / f"{to}.zarr", shape=data.shape, dtype=data.dtype)
        array[:] = data


def cpu_s(run: Callable[[], object]) -> float:
    """CPU seconds of this process, children and kernel included."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=6, help="how often each record is taken")
    arguments = parser.parse_args()
    keep_freed_memory()  # as the verbs do; the plain way has it too
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        originals, found, what = original_records(scratch)
        what = what.partition(";")[0]  # without INCART's stand-in
        sample = [batch for batch in found if batch.source != INCART]  # its records are made up in length
        tree = scratch / "copies"
        make_tree(tree, originals, sample, {b.source: len(b.records) * arguments.copies for b in sample})
        batches = benchmark_batches(tree)
        records = sum(len(batch.records) for batch in batches)
        stage_s: Counter[str] = Counter()

        def run(way: Callable[[Batch], None]) -> float:
            total = 0.0
            for batch in batches:
                total += cpu_s(lambda batch=batch: way(batch))
                for left in ("part", "plain"):
                    shutil.rmtree(scratch / left, ignore_errors=True)
                for left in ("filtered.batch", "resampled.batch"):
                    (scratch / left).unlink(missing_ok=True)
            return total

        run(lambda batch: ours(some_of(batch, batch.records[:2]), tree, scratch, Counter()))  # imports, caches
        run(lambda batch: plain(some_of(batch, batch.records[:2]), tree, scratch))
        rounds = []
        for number in range(arguments.rounds):
            our_s = run(lambda batch: ours(batch, tree, scratch, stage_s))
            rss = peak_rss_mib()
            plain_s = run(lambda batch: plain(batch, tree, scratch))
            rounds.append((our_s, plain_s))
            if number == 0:
                our_rss = rss
            our_ms, plain_ms = our_s / records * 1e3, plain_s / records * 1e3
            print(f"round {number + 1}: ours {our_ms:.2f} ms, plain {plain_ms:.2f} ms a record")
    our_s, plain_s = (float(np.median(column)) for column in zip(*rounds, strict=True))
    print(
        f"{records} records, {arguments.copies} of each of the {what}; {arguments.rounds} rounds. Where our time goes:"
    )
    for stage, seconds in stage_s.items():
        print(f"  {stage}: {seconds / arguments.rounds / records * 1e3:.2f} ms a record")
    summary = {
        "records_per_s": round(records / our_s, 1),
        "plain_records_per_s": round(records / plain_s, 1),
        "ratio": round(float(np.median([p / o for o, p in rounds])), 2),
        "peak_rss_mib": round(our_rss),
    }
    print(json.dumps(summary))


def peak_rss_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
