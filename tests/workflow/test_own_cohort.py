"""A cohort that a study declares itself goes through the workflow like any other; only what changed is made again."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from studies import Study

from physiopipe.cohorts.eegmat import ECG_CHANNEL, PUBLISHED_EEG, SimulateEegmat
from physiopipe.cohorts.eegmat_simulation import simulate_eegmat

pytestmark = pytest.mark.workflow

MANIFEST = "data/windows/stress/manifest.json"


def test_windows_follow_the_table_and_not_the_threshold(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    simulate_eegmat(folder / "SHA256SUMS.txt", SimulateEegmat(subjects=5, rest_s=25, arithmetic_s=20, seed=3))
    rows = [f"Subject{person:02d}_{clip}.edf,p{person},{clip}" for person in range(5) for clip in (1, 2)]
    (folder / "labels.csv").write_text("\n".join(["file,subject,load", *rows]) + "\n")
    content = {
        "cohorts": {
            "downstream": ["stress"],
            "own": {
                "stress": {
                    "tasks": ["load"], "eeg": list(PUBLISHED_EEG), "ecg": [ECG_CHANNEL], "eeg_rate_hz": 500,
                    "ecg_rate_hz": 500,
                }
            },
        },
        "data": {"challenge": {"origin": "simulated"}, "stress": {"path": str(folder)}},
        "clips": {"stress": {"last_s": 20.0, "high_from": {"load": 2}}},
        "encoders": {"eeg_weights": {"origin": "none"}},
        "methods": ["chance"],
        "robustness": {"methods": []},
    }  # fmt: skip
    (study.folder / "mine.yaml").write_text(yaml.safe_dump(content))
    study.run("physiopipe", "preset", "mine.yaml", "--force")
    study.run("physiopipe", "inputs")
    study.run("snakemake", "--cores", "2", "--", MANIFEST)
    index = pd.read_parquet(study.folder / "data/windows/stress/index.parquet")
    assert sorted(index["subject"].unique()) == [f"p{person}" for person in range(5)]
    assert set(index["load"]) == {1.0, 2.0}
    study.run("physiopipe", "preset", "mine.yaml", "--force", "--set", "clips.stress.high_from.load=1.5")
    assert "Nothing to be done" in study.run("snakemake", "--cores", "2", "--", MANIFEST)
    (folder / "labels.csv").write_text("\n".join(["file,subject,load", *rows[:-1], rows[-1][:-1] + "7"]) + "\n")
    study.run("snakemake", "--cores", "2", "--", MANIFEST)
    index = pd.read_parquet(study.folder / "data/windows/stress/index.parquet")
    assert set(index["load"]) == {1.0, 2.0, 7.0}
