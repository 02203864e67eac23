"""The page for recordings of one's own: every block of code on it is run, in its order."""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_study import SmallStudy
from recordings_made import beats, write_edf
from typer.testing import CliRunner

from physiopipe.cli import app
from physiopipe.cohorts.eegmat import PUBLISHED_EEG
from physiopipe.params.writing import dump_params

PAGE = Path(__file__).parents[2] / "docs" / "own_recordings.md"


@pytest.fixture
def place(small_study: SmallStudy, tmp_path: Path) -> Path:
    """A study with its tables, and a folder of own recordings in it."""
    (tmp_path / "params.yaml").write_text(dump_params(small_study.params))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "windows").symlink_to(small_study.root / "windows")
    (tmp_path / "results").symlink_to(small_study.root / "results")
    (tmp_path / "state").symlink_to(small_study.root / "state")
    (tmp_path / "models").mkdir()
    shutil.copy(small_study.root / "ecg_encoder.safetensors", tmp_path / "models")
    noise = 8 * np.random.default_rng(0).normal(size=(len(PUBLISHED_EEG), 30 * 500))
    signal = np.concatenate([noise, 1000 * beats(30, 500)[1:2]])
    names = (*(f"EEG {name}" for name in PUBLISHED_EEG), "ECG II")
    write_edf(tmp_path / "recordings" / "sub-01_task-rest_eeg.edf", signal, 500, names, "uV")
    return tmp_path


@pytest.mark.slow
def test_every_block_of_the_page_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "python", "python", "sh", "sh"]
    said = []
    for kind, text in blocks:
        if kind == "python":
            assert len(text.strip().splitlines()) <= 11
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(text, str(PAGE), "exec"), {})
            said.append(printed.getvalue())
            continue
        (line,) = text.strip().splitlines()
        tool, *arguments = shlex.split(line)
        assert tool == "physiopipe"
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said.append(done.output)
    features, eeg = said[1], said[2]
    assert features.startswith("(3, 40) [ 0. 10. 20.] ('I', 'III',")
    assert "(3, 12, 10, 200) 10.0" in features
    assert eeg.strip() == "(3, 15000) 500.0 uV ()"
    assert sorted(path.name for path in Path().iterdir()) == [
        "data", "dvc.yaml", "embeddings.parquet", "embeddings.records.parquet", "embeddings.refused.csv", "models",
        "params.yaml", "predictions.csv", "predictions.json", "predictions.refused.csv", "recordings", "results",
        "state",
    ]  # fmt: skip
    assert len(pd.read_parquet("embeddings.parquet")) == 3
    found = pd.read_csv("predictions.csv")
    assert found["record"].tolist() == ["sub-01_task-rest_eeg"]
    assert found["probability"].between(0, 1).all()
