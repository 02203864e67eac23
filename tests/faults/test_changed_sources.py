"""A source that changed leads to windows of the new recordings, whatever the files' times say."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bad_records import copy_tree, publish_sums
from small_study import MANIFEST, SNAKEMAKE, WINDOWS, Undisturbed, copy_of, simulated_tree
from studies import Study
from test_two_at_once import served

from physiopipe.files import read_json
from physiopipe.windows.damage import damage_of_cohort
from physiopipe.windows.store import WindowStore

pytestmark = pytest.mark.workflow
FOLDER = "training/georgia/g1"
DAY_S = 86_400


def of_tree(undisturbed: Undisturbed, folder: Path, address: str) -> Study:
    study = copy_of(undisturbed.study, folder)
    study.preset(
        "tiny",
        "data.challenge.sources=[georgia,ptb]",
        "data.challenge.origin=published",
        f"data.challenge.base_url={address}",
    )
    return study


def tree_of(undisturbed: Undisturbed, place: Path) -> Path:
    return copy_tree(simulated_tree(undisturbed.study), place / "tree")


def shift_times(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            moved = path.stat().st_mtime + seconds
            os.utime(path, (moved, moved))


def records_of(study: Study) -> set[str]:
    return set(pd.read_parquet(study.folder / WINDOWS / "index.parquet")["record"])


def samples_of(study: Study, record: str) -> bytes:
    store = WindowStore(study.folder / WINDOWS)
    return store.gather(np.flatnonzero((store.index["record"] == record).to_numpy()))[0].tobytes()


def double(tree: Path, name: str) -> None:
    """Replace a record by one of twice the amplitude, as long as it was; its lists are left alone."""
    header, mat = tree / FOLDER / f"{name}.hea", tree / FOLDER / f"{name}.mat"
    head, samples = mat.read_bytes()[:24], np.frombuffer(mat.read_bytes(), "<i2", offset=24)
    doubled = (2 * samples).astype("<i2").reshape(-1, 12)
    mat.write_bytes(head + doubled.tobytes())
    first, *lines = header.read_text().splitlines()
    for number, column in enumerate(doubled.T):
        words = lines[number].split()
        words[5], words[6] = str(column[0]), str(int(column.sum(dtype=np.int16)))
        lines[number] = " ".join(words)
    header.write_text("\n".join([first, *lines]) + "\n")


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("seconds", [-400 * DAY_S, DAY_S])
def test_a_tree_with_more_and_other_records(
    undisturbed: Undisturbed, tmp_path: Path, seconds: float, scheme: str
) -> None:
    tree = tree_of(undisturbed, tmp_path)
    shift_times(tree, seconds)
    study = of_tree(undisturbed, tmp_path / "study", f"{scheme}{tree}")
    study.run(*SNAKEMAKE)
    before, changed = records_of(study), samples_of(study, "sim_E00001")
    names = (tree / FOLDER / "RECORDS").read_text().split()
    for name in ("more_1", "more_2"):
        for suffix in (".hea", ".mat"):
            content = (tree / FOLDER / f"sim_E00002{suffix}").read_bytes()
            (tree / FOLDER / f"{name}{suffix}").write_bytes(content.replace(b"sim_E00002", name.encode()))
    (tree / FOLDER / "RECORDS").write_text("".join(f"{name}\n" for name in [*names, "more_1", "more_2"]))
    double(tree, "sim_E00001")
    publish_sums(tree)
    shift_times(tree, seconds)
    output = study.run(*SNAKEMAKE)
    assert records_of(study) == before | {"more_1", "more_2"}, output
    assert samples_of(study, "sim_E00001") != changed
    assert "Nothing to be done" in study.run(*SNAKEMAKE)


def test_parameters_that_come_back_find_their_own_recordings(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Two trees with files of one name and size in turn: a stamp must not stand for the other's files."""
    one = tree_of(undisturbed, tmp_path)
    other = Path(shutil.copytree(one, tmp_path / "other"))
    double(other, "sim_E00001")
    publish_sums(other)
    study = of_tree(undisturbed, tmp_path / "study", str(one))
    study.run(*SNAKEMAKE)
    right = (study.folder / MANIFEST).read_bytes()
    expected = samples_of(study, "sim_E00001")
    for tree in (other, one):
        study.preset("tiny", "data.challenge.sources=[georgia,ptb]", "data.challenge.origin=published",
                     f"data.challenge.base_url={tree}")  # fmt: skip
        shutil.rmtree(study.folder / "data/parts")
        study.run(*SNAKEMAKE)
        assert (samples_of(study, "sim_E00001") == expected) == (tree == one)
    assert (study.folder / MANIFEST).read_bytes() == right


def test_one_tree_by_folder_and_by_http_is_one_manifest(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tree = tree_of(undisturbed, tmp_path)
    by_folder = of_tree(undisturbed, tmp_path / "by_folder", str(tree))
    by_folder.run(*SNAKEMAKE)
    by_folder.run("physiopipe", "inputs")
    with served(tree) as (url, _):
        by_http = of_tree(undisturbed, tmp_path / "by_http", url)
        by_http.run(*SNAKEMAKE)
        by_http.run("physiopipe", "inputs")
        assert (by_http.folder / MANIFEST).read_bytes() == (by_folder.folder / MANIFEST).read_bytes()
        for study, place in ((by_folder, str(tree)), (by_http, url)):
            written = [*study.folder.glob("data/inputs/*"), *study.folder.rglob("data/plan/**/*.csv")]
            written += [*study.folder.rglob("data/parts/**/part.json"), study.folder / MANIFEST]
            for path in written:
                assert not path.is_file() or place not in path.read_text(), path


def test_times_ahead_of_the_clock_hide_no_parameter(undisturbed: Undisturbed, tmp_path: Path) -> None:
    study = copy_of(undisturbed.study, tmp_path / "study", "data")
    shift_times(study.folder / "data", DAY_S)
    assert "Nothing to be done" in study.run(*SNAKEMAKE)
    for change, key in (
        ("simulate.challenge.seed=7", "source_sha256"),
        ("shard.challenge.ecg.max_windows_per_record=1", "parameters_sha256"),
    ):
        before = read_json(study.folder / MANIFEST)
        study.preset("tiny", "data.challenge.sources=[georgia,ptb]", change)
        study.run(*SNAKEMAKE)
        shift_times(study.folder / "data", DAY_S)
        assert read_json(study.folder / MANIFEST)[key] != before[key]
        assert "Nothing to be done" in study.run(*SNAKEMAKE)
    assert damage_of_cohort(study.folder / WINDOWS) == {}


@pytest.mark.parametrize("how", ["cp -p", "mv", "in place"])
def test_a_file_replaced_by_an_older_one(undisturbed: Undisturbed, tmp_path: Path, how: str) -> None:
    """Of the same size: the simulated file with one sample changed."""
    from physiopipe.cohorts.dreamer import SimulateDreamer
    from physiopipe.cohorts.dreamer_simulation import simulate_dreamer

    names = [tmp_path / "one.mat", tmp_path / "other.mat"]
    for seed, path in enumerate(names):
        simulate_dreamer(path, SimulateDreamer(subjects=5, clips=2, max_clip_s=66.0, min_clip_s=66.0, seed=seed))
    for path in names:  # times of long ago, the second file's before the first's
        os.utime(path, (1_000_000_000 - names.index(path),) * 2)
    used = tmp_path / "used.mat"
    subprocess.run(["cp", "-p", names[0], used], check=True)
    program = (
        "import sys\nfrom physiopipe import plan\nfrom physiopipe.params import check_params\n"
        "data = {'data': {'dreamer': {'origin': 'file', 'path': sys.argv[1]}}}\n"
        "params = check_params(data, '', False)\n"
        "print(plan.plan_folder(params, 'dreamer'), plan.local_inputs(params)['dreamer']['source']['sha256'])\n"
    )
    study = copy_of(undisturbed.study, tmp_path / "study")

    def told() -> list[str]:
        return study.run("python", "-c", program, str(used)).split()

    time.sleep(2.1)  # a file that was changed less than two seconds ago is never looked up
    first = told()
    assert told() == first
    assert (study.folder / "data/digests.json").exists()
    if how == "in place":
        used.write_bytes(names[1].read_bytes())
        os.utime(used, (1_000_000_000,) * 2)
    else:
        subprocess.run([*how.split(), names[1], used], check=True)
    second = told()
    assert second[1] == hashlib.sha256(used.read_bytes()).hexdigest()
    assert second[0] != first[0]
