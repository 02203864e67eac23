"""A cohort by declaration alone: its clips are those of the cohort that reads the same files by code of its own."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prepared import store_tree

from physiopipe import plan
from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.selection import load_clips
from physiopipe.cohorts.eegmat import ECG_CHANNEL, PUBLISHED_EEG
from physiopipe.cohorts.own_labels import label_of, read_labels
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params, check_params
from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params
from physiopipe.study_files import preset_folders

PEOPLE = 3
DECLARED: dict[str, Any] = {
    "tasks": ["arithmetic"], "eeg": list(PUBLISHED_EEG), "ecg": [ECG_CHANNEL], "eeg_rate_hz": 500, "ecg_rate_hz": 500,
}  # fmt: skip


def declared(**changes: Any) -> OwnCohort:
    return OwnCohort.model_validate(DECLARED | changes)


def params_of(folder: Path, last_s: float = 20.0, **changes: Any) -> Params:
    content = {
        "cohorts": {"downstream": ["stress"], "own": {"stress": DECLARED | changes}},
        "data": {"stress": {"path": str(folder)}},
        "clips": {"stress": {"last_s": last_s}},
    }
    return check_params(content, "test", with_methods=False)


def as_folder(tree: Path, target: Path) -> Path:
    """The first people's files as somebody may keep them: a folder a person, and a csv with other columns too."""
    lines = ["file,age,subject,arithmetic"]
    for person in range(PEOPLE):
        (target / f"person_{person}").mkdir(parents=True)
        for clip in (1, 2):
            file = f"person_{person}/Subject{person:02d}_{clip}.edf"
            shutil.copyfile(tree / f"Subject{person:02d}_{clip}.edf", target / file)
            lines.append(f"{file},20,s{person:02d},{clip - 1}")
    (target / "labels.csv").write_text("\n".join(lines) + "\n")
    return target


def as_bids(tree: Path, target: Path) -> Path:
    """The same people in BIDS, with BIDS's own names of columns."""
    lines = ["filename\tarithmetic"]
    for person in range(PEOPLE):
        (target / f"sub-s{person:02d}" / "eeg").mkdir(parents=True)
        for clip, task in ((1, "rest"), (2, "arithmetic")):
            file = f"sub-s{person:02d}/eeg/sub-s{person:02d}_task-{task}_eeg.edf"
            shutil.copyfile(tree / f"Subject{person:02d}_{clip}.edf", target / file)
            lines.append(f"{file}\t{clip - 1}")
    (target / "scans.tsv").write_text("\n".join(lines) + "\n")
    return target


def clips_of(folder: Path, name: str, params: Params, last_s: float) -> ClipData:
    windows = store_tree(folder, name, params)
    rule = params.clips[name]
    high_from = {task.name: rule.threshold(task) for task in cohort(name).tasks}
    return load_clips(windows, last_s, high_from).of_subjects([f"s{person:02d}" for person in range(PEOPLE)])


def compare(tree: Path, own: Path, folder: Path, last_s: float, **changes: Any) -> None:
    origin = "simulated" if (tree / "subject-info.csv").read_text().count(",1985,") else "published"
    content: Any = {
        "cohorts": {"downstream": ["eegmat"]}, "data": {"eegmat": {"base_url": str(tree), "origin": origin}},
        "clips": {"eegmat": {"last_s": last_s}},
    }  # fmt: skip
    theirs = check_params(content, "test", with_methods=False)
    expected = clips_of(folder / "by_code", "eegmat", theirs, last_s)
    found = clips_of(folder / "own", "stress", params_of(own, last_s, **changes), last_s)
    assert len(expected) == 2 * PEOPLE
    assert found.ecg_channels == (ECG_CHANNEL,)
    for name in ("subjects", "clips", "labels", "eeg", "ecg", "eeg_present", "ecg_present", "valid_patches", "clip_of"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arrange", "changes"), [(as_folder, {}), (as_bids, {"layout": "bids", "labels": "scans.tsv"})]
)
def test_simulated_files_give_the_same_clips(
    eegmat_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[Path, Path], Path], changes: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setattr(plan, "simulated_file", lambda *_: eegmat_tree / "SHA256SUMS.txt")
    compare(eegmat_tree, arrange(eegmat_tree, tmp_path / "mine"), tmp_path, 20.0, **changes)


@pytest.mark.slow
@pytest.mark.sample
def test_real_people_give_the_same_clips(real_eegmat: Path, tmp_path: Path) -> None:
    tree = tmp_path / "published"
    tree.mkdir()
    names = [f"Subject{person:02d}_{clip}.edf" for person in range(PEOPLE) for clip in (1, 2)]
    for name in (*names, "subject-info.csv"):
        shutil.copyfile(real_eegmat / name, tree / name)
    (tree / "RECORDS").write_text("\n".join(names) + "\n")
    lines = (real_eegmat / "SHA256SUMS.txt").read_text().splitlines()
    (tree / "SHA256SUMS.txt").write_text("\n".join(line for line in lines if "RECORDS" not in line) + "\n")
    compare(tree, as_folder(real_eegmat, tmp_path / "mine"), tmp_path, 60.0)


def test_a_declaration_makes_a_complete_file_that_reads_back(tmp_path: Path) -> None:
    content = {
        "cohorts": {"downstream": ["stress"], "own": {"stress": DECLARED}},
        "data": {"stress": {"path": "/lab"}},
        "clips": {"stress": {"high_from": {"arithmetic": 0.5}}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    chosen = preset_with(preset_folders(), str(tmp_path / "mine.yaml"), [])
    text = dump_params(chosen)
    assert check_params(yaml.safe_load(text), "test") == chosen
    assert chosen.clips["stress"].high_from == {"arithmetic": 0.5}
    assert chosen.filter["stress"].eeg.notch_of("stress") == 50.0
    again = pickle.loads(pickle.dumps(chosen))
    assert again == chosen
    assert again.data["stress"].declared == chosen.data["stress"].declared


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"stress": DECLARED | {"eeg_rate": 500}}, r"did you mean `cohorts\.own\.stress\.eeg_rate_hz`"),
        ({"stress": DECLARED | {"ecg": []}}, r"cohorts\.own\.stress\.ecg: .*at least 1"),
        ({"stress": DECLARED | {"ecg": ["Fp1"]}}, "a channel is named twice"),
        ({"stress": DECLARED | {"stored_as": {"T7": "EEG T3"}}}, "stored_as names 'T7'"),
        ({"Stress 1": DECLARED}, r"cohorts\.own\.Stress 1"),
        ({"dreamer": DECLARED}, "there is a cohort of that name already"),
    ],
)
def test_a_wrong_declaration_is_told(section: dict[str, Any], words: str) -> None:
    with pytest.raises(PhysiopipeError, match=words):
        check_params({"cohorts": {"own": section}}, "test")
    with pytest.raises(PhysiopipeError, match="did you mean 'stress'"):
        check_params({"cohorts": {"downstream": ["stres"], "own": {"stress": DECLARED}}}, "test")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "expected a table with the columns file, subject and arithmetic"),
        ("file,subject\na.edf,p\n", "has no column arithmetic; it has: file, subject"),
        ("subject,arithmetic\np,1\n", "has no column file;"),
        ("file,arithmetic\na.edf,1\n", "has no column subject"),
        ("file,subject,arithmetic\n../a.edf,p,1\n", "line 2: expected the path of an .edf file below the folder"),
        ("file,subject,arithmetic\na.edf,p,high\n", "line 2: arithmetic is 'high', expected a number"),
        ("file,subject,arithmetic\na.edf,,1\n", "line 2: expected a person's name"),
        ("file,subject,arithmetic\na.edf,p,1\na.edf,p,0\n", "line 3: a.edf is named twice"),
        ("file,subject,arithmetic\nx/a.edf,p,1\ny/a.edf,q,0\n", "share the name a: each must have its own"),
        ("file,subject,clip,arithmetic\na.edf,p,1,1\nb.edf,p,1,0\n", "share person p and clip 1"),
        ("file,subject,clip,arithmetic\na.edf,p,first,1\n", "clip is 'first', expected a whole number"),
        ("file,subject,arithmetic\n", "names no recording"),
    ],
)
def test_a_wrong_table_is_told_with_its_line(tmp_path: Path, table: str | None, words: str) -> None:
    if table is not None:
        (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(PhysiopipeError, match=words):
        read_labels(tmp_path, declared())


def test_labels_of_people_count_for_each_of_their_bids_recordings(tmp_path: Path) -> None:
    for name in (
        "sub-01/ses-1/eeg/sub-01_ses-1_eeg.edf",
        "sub-01/ses-2/eeg/sub-01_ses-2_eeg.edf",
        "sub-02/eeg/sub-02_eeg.edf",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "participants.tsv").write_text("participant_id\tarithmetic\nsub-01\t1\nsub-02\tn/a\n")
    found = list(read_labels(tmp_path, declared(layout="bids", labels="participants.tsv")).values())
    assert [(one.subject, one.clip, one.ratings) for one in found] == [
        ("01", 1, {"arithmetic": 1.0}), ("01", 2, {"arithmetic": 1.0}), ("02", 1, {}),
    ]  # fmt: skip


def test_a_recording_is_read_before_other_people_s_are_brought(tmp_path: Path) -> None:
    one, other = "sub-01/eeg/sub-01_eeg.edf", "sub-02/eeg/sub-02_eeg.edf"
    (tmp_path / one).parent.mkdir(parents=True)
    (tmp_path / one).touch()
    (tmp_path / "participants.tsv").write_text("participant_id\tarithmetic\nsub-01\t1\nsub-02\t0\n")
    people = declared(layout="bids", labels="participants.tsv")
    with pytest.raises(PhysiopipeError, match=r"holds no sub-02"):
        read_labels(tmp_path, people)
    found = label_of(tmp_path, one, people)
    assert found is not None
    assert found.ratings == {"arithmetic": 1.0}
    (tmp_path / other).parent.mkdir(parents=True)
    (tmp_path / other).touch()
    found = label_of(tmp_path, other, people)
    assert found is not None  # and the table, read before, says so now
    assert (found.subject, found.clip, found.ratings) == ("02", 1, {"arithmetic": 0.0})


def test_the_source_is_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "labels.csv").write_text("file,subject,arithmetic\na.edf,p,1\nb.edf,q,0\n")
    params = params_of(folder)
    with pytest.raises(PhysiopipeError, match=r"names 2 files, and .* has not a\.edf, b\.edf"):
        plan.plan_folder(params, "stress")
    for name in ("a.edf", "b.edf"):
        (folder / name).write_bytes(name.encode())
    before = plan.plan_folder(params, "stress")
    os.utime(folder / "a.edf", (1, 1))
    assert plan.plan_folder(params, "stress") == before
    moved = folder.rename(tmp_path / "moved")
    assert plan.plan_folder(params_of(moved), "stress") == before
    assert plan.plan_folder(params_of(moved, last_s=30.0, title="Stress"), "stress") == before
    assert plan.plan_folder(params_of(moved, ecg=["ECG2"]), "stress") != before
    (moved / "a.edf").write_bytes(b"other")
    assert plan.plan_folder(params_of(moved), "stress") != before
