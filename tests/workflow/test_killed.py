"""`kill -9` in the middle: a plain rerun redoes what was missing, and nothing else."""

import time

import pytest
from conftest import Study, kill

from physiopipe.files import read_json

pytestmark = pytest.mark.workflow


def test_a_killed_repro_redoes_only_what_was_missing(study: Study, tiny: Study) -> None:
    study.preset("tiny")
    wanted = len(list(tiny.folder.glob("data/parts/challenge-ecg/*/*/part.json")))
    process = study.start("dvc", "repro", "windows@challenge")
    finished = {}
    while len(finished) < max(1, round(0.8 * wanted) - 1):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
        finished = study.parts()
    kill(process)
    survived = study.parts()
    assert 0 < len(survived) < wanted
    study.run("dvc", "repro", "windows@challenge")
    after = study.parts()
    assert {path: after[path] for path in survived} == survived
    assert len(after) == wanted
    manifest = "data/windows/challenge/manifest.json"
    assert read_json(study.folder / manifest) == read_json(tiny.folder / manifest)


def test_two_runs_at_once_end_well(study: Study, tiny: Study) -> None:
    study.preset("tiny")
    first = study.start("snakemake", "--cores", "1", "data/windows/challenge/manifest.json")
    second = study.start("snakemake", "--cores", "1", "data/windows/challenge/manifest.json")
    ended = [process.wait(timeout=300) for process in (first, second)]
    assert 0 in ended
    study.run("snakemake", "--cores", "2", "data/windows/challenge/manifest.json")
    manifest = "data/windows/challenge/manifest.json"
    assert read_json(study.folder / manifest) == read_json(tiny.folder / manifest)
