"""What holds of both methods that read one channel at a time."""

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
from physiopipe.methods.registry import method_class
from physiopipe.methods.series import SeriesMethod
from physiopipe.params import Params, check_params

SMALL = {
    "tfc": {"segment_s": 0.5, "pretrain_epochs": 2, "finetune_epochs": 3, "pretrain_series": 128},
    "simmtm": {"segment_s": 1.0, "pretrain_epochs": 1, "finetune_epochs": 3, "pretrain_series": 64},
}
both = pytest.mark.parametrize("name", sorted(SMALL))


def parameters(tmp_path: Path, name: str, **settings: Any) -> Params:
    small = {**SMALL[name], "finetune_series": 256, "validation_series": 128, **settings}
    content = {
        "methods": [name],
        "method": {name: small},
        "evaluate": {"protocol": "paper", "seeds": [0]},
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content, "test")


def made(tmp_path: Path, name: str, **settings: Any) -> SeriesMethod:
    method = method_class(name)(Setup(parameters(tmp_path, name, **settings), None, tmp_path / "state"))
    assert isinstance(method, SeriesMethod)
    return method


def oscillating(effect: float = 1.0, **sizes: Any) -> ClipData:
    """Planted clips whose EEG oscillates at 10 Hz where the first task is high: a matter of shape, not of amplitude."""
    clips = planted_clips(effect=effect, **sizes)
    windows, channels, patches, samples = clips.eeg.shape
    phase = np.random.default_rng(9).uniform(0, 2 * np.pi, (windows, channels, 1))
    wave = np.sin(2 * np.pi * 10 * np.arange(patches * samples) / 200 + phase)
    clips.eeg[:] += 30 * effect * clips.labels[clips.clip_of, 0][:, None, None, None] * wave.reshape(clips.eeg.shape)
    return clips


def sides(clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    names = sorted(set(clips.subjects))
    cut = len(names) // 2
    return clips.of_subjects(names[:cut]), clips.of_subjects(names[cut : cut + 2]), clips.of_subjects(names[cut + 2 :])


def state_bytes(method: SeriesMethod) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


@both
def test_planted_effects_are_learnt(tmp_path: Path, name: str) -> None:
    clips = oscillating(subjects=16, clips=8, windows=1, patches=2, channels=(4, 2))
    train, validation, test = sides(clips)
    rate = {"finetune_learning_rate": 1e-3, "finetune_epochs": 8, "finetune_series": 512}
    model = made(tmp_path, name, **rate).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, task], found[:, task]) for task in range(3)]
    assert auc[0] > 0.85  # in the EEG
    assert auc[1] > 0.75  # in the ECG, a third of the series
    assert abs(auc[2] - 0.5) < 0.3  # nothing planted: 48 clips
    curve = model.curve()
    assert [point.split for point in curve] == ["train", "validation"] * 8
    assert curve[-2].loss < curve[0].loss


@both
def test_only_training_people_are_learnt_from(make_clips, tmp_path: Path, name: str) -> None:
    """With one epoch validation people choose nothing, so what they are must leave no trace; nor may labels reach the
    stage without them."""
    train, validation, _ = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    found = state_bytes(made(tmp_path, name, finetune_epochs=1).fit(train, validation, 0))
    validation.eeg[:] *= 7
    validation.ecg[:] = np.random.default_rng(1).normal(size=validation.ecg.shape)
    validation.labels[:] = 1 - validation.labels
    validation._digests.clear()  # its windows are others now
    other = made(tmp_path, name, finetune_epochs=1).fit(train, validation, 0)
    assert state_bytes(other) == found
    nobody = made(tmp_path, name, finetune_epochs=1).fit(train, train.of_subjects([]), 0)
    assert state_bytes(nobody) == found


@both
@pytest.mark.slow
def test_the_stage_without_labels_learns_and_is_of_use_to_the_second(make_clips, tmp_path: Path, name: str) -> None:
    from physiopipe.clips.series import ClipSeries
    from physiopipe.training.series import pretrain

    clips = make_clips(subjects=4, clips=2, windows=2, patches=2)
    model = made(tmp_path, name)
    cut = ClipSeries(model._windows, model.samples, "training")
    values = torch.from_numpy(cut.of(clips, cut.unit(clips)).values)
    losses = []
    for epochs in (1, 6):
        torch.manual_seed(0)
        network = model._new_network(2)
        without, _ = model._stages()
        model._look_at(network, values)
        stage = type(without)(epochs, 32, 1e-3, series=256)
        losses.append(pretrain(network, values, stage, np.random.default_rng(0)))
    assert losses[1] < losses[0] - 0.1


@both
def test_nothing_to_learn_from_and_losses_without_a_number_are_said(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, _ = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    with pytest.raises(PhysiopipeError, match="No training clips"):
        made(tmp_path, name).fit(train.of_subjects([]), validation, 0)
    too_far = {"tfc": {"jitter": 1e38}, "simmtm": {"temperature": 1e-38}}[name]
    with pytest.raises(PhysiopipeError, match="self-supervised loss is nan in epoch 1: lower"):
        made(tmp_path, name, **too_far).fit(train, validation, 0)
    train.eeg_present[:], train.ecg_present[:] = False, False
    train._digests.clear()
    with pytest.raises(PhysiopipeError, match="0 training series: expected two or more"):
        made(tmp_path, name).fit(train, validation, 0)


@both
def test_what_the_row_says_of_itself(tmp_path: Path, name: str) -> None:
    model = made(tmp_path, name)
    epochs = type(model).Settings().finetune_epochs
    assert model.provenance.startswith("reimplementation (self-supervised on the fold's training people alone; reduced")
    assert f"finetune epochs 3 of {epochs}" in model.provenance
    assert model.fingerprint()["settings"]["pretrain_series"] == SMALL[name]["pretrain_series"]
    assert (model.workers(15, 2), model.workers(1, 2)) == (2, 1)
