"""`kill -9` of a run, or of one of its jobs, at random moments: a plain rerun ends as if nothing had been."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from small_study import SNAKEMAKE, Undisturbed, check_finished_parts, check_like, copy_of, simulated_copy
from studies import Study, kill

pytestmark = pytest.mark.workflow
MOMENTS = np.random.default_rng(88_253).uniform(0.1, 0.95, 20).round(3).tolist()  # shares of an undisturbed run
VERBS = ("filter", "resample", "shard")
REPRO = ("dvc", "repro", "pretraining_windows")


def few_of_many(moments: list[float], ordinary: int) -> list[object]:
    """The first few moments for CI, the others marked exhaustive."""
    return [
        moment if number < ordinary else pytest.param(moment, marks=pytest.mark.exhaustive)
        for number, moment in enumerate(moments)
    ]


def kill_at(study: Study, command: tuple[str, ...], seconds: float) -> None:
    """Start a command, kill it and all that it started after so many seconds; it may have ended by then."""
    process = study.start(*command)
    with suppress(subprocess.TimeoutExpired):
        assert process.wait(seconds) == 0
        return
    kill(process)
    check_finished_parts(study)


@pytest.mark.parametrize("moment", few_of_many(MOMENTS, 2))
def test_snakemake_is_killed(undisturbed: Undisturbed, tmp_path: Path, moment: float) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    kill_at(study, SNAKEMAKE, moment * undisturbed.seconds)
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_snakemake_is_killed_time_and_again_from_the_simulation_on(
    undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    study = copy_of(undisturbed.study, tmp_path / "study")
    for moment in np.random.default_rng([88_253, seed]).uniform(0.1, 0.6, 5).tolist():
        kill_at(study, SNAKEMAKE, moment * undisturbed.seconds)
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


@pytest.mark.parametrize(
    ("moment", "verb"),
    [
        pytest.param(moment, VERBS[number % 3], marks=[pytest.mark.exhaustive] if number else [])
        for number, moment in enumerate(MOMENTS)
    ],
)
def test_a_job_is_killed(undisturbed: Undisturbed, tmp_path: Path, moment: float, verb: str) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    process = study.start(*SNAKEMAKE)
    while not (jobs := jobs_of(process, verb)):
        assert process.poll() is None, f"no {verb} was seen"
        time.sleep(0.01)
    time.sleep(moment)  # a job lives for about a second
    for job in jobs:
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            job.kill()
    assert process.wait(200) in (0, 1)
    check_finished_parts(study)
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


@pytest.mark.parametrize("moment", few_of_many(MOMENTS, 1))
def test_dvc_repro_is_killed(undisturbed: Undisturbed, tmp_path: Path, moment: float) -> None:
    study = simulated_copy(undisturbed.study, tmp_path / "study")
    kill_at(study, REPRO, moment * (undisturbed.seconds + 3))  # it takes some seconds to start
    remove_cut_short_rwlock(study)
    study.run(*REPRO)
    check_like(study, undisturbed.study)


def test_temporary_files_left_by_a_kill_go_with_the_next_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Killed between the end of a part and the removal of what it was made from."""
    study = copy_of(undisturbed.study, tmp_path / "study", "data/plan", "data/simulated", "data/raw", "data/parts")
    for part in study.folder.glob("data/parts/*/*/*"):
        left = study.folder / "data/work/resampled" / part.parent.relative_to(study.folder / "data/parts")
        left.mkdir(parents=True)
        (left / f"{part.name}.batch").write_bytes(b"left")
        before = (part / "part.json").stat().st_mtime - 1
        os.utime(left / f"{part.name}.batch", (before, before))
    study.run(*SNAKEMAKE)
    check_like(study, undisturbed.study)


def remove_cut_short_rwlock(study: Study) -> None:
    """DVC does not write this file in one piece; killed within, it says so ever after and does nothing.

    README tells a user to remove it.
    """
    rwlock = study.folder / ".dvc/tmp/rwlock"
    if rwlock.exists() and not rwlock.read_bytes():
        assert "RWLock-file" in study.run(*REPRO, expect=255)
        rwlock.unlink()


def jobs_of(process: "subprocess.Popen[str]", verb: str) -> list[psutil.Process]:
    """The processes of a verb that a run has started."""
    jobs = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                line = child.cmdline()
                if verb in line and any(Path(word).name == "physiopipe" for word in line):
                    jobs.append(child)
    return jobs
