"""A run that fails ends with the cause, once, after all that Snakemake says."""

from pathlib import Path

import pytest
from bad_records import copy_tree, publish_sums
from small_study import Undisturbed, copy_of, simulated_tree

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("cohort", "fault", "words"),
    [
        ("challenge", "no such folder", "no such folder exists"),
        ("challenge", "no checksum list", "SHA256SUMS.txt is not there"),
        ("challenge", "missing source", "set data.challenge.allow_missing_sources: true"),
        ("challenge", "missing record", "set `allow_missing: true`"),
        ("challenge", "record twice", "lists 1 record(s) twice, first 'sim_E00001'"),
        ("dreamer", "another file", "expected a MATLAB level 5 file"),
        ("dreamer", "no file", "zenodo.org/records/546113"),
    ],
)
def test_the_cause_comes_last_and_once(
    undisturbed: Undisturbed, tmp_path: Path, cohort: str, fault: str, words: str
) -> None:
    tree = copy_tree(simulated_tree(undisturbed.study), tmp_path / "tree")
    mat = tmp_path / "DREAMER.mat"
    sources = "[georgia,ptb,ningbo]" if fault == "missing source" else "[georgia,ptb]"
    if fault == "missing record":
        (tree / "training/georgia/g1/sim_E00001.mat").unlink()
    elif fault == "record twice":
        for suffix in (".hea", ".mat"):
            content = (tree / f"training/georgia/g1/sim_E00001{suffix}").read_bytes()
            (tree / f"training/ptb/g1/sim_E00001{suffix}").write_bytes(content)
        with (tree / "training/ptb/g1/RECORDS").open("a") as handle:
            handle.write("sim_E00001\n")
        publish_sums(tree)
    elif fault == "no checksum list":
        (tree / "SHA256SUMS.txt").unlink()
    elif fault == "another file":
        mat.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(1000))
    study = copy_of(undisturbed.study, tmp_path / "study")
    study.preset(
        "tiny",
        f"data.challenge.sources={sources}",
        "data.challenge.origin=published",
        f"data.challenge.base_url={tmp_path / 'nowhere' if fault == 'no such folder' else tree}",
        "data.dreamer.origin=file",
        f"data.dreamer.path={mat}",
    )
    output = study.run("snakemake", "--cores", "2", "--", f"data/windows/{cohort}/manifest.json", expect=1)
    _, _, last = output.rpartition("\nerror: ")
    assert words in last, output
    assert "Snakemake" not in last
    assert "WorkflowError" not in last
    assert output.count(last.strip()) == 2  # where it happened, and at the end
    assert "Traceback" not in output
    if fault == "record twice":
        assert not (study.folder / "data/raw").exists()  # before any work
