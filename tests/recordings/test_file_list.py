"""A list of files with MD5: read, refused, and downloaded by."""

import hashlib
from pathlib import Path

import pytest
from faulty_server import serve, wrong_bytes

from physiopipe.errors import PhysiopipeError
from physiopipe.files import checksum_file
from physiopipe.params import Run
from physiopipe.recordings import http_tree
from physiopipe.recordings.download import download_batch
from physiopipe.recordings.download_stamp import read_download
from physiopipe.recordings.file_list import ListedFile, described, read_list, write_list
from physiopipe.recordings.tree import Batch, open_tree, record_of

RUN = Run(connections=2, timeout_s=0.3, retries=1)
FILES = {
    "sub-01/eeg/sub-01_task-run1_eeg.edf": b"signals" * 1000,
    "sub-01/eeg/sub-01_task-run1_events.tsv": b"onset\n1\n",
    "sub-02/eeg/sub-02_task-run1_eeg.edf": b"others" * 1000,
    "sub-02/eeg/sub-02_task-run1_events.tsv": b"onset\n2\n",
}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_tree, "FIRST_WAIT_S", 0.02)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        target = tmp_path / "published" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return tmp_path / "published"


BATCH = Batch("all", "bcmi", tuple(described(path, content).entry for path, content in FILES.items()))


def test_a_list_is_read_as_it_was_written() -> None:
    files = [described(path, content) for path, content in FILES.items()]
    assert files[1] == ListedFile(files[1].path, 8, hashlib.md5(b"onset\n1\n").hexdigest())
    assert read_list(write_list(files), "here") == files


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no list of files"),
        ("path,bytes,sha256\n", "no list of files"),
        (f"path,bytes,md5\na,1,{'0' * 31}\n", "line 2"),
        (f"path,bytes,md5\na,-1,{'0' * 32}\n", "line 2"),
        ("path,bytes,md5\na,1\n", "line 2"),
        (f"path,bytes,md5\na,1,{'0' * 32}\na,2,{'1' * 32}\n", "line 3"),
        (f"path,bytes,md5\n../a,1,{'0' * 32}\n", "plain relative path"),
        (f"path,bytes,md5\n/etc/a,1,{'0' * 32}\n", "plain relative path"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(text: str, found: str) -> None:
    with pytest.raises(PhysiopipeError, match=found):
        read_list(text, "here")


def test_files_of_one_bids_recording_are_one_record() -> None:
    assert BATCH.first_files == {
        "sub-01_task-run1": "sub-01/eeg/sub-01_task-run1_eeg.edf",
        "sub-02_task-run1": "sub-02/eeg/sub-02_task-run1_eeg.edf",
    }
    assert [record_of(name) for name in ("g1/A0001.hea", "Subject00_1.edf", "sim_HR00001.mat", "sub-01_x.y.edf")] == [
        "A0001", "Subject00_1", "sim_HR00001", "sub-01_x.y",
    ]  # fmt: skip


def test_a_checksum_is_computed_in_the_published_form(root: Path) -> None:
    path, content = next(iter(FILES.items()))
    assert checksum_file(root / path, "md5:") == "md5:" + hashlib.md5(content).hexdigest()
    assert checksum_file(root / path, "0" * 64) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("remote", [False, True])
def test_files_come_by_their_md5(root: Path, tmp_path: Path, remote: bool) -> None:
    with serve(root) as server:
        tree = open_tree(server.url if remote else str(root), RUN)
        rejected = download_batch(tree, BATCH, tmp_path / "raw", tmp_path / "stamp.json", tmp_path / "locks", RUN)
    assert rejected == []
    assert {path: (tmp_path / "raw" / path).read_bytes() for path in FILES} == FILES
    assert read_download(tmp_path / "stamp.json", tmp_path / "raw").records == ("sub-01_task-run1", "sub-02_task-run1")


def test_wrong_bytes_are_found_by_md5_and_not_kept(root: Path, tmp_path: Path) -> None:
    first = next(iter(FILES))
    with serve(root) as server:
        server.always[first] = wrong_bytes
        rejected = download_batch(
            open_tree(server.url, RUN), BATCH, tmp_path / "raw", tmp_path / "stamp.json", tmp_path / "locks", RUN
        )
    ((record, reason, absent),) = rejected
    assert not absent
    assert record == "sub-01_task-run1"
    assert "its checksum begins md5:" in reason
    assert not (tmp_path / "raw" / first).exists()


def test_events_that_are_not_there_leave_out_their_record_alone(root: Path, tmp_path: Path) -> None:
    (root / "sub-01/eeg/sub-01_task-run1_events.tsv").unlink()
    with serve(root) as server:
        rejected = download_batch(
            open_tree(server.url, RUN), BATCH, tmp_path / "raw", tmp_path / "stamp.json", tmp_path / "locks", RUN
        )
    assert [each.record for each in rejected] == ["sub-01_task-run1"]
    assert "not on the server" in rejected[0].reason


def test_a_bucket_with_a_dot_in_its_name_is_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    address = "https://s3.amazonaws.com/openneuro.org/ds002722"
    assert open_tree("s3://openneuro.org/ds002722/", RUN).base_url == address
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert open_tree("s3://openneuro.org/ds002722", RUN).base_url == "http://127.0.0.1:9000/openneuro.org/ds002722"
