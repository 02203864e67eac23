"""`physiopipe new`: all of a study or nothing, in a folder that nobody else uses."""

import subprocess
from pathlib import Path

import pytest

from physiopipe import study_files, study_new
from physiopipe.errors import PhysiopipeError
from physiopipe.params import load_params
from physiopipe.params.presets import preset_with
from physiopipe.study_files import COPIED, preset_folders
from physiopipe.study_new import new_study

TINY = preset_with(preset_folders(), "tiny", ["evaluate.seeds=[5]"])


@pytest.mark.slow  # git, and dvc's start
def test_a_new_study_is_whole_and_under_git(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "study"
    new_study(folder, TINY)
    assert [name for name in COPIED if not (folder / name).exists()] == []
    assert load_params(folder / "params.yaml").evaluate.seeds == (5,)
    known = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout.split()
    assert {"params.yaml", "dvc.yaml", ".dvc/config", "workflow/rules/common.smk"} <= set(known)
    made = ["dvc_plots/index.html", "data/raw/x", "logs/x", "state/x", "dvc.lock", "results/dreamer/metrics.json"]
    ignored = subprocess.run(["git", "check-ignore", *made], cwd=folder, capture_output=True, text=True).stdout.split()
    assert ignored == made[:4]  # DVC refuses an ignored lock, and metrics are a baseline to be committed
    assert "analytics = false" in (folder / ".dvc/config").read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["study"]
    with pytest.raises(PhysiopipeError, match=r"holds \.dvc already: name a new folder"):
        new_study(folder, TINY)


def test_where_a_tool_fails_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_new, "_command", lambda name: "false" if name == "dvc" else name)
    with pytest.raises(PhysiopipeError, match="so there is no new study"):
        new_study(tmp_path / "study", TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_package_without_the_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_files, "__file__", str(tmp_path / "physiopipe" / "study_files.py"))
    with pytest.raises(PhysiopipeError, match="install the wheel again"):
        study_files.study_files()
