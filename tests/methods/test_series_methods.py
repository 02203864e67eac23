"""What holds of both methods that read one channel at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from safetensors.numpy import load, save
from sklearn.metrics import roc_auc_score

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
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
        "run": {"state_folder": str(tmp_path / "state"), "device": "cpu", "threads": 1},
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
def test_a_clip_is_predicted_alike_alone_and_among_others(make_clips, tmp_path: Path, name: str) -> None:
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=2, patches=2))
    model = made(tmp_path, name).fit(train, validation, 0)
    whole = model.predict(test)
    for clip in range(len(test)):
        alone = test.of_windows(test.clip_of == clip)
        np.testing.assert_allclose(model.predict(alone), whole[clip : clip + 1], atol=1e-5)


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
    arrays, about = load(state_bytes(model)), model.state()[1]
    again = made(tmp_path, name).restore(arrays, about)
    assert again.predict(test).tobytes() == model.predict(test).tobytes()
    assert state_bytes(again) == state_bytes(model)


@both
@pytest.mark.parametrize(("channels", "tasks"), [((19, 1), ("a",)), ((32, 1), ("a", "b"))])
def test_other_channels_and_tasks_with_holes(
    tmp_path: Path, name: str, channels: tuple[int, int], tasks: tuple[str, ...]
) -> None:
    clips = planted_clips(subjects=6, clips=2, windows=2, patches=2, channels=channels, tasks=tasks)
    clips.eeg_present[::3, 4] = False
    clips.eeg[::3, 4] = np.nan
    clips.valid_patches[1] = 1
    clips.eeg[1, :, 1] = np.inf
    train, validation, test = sides(clips)
    test.eeg_present[:2], test.ecg_present[:2] = False, False  # both windows of the first clip: nothing is known of it
    model = made(tmp_path, name, finetune_epochs=1).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    assert found.shape == (len(test), len(tasks))
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(found[0], train.labels.mean(axis=0))
    weights = [value for value in model.state()[0].values() if value.dtype.kind == "f"]
    assert all(np.isfinite(value).all() for value in weights)


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


@both
def test_a_study_keeps_its_folds_and_finds_them_again(make_clips, tmp_path: Path, name: str, capsys) -> None:
    windows = store_cohort(tmp_path / "data", make_clips(subjects=6, clips=2, windows=1, patches=2))
    study = study_of(name, parameters(tmp_path, name, finetune_epochs=1), windows)
    tables = []
    for out in (tmp_path / "a.parquet", tmp_path / "b.parquet"):
        run_method(study, out)
        tables.append(read_predictions(out))
    assert tables[0][0].equals(tables[1][0])
    assert " done, " not in capsys.readouterr().out.rpartition("a.parquet")[2].rpartition("fitted folds are kept")[2]


@pytest.mark.slow
@both
def test_labels_exchanged_within_people_are_not_learnt(tmp_path: Path, name: str) -> None:
    """96 held-out clips three times over: the mean AUC's standard error is 0.035, a third of the bound."""
    found = []
    shuffle: Callable[..., Any] = np.random.default_rng(3).permutation
    for seed in range(3):
        clips = oscillating(subjects=22, clips=10, windows=1, patches=2, channels=(4, 2), seed=seed, tasks=("a",))
        for subject in np.unique(clips.subjects):
            own = clips.subjects == subject
            clips.labels[own] = shuffle(clips.labels[own])
        train, validation, test = sides(clips)
        model = made(tmp_path / str(seed), name, finetune_learning_rate=1e-3).fit(train, validation, seed)
        found.append(roc_auc_score(test.labels[:, 0], model.predict(test.without_labels())[:, 0]))
    assert abs(np.mean(found) - 0.5) < 0.11
