"""Downloads over real connections that break in every way a server has: nothing wrong or half-written gets its name."""

import hashlib
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from faulty_server import Fault, Server, cut_at, serve, stall, status, wrong_bytes

from physiopipe.cohorts.challenge import ChallengeData
from physiopipe.cohorts.challenge_tree import plan_batches
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.params import Run
from physiopipe.recordings import download, http_tree
from physiopipe.recordings.download import connection_slot, download_batch
from physiopipe.recordings.download_stamp import NotHere, read_download
from physiopipe.recordings.tree import Batch, open_tree

FOLDER = "training/georgia/g1"
NAMES = ("E00001", "E00002", "E00003")
FIRST = f"{FOLDER}/E00001.mat"
RUN = Run(connections=3, timeout_s=0.3, retries=2)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_tree, "FIRST_WAIT_S", 0.02)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def write_tree(root: Path, names: tuple[str, ...] = NAMES, size: int = 40_000) -> Path:
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / f"{name}.hea").write_text(f"{name} 12 500 5000\n")
        (folder / f"{name}.mat").write_bytes(os.urandom(8) + bytes([number]) * size)
    (folder / "RECORDS").write_text("".join(f"{name}\n" for name in names))
    (root / "RECORDS").write_text(f"{FOLDER}/\n")
    sums = [f"{sha256_file(path)} {path.relative_to(root)}\n" for path in sorted(root.rglob("*")) if path.is_file()]
    (root / "SHA256SUMS.txt").write_text("".join(sums))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "published")


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with serve(root) as running:
        yield running


def planned(base_url: str) -> Batch:
    (batch,) = plan_batches(open_tree(base_url, RUN), ChallengeData(sources=("georgia",)))
    return batch


def bring(base_url: str, batch: Batch, here: Path, run: Run = RUN) -> list[NotHere]:
    return download_batch(open_tree(base_url, run), batch, here / "raw", here / "stamp.json", here / "locks", run)


def check_whole(batch: Batch, here: Path) -> None:
    for relative, sha256 in batch.files:
        assert sha256_file(here / "raw" / relative) == sha256
    left = {str(path.relative_to(here / "raw")) for path in (here / "raw").rglob("*") if path.is_file()}
    assert left == {relative for relative, _ in batch.files}


def check_only_right_names(batch: Batch, here: Path) -> None:
    """Whatever has a final name has the right bytes."""
    for relative, sha256 in batch.files:
        path = here / "raw" / relative
        assert not path.exists() or sha256_file(path) == sha256


def test_everything_comes_once_and_a_second_run_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.requests.clear()
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)
    assert server.requests == {relative: 1 for relative, _ in batch.files}
    stamp = (tmp_path / "stamp.json").read_bytes()
    server.requests.clear()
    assert bring(server.url, batch, tmp_path) == []
    assert not server.requests
    assert read_download(tmp_path / "stamp.json", tmp_path / "raw").records == NAMES
    (tmp_path / "stamp.json").unlink()  # files that are there and right are kept, stamp or no stamp
    assert bring(server.url, batch, tmp_path) == []
    assert not server.requests
    assert (tmp_path / "stamp.json").read_bytes() == stamp


def test_a_removed_or_damaged_file_alone_is_fetched_again(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    bring(server.url, batch, tmp_path)
    server.requests.clear()
    (tmp_path / "raw" / FIRST).unlink()
    with pytest.raises(PhysiopipeError, match=r"E00001\.mat was removed or changed"):
        read_download(tmp_path / "stamp.json", tmp_path / "raw")
    bring(server.url, batch, tmp_path)
    assert server.requests == {FIRST: 1}
    damaged = tmp_path / "raw" / FOLDER / "E00002.mat"
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    (tmp_path / "stamp.json").unlink()
    bring(server.url, batch, tmp_path)
    assert server.requests == {FIRST: 1, f"{FOLDER}/E00002.mat": 1}
    check_whole(batch, tmp_path)


@pytest.mark.parametrize("relative", [FIRST, f"{FOLDER}/E00002.hea"])
def test_a_file_changed_at_the_same_size_and_time_is_noticed_and_fetched_again(
    server: Server, tmp_path: Path, relative: str
) -> None:
    """Read or downloaded: the stamp names each file's sha256, and each file is compared with it."""
    batch = planned(server.url)
    bring(server.url, batch, tmp_path)
    stamp, path = tmp_path / "stamp.json", tmp_path / "raw" / relative
    assert json.loads(stamp.read_text())["files"] == dict(batch.files)

    def damage() -> None:
        before, content = path.stat(), path.read_bytes()
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    damage()
    server.requests.clear()
    assert bring(server.url, batch, tmp_path) == []
    assert server.requests == {relative: 1}
    damage()
    with pytest.raises(PhysiopipeError, match=rf"{path.name} was removed or changed.*Run again"):
        read_download(stamp, tmp_path / "raw")
    assert not stamp.exists()  # so that whoever runs again has it made again
    assert bring(server.url, batch, tmp_path) == []
    assert server.requests == {relative: 2}
    assert read_download(stamp, tmp_path / "raw").records == NAMES
    check_whole(batch, tmp_path)


def test_a_raw_file_that_became_a_pipe_does_not_hang(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    bring(server.url, batch, tmp_path)
    (tmp_path / "raw" / FIRST).unlink()
    os.mkfifo(tmp_path / "raw" / FIRST)
    with pytest.raises(PhysiopipeError, match=r"E00001\.mat was removed or changed"):
        read_download(tmp_path / "stamp.json", tmp_path / "raw")
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)


def test_a_checksum_that_stays_wrong_is_a_named_reject(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.always[FIRST] = wrong_bytes
    ((record, reason, absent),) = bring(server.url, batch, tmp_path)
    assert not absent
    assert record == "E00001"
    assert re.fullmatch(
        rf"{FIRST}: not what was published \(its checksum begins [0-9a-f]{{16}}, published is [0-9a-f]{{16}}; "
        r"brought 3 times\)",
        reason,
    )
    assert server.requests[FIRST] == 3
    assert not list((tmp_path / "raw").rglob("E00001.mat*"))
    stamped = read_download(tmp_path / "stamp.json", tmp_path / "raw")
    assert stamped.records == ("E00002", "E00003")
    assert stamped.rejected == ((record, reason, False),)


def test_absent_and_wrong_are_told_apart_whatever_the_path_is_like(tmp_path: Path) -> None:
    """A reason is cut at 200 characters: a type says it, and no word of a reason that may be cut off."""
    names = ("y", "x" * 190)  # this one fills the reason
    content = b"as published"
    listed = [(f"{name}.{end}", hashlib.sha256(content).hexdigest()) for name in names for end in ("hea", "mat")]
    batch = Batch("b", "b", tuple(listed))
    source = tmp_path / "source"
    source.mkdir()
    for path, _ in listed:
        (source / path).write_bytes(content)
    (source / f"{names[0]}.mat").unlink()  # absent
    (source / f"{names[1]}.mat").write_bytes(b"another")  # wrong
    found = {each.record: each for each in bring(str(source), batch, tmp_path)}
    assert {name: each.absent for name, each in found.items()} == {names[0]: True, names[1]: False}
    assert all(len(each.reason) <= 200 for each in found.values())
    assert [each.absent for each in read_download(tmp_path / "stamp.json").rejected] == [True, False]


def test_what_was_absent_is_asked_for_again_once_it_may_not_be(tmp_path: Path, root: Path) -> None:
    batch = planned(str(root))
    content = (root / FIRST).read_bytes()
    (root / FIRST).unlink()
    assert [each.record for each in bring(str(root), batch, tmp_path)] == ["E00001"]
    place = (tmp_path / "raw", tmp_path / "stamp.json", tmp_path / "locks", RUN)
    with pytest.raises(PhysiopipeError, match="allow_missing"):
        download_batch(open_tree(str(root), RUN), batch, *place, allow_missing=False)
    (root / FIRST).write_bytes(content)
    assert download_batch(open_tree(str(root), RUN), batch, *place, allow_missing=False) == []


def test_many_wrong_checksums_are_the_servers_fault_and_reject_nothing(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    for relative, _ in batch.files:
        server.always[relative] = wrong_bytes
    with pytest.raises(PhysiopipeError, match=r"2 of the 6 files of georgia\.g1 have not the bytes .* mirror"):
        bring(server.url, batch, tmp_path, Run(connections=1, timeout_s=0.3, retries=0))
    assert not (tmp_path / "stamp.json").exists()
    check_only_right_names(batch, tmp_path)
    server.always.clear()
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([cut_at(10_000)], 2),
        ([cut_at(0), cut_at(0)], 3),
        ([cut_at(5_000), cut_at(9_000), cut_at(20_000), cut_at(30_000), cut_at(39_000)], 6),
        ([stall], 2),
        ([status(503)], 2),
        ([status(500), status(502)], 3),
        ([status(429, Retry_After="0")], 2),
        ([wrong_bytes], 2),
        ([cut_at(10_000), wrong_bytes], 3),
    ],
    ids=[
        "cut",
        "cut at once",
        "cut, each time further",
        "stall",
        "503",
        "5xx twice",
        "429",
        "wrong once",
        "cut, wrong",
    ],
)
def test_faults_that_pass_leave_no_trace(server: Server, tmp_path: Path, faults: list[Fault], requests: int) -> None:
    batch = planned(server.url)
    server.faults[FIRST] = list(faults)
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)
    assert server.requests[FIRST] == requests


def test_a_cut_file_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.faults[FIRST] = [cut_at(10_000)]
    bring(server.url, batch, tmp_path)
    assert server.ranges == [(FIRST, "bytes=8192-")]  # the last whole block of 4096 bytes that came
    assert server.sent[FIRST] == 10_000 + 40_008 - 8_192


def test_a_later_run_goes_on_from_the_partial_file(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.always[FIRST] = cut_at(10_000)
    with pytest.raises(PhysiopipeError, match=r"closed the connection.* 8192 bytes received.*run again"):
        bring(server.url, batch, tmp_path)
    assert not (tmp_path / "stamp.json").exists()
    assert not (tmp_path / "raw" / FIRST).exists()
    assert (tmp_path / "raw" / f"{FIRST}.partial").stat().st_size == 8_192
    server.always.clear()
    server.ranges.clear()
    assert bring(server.url, batch, tmp_path) == []
    assert server.ranges == [(FIRST, "bytes=8192-")]
    check_whole(batch, tmp_path)


@pytest.mark.parametrize("held", ["whole", "too long", "another file's"])
def test_any_partial_file_ends_in_the_right_one(server: Server, tmp_path: Path, root: Path, held: str) -> None:
    batch = planned(server.url)
    right = (root / FIRST).read_bytes()
    partial = tmp_path / "raw" / f"{FIRST}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes({"whole": right, "too long": right + b"more", "another file's": b"\7" * 20_000}[held])
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)
    assert server.sent[FIRST] == (
        0 if held == "whole" else len(right) if held == "too long" else 2 * len(right) - 20_000
    )


def test_a_partial_link_into_somebody_elses_folder_is_never_written_through(
    server: Server, tmp_path: Path, root: Path
) -> None:
    batch = planned(server.url)
    theirs = root / FOLDER / "E00002.mat"
    before = theirs.read_bytes()
    partial = tmp_path / "raw" / f"{FIRST}.partial"
    partial.parent.mkdir(parents=True)
    os.link(theirs, partial)
    assert bring(server.url, batch, tmp_path) == []
    assert theirs.read_bytes() == before
    check_whole(batch, tmp_path)


def test_a_server_that_ignores_ranges_is_begun_anew(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.takes_ranges = False
    server.faults[FIRST] = [cut_at(10_000)]
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)
    assert server.sent[FIRST] == 10_000 + 40_008


def test_a_server_that_ignores_ranges_and_always_cuts_is_given_up(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.takes_ranges = False
    server.always[FIRST] = cut_at(10_000)
    with pytest.raises(PhysiopipeError, match="could not be had"):
        bring(server.url, batch, tmp_path)
    assert server.requests[FIRST] == RUN.retries + 1


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (stall, r"no answer for 0\.3 s"),
        (status(503), "HTTP 503"),
        (status(429), "HTTP 429"),
        (status(403), r"found HTTP 403"),
    ],
    ids=["stalls", "503", "429", "403"],
)
def test_a_fault_that_stays_is_one_plain_error(server: Server, tmp_path: Path, fault: Fault, found: str) -> None:
    batch = planned(server.url)
    server.always[FIRST] = fault
    with pytest.raises(PhysiopipeError, match=found) as error:
        bring(server.url, batch, tmp_path)
    assert f"{server.url}/{FIRST}" in str(error.value)
    assert server.requests[FIRST] <= RUN.retries + 2
    assert not (tmp_path / "stamp.json").exists()
    check_only_right_names(batch, tmp_path)
    assert not (tmp_path / "raw" / FIRST).exists()
    server.always.clear()
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)


def test_retry_after_is_honoured(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    server.faults[FIRST] = [status(429, Retry_After="1")]
    begin = time.monotonic()
    bring(server.url, batch, tmp_path)
    assert time.monotonic() - begin >= 1.0  # the waits of this test are 0.02 s by themselves


def test_retry_after_takes_seconds_and_dates() -> None:
    assert http_tree._retry_after_s("7") == 7
    assert http_tree._retry_after_s("") == http_tree._retry_after_s("soon") == 0
    assert http_tree._retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert http_tree._retry_after_s("999999") == http_tree.LONGEST_RETRY_AFTER_S


def test_waits_grow(server: Server, tmp_path: Path) -> None:
    batch = planned(server.url)
    times: list[float] = []

    def refuse(handler: object, content: bytes) -> None:
        times.append(time.monotonic())
        status(503)(handler, content)  # type: ignore[arg-type]

    server.always[FIRST] = refuse
    with pytest.raises(PhysiopipeError):
        bring(server.url, batch, tmp_path, Run(connections=1, timeout_s=0.3, retries=3))
    waits = [after - before for before, after in pairwise(times)]
    assert len(waits) == 3
    assert all(wait >= least for wait, least in zip(waits, (0.02, 0.04, 0.08), strict=True))


def test_a_listed_file_that_is_not_there_is_a_named_reject(server: Server, tmp_path: Path, root: Path) -> None:
    batch = planned(server.url)
    (root / FIRST).unlink()
    (root / FOLDER / "E00003.hea").unlink()
    rejects = bring(server.url, batch, tmp_path)
    assert rejects == [
        ("E00001", f"{FIRST}: listed, but not on the server (HTTP 404)", True),
        ("E00003", f"{FOLDER}/E00003.hea: listed, but not on the server (HTTP 404)", True),
    ]
    stamped = read_download(tmp_path / "stamp.json", tmp_path / "raw")
    assert stamped.records == ("E00002",)
    assert list(stamped.rejected) == rejects
    assert not list((tmp_path / "raw").rglob("*.partial"))
    server.requests.clear()
    assert bring(server.url, batch, tmp_path) == rejects
    assert not server.requests


def test_a_file_without_a_published_checksum_is_a_named_reject(server: Server, tmp_path: Path, root: Path) -> None:
    sums = root / "SHA256SUMS.txt"
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if FIRST not in line))
    assert bring(server.url, planned(server.url), tmp_path) == [
        ("E00001", f"{FIRST}: no checksum of it is published", True)
    ]
    assert server.requests[FIRST] == 0


def test_an_unreachable_host_is_named(tmp_path: Path, root: Path) -> None:
    batch = planned(str(root))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(PhysiopipeError, match="the host cannot be reached") as error:
            bring(url, batch, tmp_path)
    assert url in str(error.value)
    assert [path for path in (tmp_path / "raw").rglob("*") if path.is_file()] == []


def test_too_little_disk_space_is_told_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = planned(server.url)
    server.requests.clear()
    real = download.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: real._replace(free=100_000))
    with pytest.raises(PhysiopipeError, match=r"georgia\.g1 needs about 0 MB .* 0 MB are free: make room"):
        bring(server.url, batch, tmp_path)
    assert not server.requests


def test_a_full_disk_is_a_plain_error(server: Server, tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for the full disk: the system refuses the write, in a process of its own."""
    batch = planned(server.url)
    program = (
        "import resource, signal, sys; from pathlib import Path\n"
        "sys.dont_write_bytecode = True  # it would be cut off too, and be there for whoever imports this module next\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "import test_download as t\n"
        "here = Path(sys.argv[2])\n"
        "try: t.bring(sys.argv[1], t.planned(sys.argv[1]), here)\n"
        "except t.PhysiopipeError as error: print('plain:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, server.url, str(tmp_path)],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "plain: georgia.g1 could not be kept" in done.stdout
    assert not (tmp_path / "stamp.json").exists()
    check_only_right_names(batch, tmp_path)
    assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)


def test_a_download_killed_at_any_moment_leaves_no_wrong_name(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "big", tuple(f"E{number:05d}" for number in range(20)), size=300_000)
    program = "import sys, test_download as t; from pathlib import Path; t.bring(sys.argv[1], t.planned(sys.argv[1]), Path(sys.argv[2]))"  # noqa: E501
    with serve(root) as server:
        server.delay_s = 0.01
        batch = planned(server.url)
        for moment in (0.02, 0.1, 0.25):
            server.requests.clear()
            worker = subprocess.Popen(
                [sys.executable, "-c", program, server.url, str(tmp_path)],
                cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            while worker.poll() is None and server.requests.total() < 4:
                time.sleep(0.005)
            time.sleep(moment)
            worker.send_signal(signal.SIGKILL)
            worker.wait(10)
            check_only_right_names(batch, tmp_path)
        assert bring(server.url, batch, tmp_path) == []
    check_whole(batch, tmp_path)


def _bring_elsewhere(url: str, batch: Batch, here: Path, stamp: str) -> None:
    tree = open_tree(url, RUN)
    download_batch(tree, batch, here / stamp, here / f"{stamp}.json", here / "locks", RUN)


def test_all_processes_together_keep_to_the_connections(tmp_path: Path) -> None:
    names = tuple(f"E{number:05d}" for number in range(12))
    root = write_tree(tmp_path / "published", names, size=1000)
    with serve(root) as server:
        batch = planned(server.url)
        server.delay_s = 0.02
        server.most_open = 0
        context = multiprocessing.get_context("spawn")
        jobs = [
            context.Process(target=_bring_elsewhere, args=(server.url, batch, tmp_path, f"job{number}"))
            for number in range(2)
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join(60)
        assert [job.exitcode for job in jobs] == [0, 0]
        assert all(server.requests[relative] == 2 for relative, _ in batch.files)
        assert 1 < server.most_open <= RUN.connections


def test_a_slot_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    with connection_slot(tmp_path, 1, lambda: False) as first:
        assert first
        deadline = time.monotonic() + 0.2
        with connection_slot(tmp_path, 1, lambda: time.monotonic() > deadline) as second:
            assert not second
    with connection_slot(tmp_path, 1, lambda: False) as third:
        assert third


def test_a_folder_is_linked_and_checked(tmp_path: Path, root: Path) -> None:
    batch = planned(str(root))
    (root / FOLDER / "E00002.hea").unlink()
    rejects = bring(f"file://{root}", batch, tmp_path)
    assert rejects == [("E00002", f"{FOLDER}/E00002.hea: listed, but not on the server (no such file)", True)]
    assert (tmp_path / "raw" / FIRST).samefile(root / FIRST)
    assert not list((tmp_path / "raw").rglob("*.partial"))
    (root / FOLDER / "E00003.mat").write_bytes(b"something else")
    assert [each.record for each in bring(str(root), batch, tmp_path / "again")] == ["E00002", "E00003"]
    assert not (tmp_path / "again" / "raw" / FOLDER / "E00003.mat").exists()


def test_a_folder_of_symbolic_links_gives_files(tmp_path: Path, root: Path) -> None:
    batch = planned(str(root))
    for relative, _ in batch.files:
        kept = root / "store" / hashlib.sha256(relative.encode()).hexdigest()
        kept.parent.mkdir(exist_ok=True)
        (root / relative).rename(kept)
        (root / relative).symlink_to(Path("../../../store") / kept.name)
    assert bring(str(root), batch, tmp_path) == []
    check_whole(batch, tmp_path)
    assert not any(path.is_symlink() for path in (tmp_path / "raw").rglob("*"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"listed": 1}', "null"])
def test_a_broken_stamp_is_made_again(tmp_path: Path, root: Path, content: str) -> None:
    batch = planned(str(root))
    bring(str(root), batch, tmp_path)
    right = (tmp_path / "stamp.json").read_text()
    (tmp_path / "stamp.json").write_text(content)
    with pytest.raises(PhysiopipeError, match=r"stamp\.json"):
        read_download(tmp_path / "stamp.json")
    assert bring(str(root), batch, tmp_path) == []
    assert (tmp_path / "stamp.json").read_text() == right
    assert set(json.loads(right)) == {"listed", "files", "records", "rejected"}


def test_a_download_imports_neither_numpy_nor_pandas() -> None:
    program = "import sys, physiopipe.recordings.download; print(*{'numpy', 'pandas', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
