"""One verb started twice at once: both end well, and what they leave is one run's, byte for byte."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_study import Undisturbed, copy_of, simulated_tree
from studies import Study

from physiopipe.files import sha256_file

pytestmark = pytest.mark.workflow
BATCH = "georgia.g1"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def run_twice_at_once(study: Study, *command: str) -> list[int]:
    processes = [study.start(*command) for _ in range(2)]
    return [process.wait(120) for process in processes]


def test_two_shards_of_one_part(undisturbed: Undisturbed, tmp_path: Path) -> None:
    study = copy_of(undisturbed.study, tmp_path / "study", "data/plan", "data/raw", "data/parts")
    (part,) = study.folder.glob(f"data/parts/challenge-ecg/{BATCH}/*")
    (stamp,) = study.folder.glob(f"data/raw/challenge-simulated/complete/{BATCH}/*.json")
    expected = contents(part)
    shutil.rmtree(part)
    of_batch = ("--cohort", "challenge", "--modality", "ecg")
    study.run(
        "physiopipe", "filter", *of_batch, "--batch", BATCH, "--recordings", str(stamp), "--output", "filtered.batch"
    )
    study.run("physiopipe", "resample", *of_batch, "--filtered", "filtered.batch", "--output", "resampled.batch")
    shard = ("physiopipe", "shard", *of_batch, "--batch", BATCH)
    output = part.relative_to(study.folder) / "part.json"
    assert run_twice_at_once(study, *shard, "--resampled", "resampled.batch", "--output", str(output)) == [0, 0]
    assert contents(part) == expected
    assert list(part.parent.iterdir()) == [part]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a web server on loopback, and the paths asked of it."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_two_downloads_of_one_batch(undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    study = copy_of(undisturbed.study, tmp_path / "study")
    tree = simulated_tree(undisturbed.study)
    with served(tree) as (url, asked):
        origin = ("data.challenge.origin=published", f"data.challenge.base_url={url}")
        study.preset("tiny", "data.challenge.sources=[georgia,ptb]", *origin)
        study.run("physiopipe", "discover", "--cohort", "challenge")
        asked.clear()
        assert run_twice_at_once(study, "physiopipe", "download", "--batch", BATCH) == [0, 0]
    published = {path: digest for path, digest in contents(tree / "training/georgia").items() if "RECORDS" not in path}
    assert contents(study.folder / "data/raw/challenge-2021/training/georgia") == published
    assert sorted(asked) == sorted(f"/training/georgia/{path}" for path in published)  # once each
