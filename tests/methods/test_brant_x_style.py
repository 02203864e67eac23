"""The stand-in for Brant-X: alignment learns from training people alone, and what is planted is found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from safetensors.numpy import save
from sklearn.metrics import roc_auc_score

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.brant_x_style import BrantXStyle
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import Params, check_params

SIZES = {"layers": 1, "width": 40, "feedforward": 40, "heads": 4}


def parameters(**settings: Any) -> Params:
    small = {"align_epochs": 2, "align_batch_size": 8, "epochs": 2, "hidden": 32, **settings}
    content = {
        "pretrain": {"encoder": SIZES},
        "encoders": {"eeg": SIZES, "eeg_weights": {"origin": "none"}},
        "methods": ["brant_x_style"],
        "method": {"brant_x_style": small},
        "run": {"log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content, "test")


def made(tmp_path: Path, ecg_encoder: Path | None = None, **settings: Any) -> BrantXStyle:
    return BrantXStyle(Setup(parameters(**settings), ecg_encoder, tmp_path / "state"))


def sides(clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    names = sorted(set(clips.subjects))
    cut = len(names) // 2
    return clips.of_subjects(names[:cut]), clips.of_subjects(names[cut:-2]), clips.of_subjects(names[-2:])


def small(**sizes: Any) -> tuple[ClipData, ClipData, ClipData]:
    return sides(planted_clips(**{"subjects": 7, "clips": 2, "windows": 2, "patches": 2, "channels": (3, 1), **sizes}))


def state_bytes(method: BrantXStyle) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


@pytest.mark.parametrize("align", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_planted_effects_are_learnt(tmp_path: Path, align: bool) -> None:
    train, validation, _ = small(subjects=14, clips=8, effect=2.0)
    test = planted_clips(subjects=5, clips=8, windows=2, patches=2, channels=(3, 1), effect=2.0, seed=5)
    model = made(tmp_path, align=align, epochs=6, encoder_learning_rate=1e-3).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, task], found[:, task]) for task in range(3)]
    assert auc[0] > 0.85  # in the EEG
    assert auc[1] > 0.8  # in the ECG
    assert abs(auc[2] - 0.5) < 0.35  # nothing planted: 40 clips
    assert len(model.alignment_losses) == (2 if align else 0)
    assert [point.split for point in model.curve()] == ["train", "validation"] * 6


def test_alignment_changes_the_ecg_encoder_alone(tmp_path: Path) -> None:
    """With rates of nearly nothing in fine-tuning, encoders stay as alignment left them."""
    train, validation, _ = small()
    still = {"encoder_learning_rate": 1e-12, "head_learning_rate": 1e-12}
    with_it, without = (made(tmp_path, align=align, **still).fit(train, validation, 0) for align in (True, False))
    one, other = (model.state()[0] for model in (with_it, without))
    moved = {name for name in one if np.abs(one[name] - other[name]).max() > 1e-6}
    assert any(name.startswith("network.encoders.ecg.encoder") for name in moved)
    # the scale of the ECG embeddings follows the encoder
    allowed = ("network.encoders.ecg.", "network.heads.mean", "network.heads.deviation")
    assert all(name.startswith(allowed) for name in moved)
    np.testing.assert_array_equal(one["network.heads.mean"][:40], other["network.heads.mean"][:40])


def test_only_training_people_are_learnt_from_and_alignment_sees_no_label(tmp_path: Path) -> None:
    train, validation, _ = small()
    model = made(tmp_path, epochs=1).fit(train, validation, 0)
    found = state_bytes(model)
    validation.eeg[:] *= 7
    validation.ecg[:] = np.random.default_rng(1).normal(size=validation.ecg.shape)
    validation.labels[:] = 1 - validation.labels
    validation._digests.clear()  # its windows are others now
    assert state_bytes(made(tmp_path, epochs=1).fit(train, validation, 0)) == found
    assert state_bytes(made(tmp_path, epochs=1).fit(train, train.of_subjects([]), 0)) == found
    train.labels[:] = 1 - train.labels
    other = made(tmp_path, epochs=1).fit(train, validation, 0)
    assert state_bytes(other) != found  # the comparison can fail
    assert other.alignment_losses == model.alignment_losses


def test_what_the_row_is_and_what_is_missing(tmp_path: Path) -> None:
    model = made(tmp_path, align=False)
    assert "(stand-in)" in model.title
    assert model.provenance.startswith("stand-in: no code or weights of the authors are public")
    for words in (
        "EEG encoder untrained",
        "ECG encoder untrained",
        "not aligned",
        "epochs 2 of 10",
        "align no, not yes",
    ):
        assert words in model.provenance
    path = tmp_path / "ecg.safetensors"
    with pytest.raises(PhysiopipeError, match="needs the pretrained ECG encoder"):
        made(tmp_path, path)
    torch.manual_seed(11)
    save_encoder(path, CrissCrossEncoder(parameters().pretrain.encoder), {"normalisation": "lead_zscore"})
    pretrained = made(tmp_path, path)
    assert "ECG encoder pretrained" in pretrained.provenance
    assert "aligned on the fold's training people alone" in pretrained.provenance
    assert pretrained.fingerprint()["encoders"]["ecg"]["sha256"] != model.fingerprint()["encoders"]["ecg"]["sha256"]
    train, validation, _ = small()
    with pytest.raises(PhysiopipeError, match="No training clips"):
        model.fit(train.of_subjects([]), validation, 0)
    with pytest.raises(PhysiopipeError, match="lower align_learning_rate"):
        made(tmp_path, temperature=1e-42).fit(train, validation, 0)
