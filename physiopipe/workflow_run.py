"""What a run of Snakemake does to its folder besides its rules: the claim on it, leftovers, and files' times.

Snakemake compares times alone; here it is decided by contents what is stale. Light imports, as for `physiopipe.plan`.
"""

import contextlib
import fcntl
import logging
import os
import time
import uuid
from io import TextIOWrapper

from physiopipe.errors import PhysiopipeError
from physiopipe.files import is_sealed, read_json
from physiopipe.params import Params
from physiopipe.plan import DATA, LOCKS, cohort_parameters, planned_parts
from physiopipe.signals.processing import PROCESSING_VERSION

# What Snakemake tells of its plans and of each job's command: in its own log, not on the screen
_PLANS = ("Building DAG", "Updating checkpoint", "DAG of jobs", "Using shell", "Provided ", "Rules claiming",
          "Singularity containers", "Group jobs", "Select jobs", "Execute ")  # fmt: skip
_OF_JOBS = ("job_info", "job_error", "group_info", "group_error", "shellcmd")
ERRORS = LOCKS / "errors.jsonl"
STAMP = DATA / "stamp"
_STAMP_TIME_S = 86_400  # a day into 1970: older than any file that somebody has made


def keep_plans_off_the_screen() -> None:
    """Show progress and errors alone; Snakemake's log, in .snakemake/log, has plans, reasons and commands too."""
    for handler in logging.getLogger("snakemake.logging").handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(_is_for_the_screen)


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    event = getattr(getattr(record, "event", None), "value", "")
    return event not in _OF_JOBS and not (record.levelno <= logging.INFO and record.getMessage().startswith(_PLANS))


def windows_are_current(params: Params, name: str) -> bool:
    """Whether data/windows holds what the plan and the parameters ask for, by what its manifest states."""
    try:
        manifest = read_json(DATA / "windows" / name / "manifest.json")
        if not is_sealed(manifest):
            return False
        found = [(part["modality"], part["batch"], part["digest"]) for part in manifest["parts"]]
        wanted = [(part.modality, part.batch, part.digest) for part in planned_parts(params, name)]
    except (PhysiopipeError, KeyError, TypeError, AttributeError):
        return False
    same = (manifest["parameters"], manifest["processing_version"]) == (
        cohort_parameters(params, name),
        PROCESSING_VERSION,
    )
    return bool(same and found == wanted)


def claim_folder() -> None:
    """Claim this folder for one `snakemake`, until the process ends; PhysiopipeError where another one is at work.

    Two of them would delete each other's temporary files. The kernel drops the claim with the process, so nothing is
    to be unlocked after `kill -9`.
    """
    _claims.append(claim())


def claim() -> TextIOWrapper:
    """As `claim_folder`, until the file is closed: nothing runs meanwhile."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    handle = (LOCKS / "snakemake.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PhysiopipeError(
            "another snakemake is at work in this folder: wait until it has ended, then run again what is missing."
        ) from None
    return handle


_claims: list[TextIOWrapper] = []  # open files keep their locks


def remove_finished_work() -> None:
    """Remove the filtered and resampled batches whose part is finished.

    Snakemake does so itself, but not where it was killed between a part's end and that: its next run has no use for
    them, and would leave them for good.
    """
    for batch in (DATA / "work").glob("*/*/*/*.batch"):
        cohort_and_modality, name = batch.parts[-3:-1]
        if (DATA / "parts" / cohort_and_modality / name / batch.stem / "part.json").exists():
            batch.unlink()


def mark_stale_windows(params: Params) -> None:
    """Let the manifest of windows that are not current be older than what `discover` and `collect` read.

    Snakemake compares times alone. All that a rule reads has a digest in its path or is marked `ancient`, but for one
    file of a fixed time (`STAMP`): so whether a cohort is collected anew is decided here, by contents.
    """
    _bring_back_from_the_future()
    _forget_stale_overviews()
    manifests = {name: DATA / "windows" / name / "manifest.json" for name in params.cohorts.in_use}
    stale = [path for name, path in manifests.items() if path.exists() and not windows_are_current(params, name)]
    if stale or not STAMP.exists():
        DATA.mkdir(exist_ok=True)
        STAMP.write_text(uuid.uuid4().hex)  # Snakemake takes a newer file of the bytes that it knows for the same
    os.utime(STAMP, (_STAMP_TIME_S, _STAMP_TIME_S))
    for manifest in stale:
        try:
            os.utime(manifest, (_STAMP_TIME_S - 1, _STAMP_TIME_S - 1))
        except PermissionError:  # a colleague's file
            manifest.unlink()


def _forget_stale_overviews() -> None:
    """Take away the last file of each overview that was made from other windows than are here."""
    for made_from in (DATA / "overview").glob("*/made_from.json"):
        manifest = DATA / "windows" / made_from.parent.name.rpartition("-")[0] / "manifest.json"
        try:
            current = read_json(made_from)["windows"] == read_json(manifest)["content_sha256"]
        except (PhysiopipeError, KeyError, TypeError):
            current = False
        if not current:
            with contextlib.suppress(OSError):
                made_from.unlink()


def _bring_back_from_the_future() -> None:
    """Give files of a time that is still to come the present one: Snakemake refuses to make anything from them."""
    patterns = ("plan/*/*/batches.csv", "simulated/*/*/*", "raw/*/complete/*/*.json", "raw/*/*/unpacked.json",
                "work/*/*/*/*", "parts/*/*/*/part.json")  # fmt: skip
    now = time.time()
    for path in (path for pattern in patterns for path in DATA.glob(pattern)):
        with contextlib.suppress(OSError):  # somebody else's file, or one that has just gone
            if path.stat().st_mtime > now:
                os.utime(path)
