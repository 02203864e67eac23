"""`kill -9` in the middle: a plain rerun redoes what was missing, and nothing else."""

import time

import pytest
from studies import Study, kill

from physiopipe.files import read_json

pytestmark = pytest.mark.workflow


def test_a_killed_repro_redoes_only_what_was_missing(study: Study, tiny: Study) -> None:
    study.preset("tiny")
    wanted = len(list(tiny.folder.glob("data/parts/challenge-ecg/*/*/part.json")))
    process = study.start("dvc", "repro", "pretraining_windows")
    finished = {}
    while len(finished) < max(1, round(0.8 * wanted) - 1):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
        finished = study.parts()
    kill(process)
    survived = study.parts()
    assert 0 < len(survived) < wanted
    study.run("dvc", "repro", "pretraining_windows")
    after = study.parts()
    assert {path: after[path] for path in survived} == survived
    assert len(after) == wanted
    manifest = "data/windows/challenge/manifest.json"
    assert read_json(study.folder / manifest) == read_json(tiny.folder / manifest)


def test_the_second_of_two_runs_at_once_says_so_and_harms_nothing(study: Study, tiny: Study) -> None:
    study.preset("tiny")
    manifest = "data/windows/challenge/manifest.json"
    first = study.start("snakemake", "--cores", "1", manifest)
    while not (study.folder / "data/simulated").exists():  # its jobs run
        assert first.poll() is None
        time.sleep(0.05)
    output = study.run("snakemake", "--cores", "1", manifest, expect=1)
    assert "another snakemake is at work in this folder" in output
    assert "Traceback" not in output
    assert first.wait(timeout=300) == 0
    assert read_json(study.folder / manifest) == read_json(tiny.folder / manifest)
