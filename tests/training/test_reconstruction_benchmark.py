"""The short version of benchmarks/reconstruction.py: a minute of training beats what needs no learning.

On the real records that PHYSIOPIPE_SAMPLE_DIR names, else on simulated ones. The seeds of weights, order, masks and
split are parameters, so that the numbers vary with the machine's arithmetic alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "reconstruction.py"
MARGIN = 0.85  # seen: 0.6 of zero's loss on real records, 0.5 on simulated ones


@pytest.mark.slow
def test_a_minute_of_training_beats_zero_and_the_mean(tmp_path: Path) -> None:
    epochs = "1" if os.environ.get("PHYSIOPIPE_SAMPLE_DIR") else "3"  # about 500 and 300 steps
    quick = ("--layers", "1", "--batch-size", "4", "--learning-rate", "3e-3", "--warmup-steps", "50")
    command = [sys.executable, BENCHMARK, "--epochs", epochs, *quick, "--threads", "1", "--output", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["held_out"] < MARGIN * found["zero"]
    assert found["held_out"] < MARGIN * found["lead_mean"]
    assert found["held_out"] < found["interpolation"]
    assert found["beats_first_three"]
    curve = (tmp_path / "out" / "loss.csv").read_text()
    assert f"{epochs}," in curve
