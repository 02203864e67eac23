"""How a study stands, from the files that are there: what is done, what comes next, and what it takes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from physiopipe import plan
from physiopipe.cohorts.base import PublishedTree
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params
from physiopipe.recordings.tree import local_folder
from physiopipe.workflow_run import windows_are_current

DOWNLOAD_BYTES_PER_S = 400_000  # eight connections to PhysioNet; DREAMER is not downloaded by us
REPORT = "report.html"
WORK_SHARE = 1.5  # of the raw bytes: windows at four rates and the batches under way


def status_lines(params: Params) -> Iterator[str]:
    """One line a cohort and a step, then the disk, what is to be downloaded, and what comes next."""
    missing_bytes, missing = 0, []
    for name in params.cohorts.in_use:
        line, bytes_to_fetch = _of_cohort(params, name)
        missing_bytes += bytes_to_fetch
        if not line.endswith(": done"):
            missing.append(f"windows of {name}")
        yield line
    encoder = Path("models/ecg_encoder.safetensors")
    if not encoder.exists():
        missing.append("pretrain")
    yield f"pretrain: {'done' if encoder.exists() else 'not yet'} ({encoder})"
    for name in params.cohorts.downstream:
        results = Path("results") / name
        there = [each for each in params.methods if (results / "predictions" / f"{each}.parquet").exists()]
        left = [each for each in params.methods if each not in there]
        what_is_left = f"; left: {', '.join(left)}" if left else ""
        for what, there_is in ((f"methods on {name}", not left), (f"report of {name}", (results / REPORT).exists())):
            missing += [] if there_is else [what]
        yield f"methods on {name}: {len(there)} of {len(params.methods)}{what_is_left}"
        yield f"table of {name}: {results / 'table1.md' if (results / 'table1.md').exists() else 'not yet'}"
    for folder in ("data/raw", "data/simulated", "data/parts", "data/windows", "state", ".dvc/cache"):
        if Path(folder).exists():
            yield f"{folder}: {bytes_below(Path(folder)) / 1e6:,.0f} MB"
    free = shutil.disk_usage(Path.cwd()).free
    yield f"free: {free / 1e9:,.1f} GB"
    if missing_bytes:
        minutes = missing_bytes / DOWNLOAD_BYTES_PER_S / 60
        needed = missing_bytes * (1 + WORK_SHARE)
        yield (
            f"to download: about {missing_bytes / 1e6:,.0f} MB, {minutes:,.0f} minutes at "
            f"{DOWNLOAD_BYTES_PER_S / 1000:.0f} kB/s; with windows about {needed / 1e9:,.1f} GB of disk"
            + (" - MORE THAN IS FREE" if needed > free else "")
        )
    if missing:
        yield f"next: dvc repro, which comes to {missing[0]} (what is done is kept)"
    else:
        reports = ", ".join(f"results/{name}/{REPORT}" for name in params.cohorts.downstream)
        yield f"next: look at {reports}; after a change of parameters, dvc repro makes anew what hangs on it"


def _of_cohort(params: Params, name: str) -> tuple[str, int]:
    """Words on a cohort's recordings and windows, and the bytes that are still to be downloaded."""
    kind = "simulated" if params.simulated(name) else "real"
    if windows_are_current(params, name):
        return f"windows of {name} ({kind}): done", 0
    try:
        batches = plan.planned_batches(params, name)
    except PhysiopipeError:
        if params.simulated(name):
            return f"windows of {name} (simulated): not begun; its recordings are made here, none are downloaded", 0
        return f"windows of {name} ({kind}): not begun; its size is known once its lists are read", 0
    here = [batch for batch in batches if plan.recordings_file(params, name, batch).exists()]
    parts = plan.planned_parts(params, name)
    done = sum((part.folder / "part.json").exists() for part in parts)
    line = f"windows of {name} ({kind}): {len(here)} of {len(batches)} batches here, {done} of {len(parts)} parts done"
    fetched = isinstance(cohort(name).publication, PublishedTree) and not params.simulated(name)
    fetched = fetched and local_folder(plan.source_location(params, name)) is None  # a folder's files are linked
    return line, sum(batch.size for batch in batches if batch not in here) if fetched else 0


def bytes_below(folder: Path) -> int:
    """Bytes of the files below a folder; hard links count once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            about = path.stat()
            seen[about.st_dev, about.st_ino] = about.st_size
    return sum(seen.values())
