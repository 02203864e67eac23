"""A rehearsal of the corpus: N records through Snakemake itself, all of its overhead and imports included.

The records are the benchmark's own (see records.py) under new names, in the published layout and mix of sources
(copied_tree.py). While `snakemake --cores 2` makes data/windows/challenge of them, with the parameters of
presets/paper.yaml, the memory of every process and the temporary bytes under data/work are watched. A second run has
nothing to do. The plain way of prepare.py takes the same records, before and after, weighted to the same mix.
Records are read from the kernel's cache, since there are few different ones.

    python benchmarks/corpus.py --records 10000 [--cores 2] [--scratch FOLDER]

Last line: JSON {"records", "cpu_ms_per_record", "plain_cpu_ms_per_record", "ratio", "wall_s", "peak_job_rss_mib",
"peak_temporary_gib", "files", "bytes", "rerun_s"}; the ratio is ours over plain.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = dict(os.environ)  # as a user has it: prepare.py sets thread counts

import psutil
from copied_tree import PUBLISHED, batches_of, largest_batch, make_tree, original_records, published_mix
from prepare import cpu_s, plain

from physiopipe.recordings.tree import Batch

ROOT = Path(__file__).parents[1]
TARGET = "data/windows/challenge/manifest.json"
WATCH_S = 0.5
VERBS = ("discover", "download", "filter", "resample", "shard", "collect")
GIB = 2**30


class Run(NamedTuple):
    """One `snakemake`: seconds by the clock, CPU seconds of it and all its jobs, the kernel's of these, its output."""

    wall_s: float
    cpu_s: float
    kernel_s: float
    output: str


class Watch(threading.Thread):
    """Looks at a process and its descendants, and at data/work, until it ends."""

    def __init__(self, pid: int, study: Path) -> None:
        super().__init__(daemon=True)
        self._process, self._work = psutil.Process(pid), study / "data" / "work"
        self.whole = False  # it watched to the end
        self._cpu_s: dict[tuple[str, int], float] = {}
        self.rss_mib: Counter[str] = Counter()  # by verb: largest resident memory of a process, as the kernel kept it
        self.temporary: int = 0  # most bytes under data/work at once
        self.batch_temporary: dict[str, Counter[str]] = defaultdict(Counter)  # by batch: largest file of each step

    def run(self) -> None:
        while True:
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    self._look(process)
            except psutil.NoSuchProcess:
                self.whole = True
                return
            sizes = 0
            for folder, _, names in os.walk(self._work):  # passes over what is deleted meanwhile
                for name in names:
                    try:
                        size = (Path(folder) / name).stat().st_size
                    except OSError:
                        continue
                    step, _, batch = Path(folder).relative_to(self._work).parts
                    self.batch_temporary[batch][step] = max(self.batch_temporary[batch][step], size)
                    sizes += size
            self.temporary = max(self.temporary, sizes)
            time.sleep(WATCH_S)

    def cpu_by_verb(self) -> dict[str, float]:
        """CPU seconds of each verb's processes when last seen: somewhat less than they spent."""
        total: Counter[str] = Counter()
        for (verb, _), seconds in self._cpu_s.items():
            total[verb] += seconds
        return dict(total)

    def _look(self, process: psutil.Process) -> None:
        try:
            command = process.cmdline()
            verb = "snakemake" if process.pid == self._process.pid else _verb(command)
            if verb:
                times = process.cpu_times()
                self._cpu_s[verb, process.pid] = times.user + times.system
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
                self.rss_mib[verb] = max(self.rss_mib[verb], peak // 1024)
        except (psutil.Error, OSError, StopIteration):
            return  # it has ended meanwhile


def _verb(command: list[str]) -> str | None:
    """The verb of a `physiopipe` process; the shells around it are none."""
    if len(command) > 2 and Path(command[1]).name == "physiopipe":
        return command[2]
    return None


def new_study(folder: Path, tree: Path) -> None:
    """A folder with the project's workflow and package, set to the paper's parameters and this tree."""
    for name in ("Snakefile", "presets", "profiles", "workflow", "physiopipe"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    settings = (
        f"data.challenge.base_url={tree}",
        "data.challenge.allow_missing_sources=true",
        "data.dreamer.origin=simulated",  # not made, but its file need not be there
    )
    command = ["physiopipe", "preset", "paper", *(f"--set={text}" for text in settings)]
    subprocess.run(command, cwd=folder, env=_environment(folder), check=True, stdout=subprocess.DEVNULL)


def _environment(folder: Path) -> dict[str, str]:
    search = os.pathsep.join([str(Path(sys.executable).parent), ENVIRONMENT["PATH"]])
    return ENVIRONMENT | {"PATH": search, "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}


def snakemake(folder: Path, cores: int) -> tuple[Run, Watch]:
    """Make the Challenge's windows."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (folder / "snakemake.log").open("w+") as log:
        process = subprocess.Popen(
            ["snakemake", "--cores", str(cores), TARGET],
            cwd=folder, env=_environment(folder), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        watch = Watch(process.pid, folder)
        watch.start()
        code = process.wait()
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        log.seek(0)
        output = log.read()
    watch.join()
    assert watch.whole, "the watch ended early"
    if code:
        raise SystemExit(f"snakemake ended with {code}:\n{output[-4000:]}")
    kernel = after.ru_stime - before.ru_stime
    return Run(wall, after.ru_utime - before.ru_utime + kernel, kernel, output), watch


def plain_ms(originals: Path, batches: list[Batch], scratch: Path) -> dict[str, float]:
    """CPU of the plain way by source, ms a record."""
    spent = {}
    for batch in batches:
        spent[batch.source] = cpu_s(lambda batch=batch: plain(batch, originals, scratch)) / len(batch.records) * 1e3
        shutil.rmtree(scratch / "plain", ignore_errors=True)
    return spent


def full_batches_gib(watch: Watch, mix: dict[str, int]) -> dict[str, float]:
    """Temporary GiB (filtered and resampled) of a source's largest batch as published, from the largest seen here."""
    largest: dict[str, float] = {}
    for source, count in mix.items():
        seen = [sum(sizes.values()) for name, sizes in watch.batch_temporary.items() if name.startswith(f"{source}.g")]
        if seen:
            scale = largest_batch(source, PUBLISHED[source]) / largest_batch(source, count)
            largest[source] = max(seen) * scale / GIB
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder for everything (about 1 MB a record), removed afterwards")
    arguments = parser.parse_args()
    if arguments.scratch is not None:
        arguments.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        rehearse(Path(name), arguments.records, arguments.cores)


def rehearse(scratch: Path, records: int, cores: int) -> None:
    """Make the tree and the study, run twice, print what was measured."""
    originals, batches, what = original_records(scratch)
    mix = published_mix(records, [batch.source for batch in batches])
    make_tree(scratch / "published", originals, batches, mix)
    study = scratch / "study"
    new_study(study, scratch / "published")
    print(f"{records} records, copies of {sum(len(b.records) for b in batches)} {what}")
    print("mix as published: " + ", ".join(f"{source} {count}" for source, count in mix.items()), flush=True)

    plain(batches[0], originals, scratch)  # imports, caches
    shutil.rmtree(scratch / "plain", ignore_errors=True)
    loads = [os.getloadavg()[0]]
    plains = [plain_ms(originals, batches, scratch)]
    first, watch = snakemake(study, cores)
    loads.append(os.getloadavg()[0])
    plains.append(plain_ms(originals, batches, scratch))
    again, _ = snakemake(study, cores)
    if "Nothing to be done" not in again.output:
        raise SystemExit(f"the second run found something to do:\n{again.output[-4000:]}")

    manifest = json.loads((study / TARGET).read_text())
    paths = [path for path in (study / "data" / "windows").rglob("*") if path.is_file()]
    files, size = len(paths), sum(path.stat().st_size for path in paths)
    plain_each = [sum(spent[source] * count for source, count in mix.items()) / records for spent in plains]
    our_each = first.cpu_s / records * 1e3
    jobs = watch.rss_mib.copy()
    main_rss = jobs.pop("snakemake", 0)

    print(f"{manifest['records']} records prepared, {manifest['rejected']} rejected, {manifest['windows']} windows")
    print(f"load of the machine (1 min) before and after: {loads[0]:.1f}, {loads[1]:.1f}")
    print(
        f"ours: {first.wall_s:.0f} s by the clock on {cores} cores, {first.cpu_s:.0f} s CPU, "
        f"{first.kernel_s:.0f} of it the kernel's: {our_each:.2f} ms a record"
    )
    print("plain by source, ms a record: " + ", ".join(f"{name} {ms:.0f}" for name, ms in plains[0].items()))
    print(f"plain: {plain_each[0]:.2f} ms a record before, {plain_each[1]:.2f} after (imports not counted)")
    print("where our CPU went, as last seen of each process (s), and its largest memory (MiB):")
    cpu = watch.cpu_by_verb()
    for verb in ("snakemake", *VERBS):
        print(f"  {verb:10s} {cpu.get(verb, 0):8.1f} {main_rss if verb == 'snakemake' else jobs[verb]:6d}")
    print(f"  {'not seen':10s} {first.cpu_s - sum(cpu.values()):8.1f}")
    print("temporary GiB of a source's largest batch at its published size: ")
    for source, gib in full_batches_gib(watch, mix).items():
        print(f"  {source:22s} {gib:6.2f}")
    print(f"nothing to do: {again.wall_s:.1f} s by the clock, {again.cpu_s:.1f} s CPU")
    full = sum(PUBLISHED.values())
    times, parts, published_parts = full / records, batches_of(mix).total(), batches_of(PUBLISHED).total()
    shards = sum(path.parent.name == "windows" and path.name != "zarr.json" for path in paths)
    full_files = (files - shards) / parts * published_parts + shards * times  # at most: small batches share a shard
    print(
        f"at {full} records in {published_parts} batches (here {parts}), in proportion: "
        f"{first.cpu_s * times / 3600:.2f} h CPU, {first.wall_s * times / 3600:.2f} h by the clock, "
        f"{size * times / 1e9:.1f} GB in {full_files:.0f} files"
    )
    summary = {
        "records": records,
        "cpu_ms_per_record": round(our_each, 2),
        "plain_cpu_ms_per_record": round(sum(plain_each) / len(plain_each), 2),
        "ratio": round(our_each * len(plain_each) / sum(plain_each), 3),
        "wall_s": round(first.wall_s, 1),
        "peak_job_rss_mib": max(jobs.values(), default=0),
        "peak_temporary_gib": round(watch.temporary / GIB, 2),
        "files": files,
        "bytes": size,
        "rerun_s": round(again.wall_s, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
