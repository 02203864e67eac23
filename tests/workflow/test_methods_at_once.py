"""`dvc repro --single-item` of several methods at once on one folder: each ends well, with what serial runs give."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from studies import Study, kill

pytestmark = pytest.mark.workflow

METHODS = ("handcrafted", "ours", "mixture")
REPRO = ("dvc", "--wait-for-lock", "repro", "--single-item", "--no-run-cache")


def outputs(method: str) -> tuple[str, str]:
    return f"results/dreamer/predictions/{method}.parquet", f"results/dreamer/finetune/{method}.csv"


@pytest.fixture
def forget(tiny: Study) -> Iterator[Callable[..., Study]]:
    """The tiny study, of which the methods named have never been run."""

    def forgetful(*methods: str) -> Study:
        lock = tiny.folder / "dvc.lock"
        content = yaml.safe_load(lock.read_text())
        for method in methods:
            del content["stages"][f"finetune@dreamer-{method}"]
            for name in outputs(method):
                (tiny.folder / name).unlink()
        for kept in (tiny.folder / "state/finetune").rglob("*"):
            if kept.is_file():
                kept.unlink()  # finished seeds and folds: methods are to train again
        lock.write_text(yaml.safe_dump(content, sort_keys=False))
        return tiny

    yield forgetful
    tiny.run("git", "checkout", "-q", ".")
    tiny.run("dvc", "checkout", "-q")


def contents(study: Study) -> dict[str, bytes]:
    return {name: (study.folder / name).read_bytes() for method in METHODS for name in outputs(method)}


def check_lock(study: Study) -> None:
    """dvc.lock has the entry of every method again, as serial runs wrote it, in whatever order."""
    assert study.run("git", "status", "--porcelain").split() in ([], ["M", "dvc.lock"])
    committed = yaml.safe_load(study.run("git", "show", "HEAD:dvc.lock"))
    assert without_seconds(yaml.safe_load((study.folder / "dvc.lock").read_text())) == without_seconds(committed)


def without_seconds(lock: dict[str, Any]) -> dict[str, Any]:
    """A dvc.lock without what costs are: seconds are never the same twice."""
    for stage in lock["stages"].values():
        for kind in ("deps", "outs"):
            stage[kind] = [one for one in stage.get(kind, []) if "/costs" not in one["path"]]
    return lock


@pytest.fixture(scope="module")
def serial(tiny: Study) -> dict[str, bytes]:
    """What one `dvc repro` made, a method after the other."""
    return contents(tiny)


def wait_for_its_command(process: "subprocess.Popen[str]") -> None:
    """Until DVC has started the stage's command, which it does without the lock of the whole project."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 120
    while not children.read_text().strip():
        assert process.poll() is None, f"it ended with {process.returncode} before it ran anything"
        assert time.monotonic() < end
        time.sleep(0.02)


def test_methods_at_once_give_what_serial_runs_give(serial: dict[str, bytes], forget: Callable[..., Study]) -> None:
    study = forget(*METHODS)
    processes = [study.start(*REPRO, f"finetune@dreamer-{method}") for method in METHODS]
    assert [process.wait(timeout=300) for process in processes] == [0] * len(METHODS)
    assert contents(study) == serial
    check_lock(study)
    assert "up to date" in study.run("dvc", "status", *(f"finetune@dreamer-{method}" for method in METHODS))


def test_one_method_runs_wholly_while_another_is_at_work(
    serial: dict[str, bytes], forget: Callable[..., Study]
) -> None:
    study = forget("handcrafted", "ours")
    first = study.start(*REPRO, "finetune@dreamer-ours")
    try:
        wait_for_its_command(first)
        os.killpg(first.pid, signal.SIGSTOP)
        study.run(*REPRO, "finetune@dreamer-handcrafted")
        again = study.run(*REPRO, "finetune@dreamer-ours", expect=255)
        assert "failed to reproduce 'finetune@dreamer-ours'" in again  # the same method twice: refused, in plain words
        assert "is busy" in again
        assert "Traceback" not in again
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(timeout=300) == 0
    finally:
        if first.poll() is None:
            kill(first)
    assert contents(study) == serial
    check_lock(study)
