"""A flipped bit in the state that training goes on from is noticed; a tree is known by content, wherever it lies."""

from pathlib import Path

import pytest
import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.tree import lists_sha256, local_folder
from physiopipe.training.checkpoint import Checkpoint, Progress


def test_a_flipped_bit_anywhere_in_a_training_state_is_noticed(tmp_path: Path) -> None:
    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoint = Checkpoint(tmp_path, "digest")
    checkpoint.save(Progress(step=3), model, optimizer)
    loaded = checkpoint.load(model, optimizer)
    assert loaded is not None
    assert loaded.step == 3
    (path,) = tmp_path.rglob("state.pt")
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(PhysiopipeError, match="delete it to start afresh"):
            checkpoint.load(model, optimizer)


def test_a_tree_in_the_home_folder_or_at_a_file_address_is_known_by_its_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "RECORDS").write_text("g1\n")
    (tree / "SHA256SUMS.txt").write_text("one\n")
    folders = [local_folder(address) for address in ("~/tree", f"file://{tree}", str(tree))]
    assert folders == [tree] * 3
    before = lists_sha256(tree)
    (tree / "SHA256SUMS.txt").write_text("two\n")
    assert lists_sha256(tree) != before
