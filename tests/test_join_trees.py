"""The script that joins published trees."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from physiopipe.cohorts.challenge import ChallengeData
from physiopipe.cohorts.challenge_tree import plan_batches
from physiopipe.recordings.folder_tree import FolderTree

SCRIPT = Path(__file__).parents[1] / "scripts" / "join_trees.py"


def write_tree(root: Path, folder: str, names: list[str], content: bytes = b"x") -> Path:
    lines = []
    home = root / folder
    home.mkdir(parents=True)
    for name in names:
        for suffix in (".hea", ".mat"):
            (home / f"{name}{suffix}").write_bytes(content + name.encode())
            lines.append(f"{sha256(content + name.encode()).hexdigest()} {folder}/{name}{suffix}")
    (home / "RECORDS").write_text("\n".join(names))
    (root / "RECORDS").write_text(f"{folder}/\n")
    (root / "SHA256SUMS.txt").write_text("\n".join(lines))
    return root


def join(*paths: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_joined_tree_is_planned_as_a_published_one(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "first", "training/georgia/g1", ["E1", "E2"])
    second = write_tree(tmp_path / "second", "training/georgia/g1", ["E2", "E3"])
    done = join(first, second, tmp_path / "joined")
    assert done.returncode == 0, done.stderr
    (batch,) = plan_batches(FolderTree(tmp_path / "joined"), ChallengeData(sources=("georgia",)))
    assert batch.records == ("E1", "E2", "E3")
    assert all((tmp_path / "joined" / path).is_file() and checksum for path, checksum in batch.files)


def test_two_contents_of_one_name_are_refused(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "first", "training/georgia/g1", ["E1"])
    second = write_tree(tmp_path / "second", "training/georgia/g1", ["E1"], b"y")
    done = join(first, second, tmp_path / "joined")
    assert done.returncode != 0
    assert "another checksum" in done.stderr
    assert not (tmp_path / "joined").exists()
