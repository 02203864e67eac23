"""What the page beside published results says is what lies there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_predictions import make_predictions
from made_up_study import write_costs

from physiopipe.experiments.predictions import write_predictions
from physiopipe.files import write_json
from physiopipe.params import Params, check_params
from physiopipe.params.writing import dump_params

SCRIPT = Path(__file__).parents[1] / "scripts/publish_results.py"


def study_with(folder: Path, params: str) -> Path:
    """A study whose windows and encoder are made; returns its folder of results."""
    write_json(folder / "results/pretrain/metrics.json", {})
    (folder / "params.yaml").write_text(params)
    for name in ("challenge", "dreamer"):
        about = {"records": 1, "windows": 2, "rejected": 0, "simulated": True}
        write_json(folder / f"data/windows/{name}/manifest.json", about)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *who, "commit", "-qm", "state", "--allow-empty"], cwd=folder, check=True)
    (folder / "results/dreamer/predictions").mkdir(parents=True)
    return folder / "results/dreamer"


def publish(study: Path, target: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), str(study), "dreamer", str(target), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("ablations", [True, False])
def test_the_page_names_the_folders_and_tables_that_are_there(tmp_path: Path, ablations: bool) -> None:
    study, target = tmp_path / "study", tmp_path / "published"
    results = study_with(study, "cohorts: {pretraining: challenge, downstream: [dreamer]}\n")
    (results / "predictions/chance.parquet").write_bytes(b"rows")
    (results / "table1.md").write_text("# Table 1\n")
    if ablations:
        (results / "ablations").mkdir()
        (results / "ablations/layer_1.parquet").write_bytes(b"rows")
        (results / "ablations.md").write_text("# Ablations\n")
    assert publish(study, target).returncode == 0
    page = (target / "README.md").read_text()
    assert "[table1.md](table1.md)" in page
    assert ("ablations" in page) == ablations
    assert "fusions" not in page
    assert "nfinished" not in page


@pytest.mark.slow
def test_a_study_under_way_is_published_with_the_rows_that_it_has(tmp_path: Path) -> None:
    study, target = tmp_path / "study", tmp_path / "published"
    asked = {"methods": ["always_high", "chance", "tfc"], "evaluate": {"protocol": "crossval", "seeds": [0]}}
    params: Params = check_params(asked, "test")
    results = study_with(study, dump_params(params))
    about = {"cohort": "dreamer", "simulated": False, "licence": "BSD-3-Clause", "inputs": [], "provenance": "baseline"}
    refused = publish(study, target, "--unfinished")
    assert (refused.returncode, "no row yet" in refused.stderr) == (1, True)
    for name in ("always_high", "tfc"):
        frame = make_predictions(name, (0,), 12, 18, 0.7)
        write_predictions(results / f"predictions/{name}.parquet", frame, about)
    write_costs(results / "costs")
    refused = publish(study, target)
    assert refused.returncode == 1
    assert "lacks chance: run `dvc repro`" in refused.stderr
    assert publish(study, target, "--unfinished").returncode == 0
    said = "UNFINISHED: 1 of 3 rows have not been run: chance."
    assert said in (target / "table1.md").read_text()
    assert "**Unfinished**: not run yet: chance." in (target / "README.md").read_text()
    assert set(json.loads((target / "metrics.json").read_text())) == {"always_high", "tfc"}
    assert sorted(path.stem for path in (target / "predictions").iterdir()) == ["always_high", "tfc"]
