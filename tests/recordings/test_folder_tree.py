"""Folders that are not what they seem: nothing hangs, and nothing outside of the tree gets into the recordings."""

import hashlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from test_download import FIRST, FOLDER, RUN, bring, check_whole, planned, write_tree

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.recordings import folder_tree, transport
from physiopipe.recordings.tree import open_tree

pytestmark = pytest.mark.timeout(30)  # a pipe that is waited for
LISTS = ["RECORDS", "SHA256SUMS.txt", f"{FOLDER}/RECORDS"]
ODD = "not a regular file"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "published")


@pytest.mark.parametrize("relative", LISTS)
def test_a_list_that_is_a_pipe_or_a_device_or_a_loop_is_a_plain_error(root: Path, relative: str) -> None:
    path = root / relative
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(PhysiopipeError, match=f"{relative} is not there .*{ODD}"):
        planned(str(root))
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(PhysiopipeError, match=f"{relative} is not there .*a loop of links"):
        planned(str(root))
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(PhysiopipeError, match=f"{relative} leads out of the tree, to /dev/zero"):
        planned(str(root))


def test_a_loop_among_folders_is_a_plain_error(tmp_path: Path, root: Path) -> None:
    folder = root / FOLDER
    folder.rename(root / "elsewhere")
    folder.symlink_to(folder)
    with pytest.raises(PhysiopipeError, match="a loop of links"):
        planned(str(root))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for name in (str(loop), "a" * 5000, "a\0b", str(root / "RECORDS")):
        with pytest.raises(PhysiopipeError, match="no such folder exists"):
            open_tree(name, RUN)


def _bring_again_and_again(root: Path, folder: Path, checksum: str) -> None:
    with open_tree(str(root), RUN).connect() as connection:
        for _ in range(150):
            connection.fetch("RECORDS", folder / "RECORDS", checksum)


def test_two_processes_that_bring_one_file_leave_the_source_alone(root: Path, tmp_path: Path) -> None:
    """A file that several batches share, as a table of labels: what one copies to may be a link to the source."""
    content = (root / "RECORDS").read_bytes()
    given = (root, tmp_path / "raw", hashlib.sha256(content).hexdigest())
    both = [multiprocessing.get_context("fork").Process(target=_bring_again_and_again, args=given) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (root / "RECORDS").read_bytes() == content == (tmp_path / "raw" / "RECORDS").read_bytes()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["RECORDS"]


def test_what_a_killed_download_left_of_a_file_goes_with_a_later_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (root / FIRST).open("wb") as handle:
        handle.truncate(128 << 20)  # a hole, whose checksum takes long enough to be killed meanwhile
    sums = [line for line in (root / "SHA256SUMS.txt").read_text().splitlines() if not line.endswith(FIRST)]
    (root / "SHA256SUMS.txt").write_text("\n".join([*sums, f"{sha256_file(root / FIRST)} {FIRST}", ""]))
    batch = planned(str(root))
    folder = tmp_path / "raw" / FOLDER
    process = multiprocessing.get_context("fork").Process(target=bring, args=(str(root), batch, tmp_path))
    process.start()
    left = folder / f"E00001.mat.{process.pid}.partial"
    while not left.exists():
        assert process.is_alive()
        time.sleep(0.002)
    process.kill()
    process.join()
    assert left.exists()
    of_the_living = folder / f"E00001.mat.{os.getppid()}.partial"
    of_another_file = folder / f"E99999.mat.{process.pid}.partial"
    of_a_person = folder / "E00001.mat.my-notes.partial"
    for path in (of_the_living, of_another_file, of_a_person):
        path.write_bytes(b"not ours")
    assert bring(str(root), batch, tmp_path) == []
    assert (folder / "E00001.mat").samefile(root / FIRST)
    assert left.exists()  # it may be another node's
    (folder / "E00001.mat").unlink()
    monkeypatch.setattr(folder_tree, "STILL_S", 0.0)
    assert bring(str(root), batch, tmp_path) == []
    assert set(folder.glob("*.partial")) == {of_the_living, of_another_file, of_a_person}


def test_a_record_that_is_a_pipe_or_a_loop_is_a_named_reject(root: Path, tmp_path: Path) -> None:
    batch = planned(str(root))
    (root / FIRST).unlink()
    os.mkfifo(root / FIRST)
    (root / FOLDER / "E00003.hea").unlink()
    (root / FOLDER / "E00003.hea").symlink_to("E00003.hea")
    (first, why, _), (third, loop, _) = bring(str(root), batch, tmp_path)
    assert (first, third) == ("E00001", "E00003")
    assert ODD in why
    assert "a loop of links" in loop
    assert not (tmp_path / "raw" / FIRST).exists()


@pytest.mark.parametrize("how", ["absolute", "relative", "a folder"])
def test_a_link_out_of_the_tree_is_never_linked_or_read(root: Path, tmp_path: Path, how: str) -> None:
    batch = planned(str(root))
    outside = tmp_path / "outside" / "E00001.mat"
    outside.parent.mkdir()
    (root / FIRST).rename(outside)  # with the published bytes, even
    if how == "absolute":
        (root / FIRST).symlink_to(outside)
    elif how == "relative":
        (root / FIRST).symlink_to("../../../../outside/E00001.mat")
    else:
        for path in (root / FOLDER).iterdir():
            path.rename(outside.parent / path.name)
        (root / FOLDER).rmdir()
        (root / FOLDER).symlink_to(outside.parent)
    with pytest.raises(PhysiopipeError, match="leads out of the tree"):
        bring(str(root), batch, tmp_path)
    assert not list((tmp_path / "raw").rglob("E00001.mat*"))
    assert outside.stat().st_nlink == 1


def test_a_tree_that_is_itself_behind_a_link_is_one(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shortcut").symlink_to(root)
    batch = planned(str(tmp_path / "shortcut"))
    assert bring(str(tmp_path / "shortcut"), batch, tmp_path) == []
    check_whole(batch, tmp_path)


def test_a_file_that_is_longer_than_any_such_file_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = planned(str(root))
    with (root / FIRST).open("ab") as handle:
        handle.truncate(transport.LARGEST_FILE_BYTES + 1)  # a hole: it takes no space
    with pytest.raises(PhysiopipeError, match=r"E00001\.mat is longer than"):
        bring(str(root), batch, tmp_path)
    monkeypatch.setattr(transport, "LARGEST_LIST_BYTES", 10)
    with pytest.raises(PhysiopipeError, match="RECORDS is longer than the 10 bytes"):
        planned(str(root))
