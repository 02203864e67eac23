"""What holds of both methods whose network reads all EEG channels of a stretch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sklearn.metrics import roc_auc_score
from test_series_methods import oscillating, sides

from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.eeg_networks import EegNetwork
from physiopipe.methods.registry import method_class
from physiopipe.params import check_params

SMALL = {
    "mlf_capsnet": {"filters": 8, "epochs": 3, "batch_size": 16, "learning_rate": 1e-3},
    "eeg_conformer": {"blocks": 1, "epochs": 3, "batch_size": 16, "recombined": 16, "learning_rate": 1e-3},
}
LEARNING = {
    "mlf_capsnet": {"epochs": 8, "learning_rate": 3e-3},
    "eeg_conformer": {"epochs": 12, "dropout": 0.25},
}
SWITCHES = {
    "mlf_capsnet": [{"segment_s": 0.5}, {"filters": 16}, {"kernel": 5}, {"routings": 2}, {"epoch_segments": 10}],
    "eeg_conformer": [
        {"blocks": 2},
        {"dropout": 0.1},
        {"recombined": 0},
        {"recombination_segments": 2},
        {"first_beta": 0},
    ],
}
both = pytest.mark.parametrize("name", sorted(SMALL))


def made(tmp_path: Path, name: str, **settings: Any) -> EegNetwork:
    content = {
        "methods": [name],
        "method": {name: {**SMALL[name], **settings}},
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }
    method = method_class(name)(Setup(check_params(content, "test"), None, tmp_path / "state"))
    assert isinstance(method, EegNetwork)
    return method


def state_bytes(method: EegNetwork) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


@both
def test_planted_effects_are_learnt(tmp_path: Path, name: str) -> None:
    clips = oscillating(subjects=16, clips=8, windows=1, patches=2, channels=(7, 1), tasks=("a", "b"))
    train, validation, test = sides(clips)
    model = made(tmp_path, name, **LEARNING[name]).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    assert roc_auc_score(test.labels[:, 0], found[:, 0]) > 0.85
    assert abs(roc_auc_score(test.labels[:, 1], found[:, 1]) - 0.5) < 0.3  # in the ECG alone: 48 clips
    curve = model.curve()
    assert [point.split for point in curve] == ["train", "validation"] * (len(curve) // 2)
    assert curve[-2].loss < curve[0].loss


@both
def test_only_training_people_are_learnt_from(make_clips, tmp_path: Path, name: str) -> None:
    """With one epoch validation people choose nothing, so what they are must leave no trace; nor may the ECG."""
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    model = made(tmp_path, name, epochs=1).fit(train, validation, 0)
    found, predicted = state_bytes(model), model.predict(test)
    validation.eeg[:] *= 7
    validation.labels[:] = 1 - validation.labels
    train.ecg[:], test.ecg[:] = 1, 2
    for part in (train, validation, test):
        part._digests.clear()  # its windows are others now
    other = made(tmp_path, name, epochs=1).fit(train, validation, 0)
    assert state_bytes(other) == found
    assert other.predict(test).tobytes() == predicted.tobytes()
    nobody = made(tmp_path, name, epochs=1).fit(train, train.of_subjects([]), 0)
    assert state_bytes(nobody) == found


@both
def test_nothing_to_learn_from_is_said(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, _ = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    with pytest.raises(PhysiopipeError, match="No training clips"):
        made(tmp_path, name).fit(train.of_subjects([]), validation, 0)
    train.eeg_present[:] = False
    train._digests.clear()
    with pytest.raises(PhysiopipeError, match="0 training segments: expected two or more"):
        made(tmp_path, name).fit(train, validation, 0)


@both
def test_what_the_row_says_of_itself(tmp_path: Path, name: str) -> None:
    model = made(tmp_path, name)
    assert model.provenance.startswith("reimplementation (nothing pretrained; reduced: ")
    assert f"epochs 3 of {type(model).Settings().epochs}" in model.provenance
    assert model.inputs == ("eeg",)
    assert (model.workers(15, 2), model.workers(1, 2)) == (2, 1)


@both
def test_every_setting_reaches_the_network(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, _ = sides(make_clips(subjects=6, clips=2, windows=1, patches=2))
    switches = [{}, {"learning_rate": 1e-4}, {"batch_size": 8}, *SWITCHES[name]]
    found = {
        state_bytes(made(tmp_path, name, **{"epochs": 2, **switch}).fit(train, validation.of_subjects([]), 0))
        for switch in switches
    }
    assert len(found) == len(switches)
