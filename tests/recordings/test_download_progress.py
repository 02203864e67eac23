"""One sum over several jobs: who shows it, what it says, and that a batch's true size replaces its estimate."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.download_progress import Amount, DownloadProgress, sum_of

WANTED = {"georgia.g1": Amount(4, 400), "ptb.g1": Amount(2, 1000)}
NONE = Amount(0, 0)


def test_one_job_shows_the_sum_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DownloadProgress(tmp_path, "georgia.g1", WANTED, Amount(1, 90), line_every_s=0) as one:
        capsys.readouterr()
        with DownloadProgress(tmp_path, "ptb.g1", WANTED, NONE, line_every_s=0) as other:
            other.add(1_100)
        assert capsys.readouterr().out == ""  # the first one shows
        one.add(110)
    assert capsys.readouterr().out.splitlines()[-1].startswith("download: 3 of 6 files, 0.0 of about 0.0 MB")
    assert sum_of(tmp_path, WANTED) == (Amount(3, 1_300), Amount(6, 1_500))


def test_when_the_one_that_shows_has_ended_another_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DownloadProgress(tmp_path, "ptb.g1", WANTED, NONE, line_every_s=0) as late:
        pass
    with DownloadProgress(tmp_path, "georgia.g1", WANTED, NONE) as first:
        with DownloadProgress(tmp_path, "ptb.g1", WANTED, NONE, line_every_s=0) as late:
            first.__exit__(None, None, None)
            capsys.readouterr()
            late.add(5_000_000)
        first._lock = (tmp_path / "shown-by.lock").open("a")
    assert "1 of 6 files, 5.0 of about 5.0 MB" in capsys.readouterr().out


def test_a_finished_batch_counts_with_its_true_size(tmp_path: Path) -> None:
    for _ in range(2):  # the second time everything is here
        with DownloadProgress(tmp_path, "ptb.g1", WANTED, Amount(2, 3_000)):
            pass
    assert sum_of(tmp_path, WANTED) == (Amount(2, 3_000), Amount(6, 3_400))


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "ptb.g1.txt").write_text("many")
    with pytest.raises(PhysiopipeError, match=r"ptb\.g1\.txt"):
        sum_of(tmp_path, WANTED)


def test_a_terminal_gets_a_bar_though_the_output_goes_into_a_log(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from physiopipe.recordings.download_progress import Amount, DownloadProgress
with DownloadProgress(Path({str(tmp_path)!r}), "b", {{"b": Amount(3, 3_000_000)}}, Amount(0, 0)) as progress:
    for _ in range(3):
        time.sleep(0.6)
        progress.add(1_000_000)
"""
    pid, terminal = pty.fork()
    if pid == 0:
        log = (tmp_path / "log").open("w")
        os._exit(subprocess.run([sys.executable, "-c", program], stdout=log, check=False).returncode)
    shown = b""
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:  # the terminal's other end is closed
            break
        if not block:
            break
        shown += block
    assert os.waitpid(pid, 0)[1] == 0
    assert b"3 of 3 files" in shown
    assert b"3.00M/3.00M" in shown
    assert "3 of 3 files, 3.0 of about 3.0 MB" in (tmp_path / "log").read_text()


def test_a_simulated_cohort_says_so_and_speaks_of_no_download(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"a": Amount(3, 354_600_000)}
    with DownloadProgress(tmp_path, "a", wanted, Amount(0, 0), simulated=True) as progress:
        for _ in range(3):
            progress.add(7)
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "simulated recordings: 3 of 3 files checked"
    assert "download" not in told
    assert "MB" not in told
