"""Several processes train what one trains, stop together, and say once what went wrong."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_pretraining import files_in, order, waves

from physiopipe.params import Run
from physiopipe.training.launch import processes_wanted

SCRIPT = Path(__file__).with_name("small_pretraining.py")


def run_script(folder: Path, *disturbance: object, **settings: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in settings.items()}}
    command = [sys.executable, SCRIPT, folder, *map(str, disturbance)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def losses(folder: Path) -> tuple[list[tuple[str, ...]], list[float]]:
    """What each row of the loss log is about, and its value."""
    with files_in(folder).loss.open() as handle:
        rows = list(csv.DictReader(handle))
    return [tuple(row.values())[:-1] for row in rows], [float(row["value"]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, 37])  # 37: the last batch of an epoch has one window, the second process none
def test_two_processes_have_the_losses_of_one(tmp_path: Path, batch: int) -> None:
    for name, settings in (("one", {}), ("two", {"PROCESSES": 2})):
        done = run_script(tmp_path / name, DROPOUT=0, BATCH=batch, **settings)
        assert done.returncode == 0, done.stderr
    (about, one), (about_two, two) = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert about == about_two
    assert two == pytest.approx(one, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_killed_and_stopped_processes_end_with_the_same_bytes(tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    run_script(undisturbed, PROCESSES=2).check_returncode()

    one_killed = run_script(folder, int(signal.SIGKILL), 6, 0, PROCESSES=2, DISTURBED=1)
    assert one_killed.returncode == 2, one_killed.stderr
    assert "error: Process 1 of 2 ended with exit code -9" in one_killed.stderr
    assert "All 2 processes were stopped" in one_killed.stderr

    both_orphaned = run_script(folder, int(signal.SIGKILL), 5, 0, PROCESSES=2, DISTURBED=0, PARENT=1)
    assert both_orphaned.returncode == -signal.SIGKILL
    end = time.monotonic() + 10
    while time.monotonic() < end and processes_of(folder):
        time.sleep(0.1)
    assert not processes_of(folder)

    for number, settings in ((signal.SIGUSR1, {"PARENT": 1}), (signal.SIGTERM, {})):  # to all, and to one alone
        stopped = run_script(folder, int(number), 4, 0, PROCESSES=2, DISTURBED=0, **settings)
        assert stopped.returncode == 128 + number, stopped.stderr
        assert stopped.stdout.count("Run the same command again") == 1
        assert "Traceback" not in stopped.stderr
        assert not files_in(folder).encoder.exists()

    done = run_script(folder, PROCESSES=2)
    assert done.returncode == 0, done.stderr
    (step,) = re.findall(r"going on after step (\d+) of 30", done.stdout)
    assert int(step) > 8
    for path in ("encoder.safetensors", "loss.csv", "metrics.json"):
        assert (folder / path).read_bytes() == (undisturbed / path).read_bytes()


def processes_of(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in command and SCRIPT.name in command:
            found.append(command)
    return found


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_said_once(tmp_path: Path) -> None:
    bad = int(order(0)[45])  # in the sixth step; the second process's
    done = run_script(tmp_path, PROCESSES=2, BROKEN=bad)
    assert done.returncode == 2
    assert done.stderr.count("Pretraining stopped at step 6") == 1
    windows = waves(75, 1)
    assert f"(window_id): {int(windows.window_id[bad]):016x}. " in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_wanted() -> None:
    assert processes_wanted(Run(device="cpu")) == 1
    assert processes_wanted(Run(device="cpu", devices=3)) == 3
