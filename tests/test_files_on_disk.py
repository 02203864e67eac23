"""What a power cut may not undo is on the disk before it has its name; what may be made again waits for nothing."""

import os
from pathlib import Path

import pytest

from physiopipe.files import atomic_file, atomic_folder


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes | list[str]]]:
    """What is synced (a file's bytes, a folder's names) and renamed (to which name), in order."""
    done: list[tuple[str, bytes | list[str]]] = []
    replace = Path.replace

    def synced(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        done.append(("synced", sorted(each.name for each in path.iterdir()) if path.is_dir() else path.read_bytes()))

    def renamed(self: Path, target: Path) -> Path:
        done.append(("renamed", [target.name]))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    return done


def test_a_file_is_synced_whole_before_it_has_its_name(tmp_path: Path, events: list[tuple[str, object]]) -> None:
    with atomic_file(tmp_path / "kept") as temporary:
        temporary.write_bytes(b"whole")
    assert events[:2] == [("synced", b"whole"), ("renamed", ["kept"])]
    events.clear()
    with atomic_file(tmp_path / "soon removed", durable=False) as temporary:
        temporary.write_bytes(b"whole")
    assert events == [("renamed", ["soon removed"])]


def test_all_of_a_folder_is_synced_before_it_has_its_name(tmp_path: Path, events: list[tuple[str, object]]) -> None:
    with atomic_folder(tmp_path / "part") as temporary:
        (temporary / "below").mkdir()
        (temporary / "one").write_bytes(b"1")
        (temporary / "below" / "two").write_bytes(b"2")
    end = events.index(("renamed", ["part"]))
    assert {str(what) for kind, what in events[:end] if kind == "synced"} >= {
        "b'1'", "b'2'", "['two']", "['below', 'one']",
    }  # fmt: skip
