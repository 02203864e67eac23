"""How planning grows: Snakemake's dry run, the index and the manifest of a cohort many times the published one.

A plan of so many batches is written as `discover` writes it (one record a batch, which is never read), then
`snakemake --dry-run` lists the jobs from recordings to windows. With --windows an index of so many rows is written and
read back, as `collect` and training do it.

    python benchmarks/planning.py --batches 60 600 6000 [--windows 100000 1000000 10000000]

CPU seconds and peak memory of each; last line: JSON of all rows.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

ROOT = Path(__file__).parents[1]
CODE_OF_CHILD = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(done.stdout[-3000:], done.stderr[-2000:])
print(done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def study(folder: Path, batches: int) -> None:
    """A study whose plan has so many batches of one record each."""
    from physiopipe import plan
    from physiopipe.params import load_params
    from physiopipe.recordings.tree import Batch, write_plan

    folder.mkdir()
    for name in ("Snakefile", "workflow", "profiles", "presets"):
        (folder / name).symlink_to(ROOT / name)
    verb("preset", "paper", "--force", "--set", "data.dreamer.origin=simulated", cwd=folder)
    os.chdir(folder)
    params = load_params(Path("params.yaml"), with_methods=False)
    files = ("training/georgia/g1/r.hea", "0" * 64), ("training/georgia/g1/r.mat", "1" * 64)
    write_plan(
        plan.plan_folder(params, "challenge"), [Batch(f"georgia.g{n}", "georgia", files, 10**8) for n in range(batches)]
    )


def verb(*words: str, cwd: Path) -> None:
    subprocess.run(["physiopipe", *words], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def dry_run(batches: int) -> dict[str, float]:
    """Jobs, CPU seconds and MiB of a dry run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        study(folder, batches)
        began = time.perf_counter()
        command = ["snakemake", "--dry-run", "--quiet", "rules", "--cores", "2", "data/windows/challenge/manifest.json"]
        done = subprocess.run(
            [sys.executable, "-c", CODE_OF_CHILD, *command], cwd=folder, capture_output=True, text=True
        )
        wall_s = time.perf_counter() - began
        os.chdir(ROOT)
        code, cpu_s, peak_mib = done.stdout.split()[-3:]
        if code != "0":
            raise SystemExit(done.stdout + done.stderr)
        jobs = int(next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("total")))
        return {"batches": batches, "jobs": jobs, "cpu_s": float(cpu_s), "wall_s": wall_s, "peak_mib": float(peak_mib)}


def index_of(windows: int) -> dict[str, float]:
    """CPU seconds and bytes to write and to read back an index of so many windows of 10-s records at four rates."""
    from physiopipe.windows.part import index_schema, write_index
    from physiopipe.windows.store import read_index

    rows = np.arange(windows)
    names = {
        "cohort": pd.Categorical.from_codes(np.zeros(windows, np.int8), ["challenge"]),
        "modality": pd.Categorical.from_codes(np.zeros(windows, np.int8), ["ecg"]),
        "source": pd.Categorical.from_codes(rows % 8, [f"source{n}" for n in range(8)]),
        "part": pd.Categorical.from_codes(rows // 20_000, [f"part{n}" for n in range(windows // 20_000 + 1)]),
        "record_flags": pd.Categorical.from_codes(np.zeros(windows, np.int8), [""]),
    }
    records = [f"R{n:08d}" for n in range(windows // 11 + 1)]
    names["record"] = names["subject"] = pd.Categorical.from_codes(rows // 11, records)
    columns = {}
    for column in index_schema(()):
        kind = column.type
        columns[column.name] = names[column.name] if column.name in names else np.zeros(windows, kind.to_pandas_dtype())
    table = pa.Table.from_pandas(pd.DataFrame(columns), schema=index_schema(()), preserve_index=False)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "index.parquet"
        began = time.process_time()
        write_index(path, table)
        wrote = time.process_time()
        frame = read_index(path)
        read = time.process_time()
        return {
            "windows": len(frame), "write_cpu_s": wrote - began, "read_cpu_s": read - wrote,
            "bytes": path.stat().st_size, "frame_mib": float(frame.memory_usage(deep=True).sum() / 2**20),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="*", default=[60, 600])
    parser.add_argument("--windows", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    rows = []
    for batches in arguments.batches:
        rows.append(dry_run(batches))
        print(rows[-1], flush=True)
    for windows in arguments.windows:
        rows.append(index_of(windows))
        print(rows[-1], flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
