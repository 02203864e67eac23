"""`physiopipe status`: what is done, what comes next, bytes, free disk, and how long a download may take."""

import shutil
from pathlib import Path

import pytest
from verbs import run

from physiopipe import plan, study_status
from physiopipe.params import Params, load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params
from physiopipe.recordings.tree import Batch, write_plan

PRESETS = Path(__file__).parents[1] / "presets"
BATCHES = [
    Batch("georgia.g1", "georgia", (("training/georgia/g1/E1.hea", "0" * 64),), 300_000_000),
    Batch("ptb.g1", "ptb", (("training/ptb/g1/S1.hea", "1" * 64),), 180_000_000),
]


def study_of(folder: Path, *assignments: str) -> Params:
    (folder / "params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", list(assignments))))
    return load_params(folder / "params.yaml")


def said(folder: Path) -> list[str]:
    code, output = run(folder, "status")
    assert code == 0, output
    return output.splitlines()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A study of a tree on a server, whose lists were read: 480 MB in two batches."""
    address = "data.challenge.base_url=https://example.org/tree"
    params = study_of(tmp_path, "data.challenge.origin=published", address)
    monkeypatch.chdir(tmp_path)
    write_plan(plan.plan_folder(params, "challenge"), BATCHES)
    return params


def test_a_download_is_told_with_its_bytes_its_time_and_the_disk_it_takes(published: Params) -> None:
    lines = said(Path.cwd())
    assert "windows of challenge (real): 0 of 2 batches here, 0 of 2 parts done" in lines
    # 480 MB at 400 kB/s; windows of four rates take half as much again
    words = "to download: about 480 MB, 20 minutes at 400 kB/s; with windows about 1.2 GB of disk"
    assert words in lines
    assert lines[-1] == "next: dvc repro, which comes to windows of challenge (what is done is kept)"
    stamp = plan.recordings_file(published, "challenge", BATCHES[0])
    stamp.parent.mkdir(parents=True)
    stamp.write_bytes(b" " * 3_000_000)
    lines = said(Path.cwd())
    assert "windows of challenge (real): 1 of 2 batches here, 0 of 2 parts done" in lines
    assert "data/raw: 3 MB" in lines
    assert any(line.startswith("to download: about 180 MB, 8 minutes") for line in lines)


@pytest.mark.usefixtures("published")
def test_too_little_disk_is_told_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(Path.cwd())._replace(free=1_100_000_000)
    monkeypatch.setattr(study_status.shutil, "disk_usage", lambda _: free)
    lines = said(Path.cwd())
    assert "free: 1.1 GB" in lines
    assert any(line.endswith("about 1.2 GB of disk - MORE THAN IS FREE") for line in lines)
    monkeypatch.setattr(study_status.shutil, "disk_usage", lambda _: free._replace(free=1_300_000_000))
    assert not any("MORE" in line for line in said(Path.cwd()))


def test_a_folder_is_linked_and_a_simulation_made_so_no_download_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    params = study_of(tmp_path, "data.challenge.origin=published", f"data.challenge.base_url={tree}")
    monkeypatch.chdir(tmp_path)
    write_plan(plan.plan_folder(params, "challenge"), BATCHES)
    lines = said(tmp_path)
    assert "windows of challenge (real): 0 of 2 batches here, 0 of 2 parts done" in lines
    assert "windows of dreamer (simulated): not begun; its recordings are made here, none are downloaded" in lines
    assert not any("to download" in line for line in lines)


def test_what_comes_next_follows_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = study_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_status, "windows_are_current", lambda *_: True)

    def after(name: str) -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
        return said(tmp_path)[-1]

    assert "comes to pretrain " in after("results/dreamer/predictions/chance.parquet")
    assert "comes to methods on dreamer " in after("models/ecg_encoder.safetensors")
    for method in params.methods:
        last = after(f"results/dreamer/predictions/{method}.parquet")
    assert "comes to report of dreamer " in last
    assert after("results/dreamer/report.html").startswith("next: look at results/dreamer/report.html; ")
    lines = said(tmp_path)
    assert "pretrain: done (models/ecg_encoder.safetensors)" in lines
    assert "methods on dreamer: 6 of 6" in lines
    assert "windows of challenge (simulated): done" in lines
