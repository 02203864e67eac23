"""What holds of both methods whose network reads all EEG channels of a stretch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from safetensors.numpy import load, save
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
        "run": {"state_folder": str(tmp_path / "state"), "device": "cpu", "threads": 1},
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
def test_a_clip_is_predicted_alike_alone_and_among_others(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=2, patches=2))
    model = made(tmp_path, name).fit(train, validation, 0)
    whole = model.predict(test)
    for clip in range(len(test)):
        alone = test.of_windows(test.clip_of == clip)
        np.testing.assert_allclose(model.predict(alone), whole[clip : clip + 1], atol=1e-7)


@both
def test_same_seed_same_bytes_and_no_trace_in_torch(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    before = torch.get_rng_state(), torch.get_num_threads()
    fitted = [made(tmp_path, name).fit(train, validation, seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert state_bytes(fitted[0]) == state_bytes(fitted[1]) != state_bytes(fitted[2])
    assert fitted[0].predict(test).tobytes() == fitted[1].predict(test).tobytes()


@both
def test_restored_it_predicts_the_same_bytes(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    model = made(tmp_path, name).fit(train, validation, 0)
    again = made(tmp_path, name).restore(load(state_bytes(model)), model.state()[1])
    assert again.predict(test).tobytes() == model.predict(test).tobytes()
    assert state_bytes(again) == state_bytes(model)


@both
@pytest.mark.parametrize(("channels", "tasks"), [((19, 1), ("a",)), ((32, 1), ("a", "b")), ((5, 1), ("a",))])
def test_other_channels_and_tasks_with_holes(
    tmp_path: Path, name: str, channels: tuple[int, int], tasks: tuple[str, ...]
) -> None:
    clips = planted_clips(subjects=6, clips=2, windows=2, patches=2, channels=channels, tasks=tasks)
    clips.eeg_present[::3, 4] = False
    clips.eeg[::3, 4] = np.nan
    clips.valid_patches[1] = 1
    clips.eeg[1, :, 1] = np.inf
    train, validation, test = sides(clips)
    test.eeg_present[:2] = False  # both windows of the first clip: nothing is known of it
    model = made(tmp_path, name, epochs=1).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    assert found.shape == (len(test), len(tasks))
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(found[0], train.labels.mean(axis=0))
    assert all(np.isfinite(value).all() for value in model.state()[0].values() if value.dtype.kind == "f")


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


@pytest.mark.slow
@both
def test_labels_exchanged_within_people_are_not_learnt(tmp_path: Path, name: str) -> None:
    """96 held-out clips four times over: the mean AUC's standard error is 0.03, a third of the bound."""
    found = []
    for seed in range(4):
        clips = oscillating(subjects=22, clips=10, windows=1, patches=2, channels=(7, 1), seed=seed, tasks=("a",))
        random = np.random.default_rng([seed, 3])
        for subject in np.unique(clips.subjects):
            own = clips.subjects == subject
            clips.labels[own] = random.permutation(clips.labels[own])
        train, validation, test = sides(clips)
        model = made(tmp_path / str(seed), name, **LEARNING[name]).fit(train, validation, seed)
        found.append(roc_auc_score(test.labels[:, 0], model.predict(test.without_labels())[:, 0]))
    assert abs(np.mean(found) - 0.5) < 0.09
