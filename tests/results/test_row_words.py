"""What a row says of itself is what the method does: real methods, real weights files, real settings."""

from pathlib import Path
from typing import Any

import pytest
import torch

from physiopipe.files import sha256_file
from physiopipe.methods.base import Setup
from physiopipe.methods.registry import method_class
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import Params, check_params
from physiopipe.results.table1 import note_of

SMALL = {"layers": 1, "width": 40, "feedforward": 16, "heads": 2, "position_kernel": [3, 3]}
TOLD = {"cohort": "simulated 12-lead ECG", "records": "312", "train_windows": "1138", "steps": "4000"}


def params(**method: Any) -> Params:
    content = {
        "methods": ["ours", "transductive", "ecg_only", "cross_attention", "handcrafted", "nearest_neighbours"],
        "method": method,
        "pretrain": {"encoder": SMALL},
        "encoders": {"eeg": SMALL, "eeg_weights": {"origin": "none"}},
        "ablations": {"variants": []},
        "robustness": {"methods": []},
    }
    return check_params(content, "test")


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    path = tmp_path / "ecg_encoder.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_encoder(path, CrissCrossEncoder(params().pretrain.encoder), TOLD)
    return path


def words(name: str, encoder: Path | None, **method: Any) -> str:
    """The note of a method's row, from what its predictions file would say."""
    made = method_class(name)(Setup(params(**method), encoder, Path("unused")))
    return note_of(
        {
            "note": made.note, "details": made.details, "reads": made.reads, "encoders": made.encoders,
            "provenance": made.provenance, "licence": made.licence, "inputs": list(made.inputs),
        }
    )  # fmt: skip


def test_ours_is_frozen_standardised_averaged_and_chosen_by_validation(encoder: Path) -> None:
    said = words("ours", encoder)
    assert "Encoders frozen; embeddings standardised by the training subjects' windows" in said
    assert "averaged over channels and patches; of 10 epochs, the one of best validation AUC" in said
    other = words("ours", encoder, ours={"frozen": False, "standardise": False, "pooling": "channels", "epochs": 3})
    assert "Encoders trained along; embeddings not standardised and averaged over channels; of 3 epochs" in other
    assert "by each subject's own windows" in words("transductive", encoder)
    assert "one a patch" in words("cross_attention", encoder)


def test_a_row_says_what_its_encoders_were_pretrained_on(encoder: Path) -> None:
    said = words("ours", encoder)
    digest = sha256_file(encoder)[:12]
    expected = "pretrained on simulated 12-lead ECG, 312 records, 1,138 windows, 4,000 steps"
    assert f"ECG encoder: {expected} (ecg_encoder.safetensors, sha256 {digest})." in said
    assert "EEG encoder: untrained, no weights given." in said
    assert "EEG encoder:" not in words("ecg_only", encoder)
    assert "ECG encoder: untrained, no weights given." in words("ours", None)


def test_a_row_says_what_it_reads_of_each_signal(encoder: Path) -> None:
    assert "Reads EEG (divided by 100 µV) and ECG (each lead of a window z-scored)." in words("ours", encoder)
    assert "Reads ECG (each lead of a window z-scored)." in words("ecg_only", encoder)
    for name in ("handcrafted", "nearest_neighbours"):
        assert "QRS and T amplitudes in the stored unit, not z-scored" in words(name, None)
