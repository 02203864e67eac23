"""A run that fails ends with the cause, once, after all that Snakemake says."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from bad_records import SOURCE, copy_tree, publish_sums
from small_study import Undisturbed, copy_of, simulated_tree

pytestmark = pytest.mark.workflow
RECORD = f"{SOURCE}/sim_E00001"
OFTEN = ("data.challenge.sources=[georgia,ptb]", "data.challenge.origin=published", "data.dreamer.origin=file")


def _unlink(name: str) -> Callable[[Path, Path], None]:
    return lambda tree, _: (tree / name).unlink()


def _write(name: str, text: str) -> Callable[[Path, Path], None]:
    def write(tree: Path, _: Path) -> None:
        (tree / name).write_text(text)
        if name != "SHA256SUMS.txt":
            publish_sums(tree)

    return write


def _record_twice(tree: Path, _: Path) -> None:
    for suffix in (".hea", ".mat"):
        (tree / f"training/ptb/g1/sim_E00001{suffix}").write_bytes((tree / f"{RECORD}{suffix}").read_bytes())
    with (tree / "training/ptb/g1/RECORDS").open("a") as handle:
        handle.write("sim_E00001\n")
    publish_sums(tree)


def _other_bytes(tree: Path, _: Path) -> None:
    for path in (tree / SOURCE).glob("*.mat"):
        path.write_bytes(b"<html>Please log in</html>")


def _cut_short(tree: Path, _: Path) -> None:
    for path in (tree / SOURCE).glob("*.mat"):
        path.write_bytes(path.read_bytes()[:-100])
    publish_sums(tree)


def _mat_of_text(_: Path, mat: Path) -> None:
    mat.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(1000))


def _mat_of_others(_: Path, mat: Path) -> None:
    scipy.io.savemat(mat, {"something_else": np.zeros((3, 3))})


def _nothing(_: Path, __: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("cohort", "fault", "changes", "words"),
    [
        ("challenge", _nothing, ["data.challenge.base_url={nowhere}"], "no such folder exists"),
        ("challenge", _nothing, ["data.challenge.base_url=ftp://here/tree"], "an address of the kind ftp://"),
        ("challenge", _nothing, ["data.challenge.base_url=http://127.0.0.1:9/t", "run.retries=0"], "could not be had"),
        ("challenge", _nothing, ["data.challenge.base_url={server}/tree"], "SHA256SUMS.txt is not there (HTTP 404)"),
        ("challenge", _unlink("SHA256SUMS.txt"), [], "SHA256SUMS.txt is not there"),
        ("challenge", _write("SHA256SUMS.txt", "<html>\n"), [], "expected `sha256 path`, found '<html>'"),
        ("challenge", _write("RECORDS", "../../elsewhere/\n"), [], "a plain relative path"),
        (
            "challenge", _nothing, ["data.challenge.sources=[georgia,ptb,ningbo]"],
            "set data.challenge.allow_missing_sources: true",
        ),
        ("challenge", _unlink(f"{RECORD}.mat"), [], "set `allow_missing: true`"),
        ("challenge", _record_twice, [], "lists 1 record(s) twice, first 'sim_E00001'"),
        ("challenge", _other_bytes, [], "have not the bytes that were published"),
        ("challenge", _cut_short, [], "more records cannot be used than data.challenge.max_rejected_share"),
        ("dreamer", _nothing, [], "zenodo.org/records/546113"),
        ("dreamer", _mat_of_text, [], "expected a MATLAB level 5 file"),
        ("dreamer", _mat_of_others, [], "is not DREAMER.mat as published: looked for"),
    ],
)  # fmt: skip
def test_the_cause_comes_last_and_once(
    undisturbed: Undisturbed,
    tmp_path: Path,
    cohort: str,
    fault: Callable[[Path, Path], None],
    changes: list[str],
    words: str,
) -> None:
    tree = copy_tree(simulated_tree(undisturbed.study), tmp_path / "tree")
    mat = tmp_path / "DREAMER.mat"
    fault(tree, mat)
    study = copy_of(undisturbed.study, tmp_path / "study")
    with empty_server(tmp_path / "empty") as server:
        places = {"nowhere": tmp_path / "nowhere", "server": server}
        wanted = [change.format(**places) for change in changes]
        study.preset("tiny", *OFTEN, f"data.challenge.base_url={tree}", f"data.dreamer.path={mat}", *wanted)
        output = study.run("snakemake", "--cores", "2", "--", f"data/windows/{cohort}/manifest.json", expect=1)
    _, _, last = output.rpartition("\nerror: ")
    assert words in last, output
    assert "Snakemake" not in last
    assert "WorkflowError" not in last
    assert output.count(last.strip()) == 2  # where it happened, and at the end
    assert "Traceback" not in output
    if fault is _record_twice:
        assert not (study.folder / "data/raw").exists()  # before any work


def test_after_the_cause_dvc_says_its_one_line(undisturbed: Undisturbed, tmp_path: Path) -> None:
    tree = copy_tree(simulated_tree(undisturbed.study), tmp_path / "tree")
    (tree / "SHA256SUMS.txt").unlink()
    study = copy_of(undisturbed.study, tmp_path / "study")
    study.preset("tiny", *OFTEN[:2], f"data.challenge.base_url={tree}")
    output = study.run("dvc", "repro", "pretraining_windows", expect=255)
    _, _, last = output.rpartition("\nerror: ")
    cause, *after = last.strip().splitlines()
    assert "SHA256SUMS.txt is not there" in cause
    assert [line for line in after if line] == [
        "ERROR: failed to reproduce 'pretraining_windows': failed to run: physiopipe windows --params params.yaml "
        "--pretraining, exited with 1"
    ]
    (log,) = (study.folder / ".snakemake/log").glob("*.snakemake.log")
    for plan in ("Building DAG of jobs", "Select jobs to execute", "reason: Missing output files", "shell:"):
        assert plan not in output
        assert plan in log.read_text()


@contextmanager
def empty_server(folder: Path) -> Iterator[str]:
    """The address of a web server that has nothing."""
    folder.mkdir()
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
