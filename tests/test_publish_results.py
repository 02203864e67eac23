"""What the page beside published results says is what lies there."""

import subprocess
import sys
from pathlib import Path

import pytest

from physiopipe.files import write_json

SCRIPT = Path(__file__).parents[1] / "scripts/publish_results.py"


@pytest.mark.parametrize("ablations", [True, False])
def test_the_page_names_the_folders_and_tables_that_are_there(tmp_path: Path, ablations: bool) -> None:
    study, target = tmp_path / "study", tmp_path / "published"
    results = study / "results/dreamer"
    (results / "predictions").mkdir(parents=True)
    (results / "predictions/chance.parquet").write_bytes(b"rows")
    (results / "table1.md").write_text("# Table 1\n")
    if ablations:
        (results / "ablations").mkdir()
        (results / "ablations/layer_1.parquet").write_bytes(b"rows")
        (results / "ablations.md").write_text("# Ablations\n")
    (study / "results/pretrain").mkdir()
    write_json(study / "results/pretrain/metrics.json", {})
    (study / "params.yaml").write_text("cohorts: {pretraining: challenge, downstream: [dreamer]}\n")
    for name in ("challenge", "dreamer"):
        about = {"records": 1, "windows": 2, "rejected": 0, "simulated": True}
        write_json(study / f"data/windows/{name}/manifest.json", about)
    subprocess.run(["git", "init", "-q"], cwd=study, check=True)
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *who, "commit", "-qm", "state", "--allow-empty"], cwd=study, check=True)
    subprocess.run([sys.executable, SCRIPT, str(study), "dreamer", str(target)], check=True, capture_output=True)
    page = (target / "README.md").read_text()
    assert "[table1.md](table1.md)" in page
    assert ("ablations" in page) == ablations
    assert "fusions" not in page
