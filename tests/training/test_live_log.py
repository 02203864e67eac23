"""What TensorBoard would show of a run that was killed is what the loss log says, each point once."""

import csv
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small_pretraining import files_in
from tensorboardX.proto.event_pb2 import Event, SessionLog

from physiopipe.training.live_log import LiveLog

SCRIPT = Path(__file__).with_name("small_pretraining.py")


def shown(folder: Path) -> dict[tuple[str, int], float]:
    """Points by curve and step: events of the files in order, less what a later start takes back; none twice."""
    points: list[tuple[str, int, float]] = []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at + 12 <= len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])  # length and its checksum; data and checksum
            at += 16 + length
            if event.HasField("session_log") and event.session_log.status == SessionLog.START:
                points = [point for point in points if point[1] < event.step]
            points += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    assert max(Counter(point[:2] for point in points).values(), default=1) == 1
    return {point[:2]: point[2] for point in points}


@pytest.mark.slow
def test_curves_of_a_killed_run(tmp_path: Path) -> None:
    for batches in (4, 12):
        command = [sys.executable, SCRIPT, tmp_path, str(int(signal.SIGKILL)), str(batches), "0"]
        assert subprocess.run(command, capture_output=True, timeout=120).returncode == -signal.SIGKILL
    subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, timeout=120).check_returncode()
    (folder,) = (tmp_path / "logs").iterdir()
    curves = shown(folder / "losses")
    with files_in(tmp_path).loss.open() as handle:
        rows = list(csv.DictReader(handle))
    expected = {}
    for row in rows:
        group = f"{row['split']}_{row['rate_hz']}_hz" if row["rate_hz"] else f"{row['split']}_{row['source']}"
        expected[f"{group.rstrip('_')}/{row['term']}", int(row["step"])] = float(row["value"])
    assert curves == pytest.approx(expected, rel=1e-6)
    live = shown(folder / "live")
    assert {name for name, _ in live} == {"live/loss", "live/learning_rate", "live/samples_per_s", "live/hours_left"}


def test_live_points_after_the_saved_step_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physiopipe.training.live_log._EVERY_S", 0.0)
    with LiveLog(tmp_path, 0, []) as log:
        for step in range(1, 9):
            log.live(step, {"loss": 1.0})
    with LiveLog(tmp_path, 5, []) as log:
        for step in range(6, 8):
            log.live(step, {"loss": 2.0})
    assert shown(tmp_path / "live") == {("live/loss", step): 1.0 if step < 6 else 2.0 for step in range(1, 8)}


def test_no_folder_no_log() -> None:
    with LiveLog(None, 0, [[0, 0, "train", "", "", "total", "1"]]) as log:
        log.live(1, {"loss": 1.0})
