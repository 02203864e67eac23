"""benchmarks/transfer.py runs on the real records, small and in full, and says what came out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from physiopipe.cohorts.challenge_score import SCORED
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import Encoder

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "transfer.py"


def run(folder: Path, *arguments: str) -> tuple[str, dict[str, object]]:
    sizes = Encoder(layers=1, width=40, feedforward=40, heads=2, position_kernel=(3, 3))
    torch.manual_seed(1)
    metadata = {"encoder": sizes.model_dump_json(), "normalisation": "lead_zscore", "steps": "0", "train_windows": "0"}
    save_encoder(folder / "encoder.safetensors", CrissCrossEncoder(sizes), metadata)
    command = [sys.executable, BENCHMARK, "--encoder", folder / "encoder.safetensors", "--seeds", "2", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.sample
def test_rhythms_of_the_real_records(tmp_path: Path) -> None:
    if not os.environ.get("PHYSIOPIPE_SAMPLE_DIR"):
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    printed, found = run(tmp_path)
    assert found["records"] == 166
    assert "STach" in printed
    assert "Brady" not in printed  # too few records have it
    mean, low, high = found["spectral"]
    assert low <= mean <= high
    assert mean > 0.6  # rates of the heart are in a spectrum


@pytest.mark.slow
@pytest.mark.sample
def test_full_scores_by_the_challenge(tmp_path: Path) -> None:
    if not os.environ.get("PHYSIOPIPE_SAMPLE_DIR"):
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    names = ["|".join(codes) for codes in SCORED.values()]
    rows = [[name, *("1" if name == other else "0.3" for other in names)] for name in names]
    (tmp_path / "weights.csv").write_text("\n".join(",".join(row) for row in [["", *names], *rows]) + "\n")
    printed, found = run(tmp_path, "--full", "--weights", str(tmp_path / "weights.csv"))
    assert all(name in printed for name in SCORED)
    assert set(found["challenge"]) == {"ours", "untrained", "spectral", "ours_minus_untrained", "ours_minus_spectral"}
    assert -1 < found["challenge"]["spectral"][0] < 1
