"""The stand-in for Lin et al.: what is planted in the EEG is learnt, and from training people alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from safetensors.numpy import load, save
from sklearn.metrics import roc_auc_score

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.phase_locking import PhaseLocking, mean_phase_locking
from physiopipe.clips.resampled import ResampledWindows
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.lin_style import LinStyle
from physiopipe.params import check_params


def made(tmp_path: Path, **settings: Any) -> LinStyle:
    content = {
        "methods": ["lin_style"],
        "method": {"lin_style": {"epochs": 2, "width": 16, **settings}},
        "run": {"device": "cpu", "threads": 1},
    }
    return LinStyle(Setup(check_params(content, "test"), None, tmp_path / "state"))


def oscillating(**sizes: Any) -> ClipData:
    """Two of the EEG channels oscillate at 10 Hz, in phase, where the first task is high."""
    clips = planted_clips(effect=0.0, **sizes)
    windows, _, patches, samples = clips.eeg.shape
    phase = np.random.default_rng(9).uniform(0, 2 * np.pi, (windows, 1))
    wave = np.sin(2 * np.pi * 10 * np.arange(patches * samples) / 200 + phase).reshape(windows, 1, patches, samples)
    clips.eeg[:, 1:3] += 40 * clips.labels[clips.clip_of, 0][:, None, None, None] * wave
    return clips


def sides(clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    names = sorted(set(clips.subjects))
    cut = len(names) // 2
    return clips.of_subjects(names[:cut]), clips.of_subjects(names[cut : cut + 2]), clips.of_subjects(names[cut + 2 :])


def state_bytes(method: LinStyle) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


def test_what_two_channels_tell_is_learnt(tmp_path: Path) -> None:
    train, validation, test = sides(oscillating(subjects=14, clips=8, windows=1, patches=2, channels=(6, 1)))
    model = made(tmp_path, epochs=20, batch_size=16).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, task], found[:, task]) for task in range(3)]
    assert auc[0] > 0.85
    assert abs(auc[2] - 0.5) < 0.35  # nothing planted: 40 clips
    assert model.curve()[-2].loss < model.curve()[0].loss


def test_the_prior_is_the_mean_over_training_windows_with_both_channels(tmp_path: Path) -> None:
    clips = oscillating(subjects=4, clips=4, windows=1, patches=2, channels=(4, 1))
    clips.eeg_present[:3, 1] = False
    clips.valid_patches[5] = 1
    clips.eeg[5, :, 1] = np.nan  # not valid
    clips.eeg_present[7] = False
    values = PhaseLocking(tmp_path, ResampledWindows(tmp_path)).of(clips)
    assert not values[7].any()
    assert not values[0, 1].any()
    assert np.isfinite(values).all()
    mean = mean_phase_locking(values)
    rows = [row for row in range(len(values)) if row > 2 and row != 7]
    np.testing.assert_allclose(mean[1, 2], values[rows, 1, 2].mean(), rtol=1e-5)
    assert (np.diagonal(mean) == 0).all()
    high = clips.labels[clips.clip_of, 0] == 1
    whole = np.isin(np.arange(len(values)), rows)
    assert values[high & whole, 1, 2].mean() > values[~high & whole, 1, 2].mean() + 0.2  # in phase where high
    model = made(tmp_path).fit(clips, clips.of_subjects([]), 0)
    np.testing.assert_array_equal(model.state()[0]["network.connectivity"], mean)


def test_a_clip_is_predicted_alike_alone_and_among_others(tmp_path: Path) -> None:
    train, validation, test = sides(oscillating(subjects=8, clips=2, windows=2, patches=2, channels=(5, 1)))
    model = made(tmp_path).fit(train, validation, 0)
    whole = model.predict(test)
    for clip in range(len(test)):
        alone = test.of_windows(test.clip_of == clip)
        np.testing.assert_allclose(model.predict(alone), whole[clip : clip + 1], atol=1e-5)


def test_same_seed_same_bytes_and_restored_too(tmp_path: Path) -> None:
    train, validation, test = sides(oscillating(subjects=8, clips=2, windows=1, patches=2, channels=(5, 1)))
    before = torch.get_rng_state(), torch.get_num_threads()
    fitted = [made(tmp_path).fit(train, validation, seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert state_bytes(fitted[0]) == state_bytes(fitted[1]) != state_bytes(fitted[2])
    again = made(tmp_path).restore(load(state_bytes(fitted[0])), fitted[0].state()[1])
    assert again.predict(test).tobytes() == fitted[1].predict(test).tobytes()


@pytest.mark.parametrize(("channels", "tasks", "ratio"), [((19, 1), ("a",), 0.2), ((32, 1), ("a", "b"), 1.0)])
def test_other_channels_and_tasks_with_holes(
    tmp_path: Path, channels: tuple[int, int], tasks: tuple[str, ...], ratio: float
) -> None:
    clips = planted_clips(subjects=6, clips=2, windows=2, patches=2, channels=channels, tasks=tasks)
    clips.eeg_present[::3, 4] = False
    clips.eeg[::3, 4] = np.nan
    clips.valid_patches[1] = 1
    clips.eeg[1, :, 1] = np.inf
    clips.valid_patches[2] = 0
    train, validation, test = sides(clips)
    test.eeg_present[:2] = False  # both windows of the first clip: nothing is known of it
    model = made(tmp_path, ratio=ratio).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    assert found.shape == (len(test), len(tasks))
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(found[0], train.labels.mean(axis=0))
    assert model._network.kept == {0.2: 4, 1.0: 32}[ratio]


def test_validation_people_choose_the_epoch_and_nothing_else(tmp_path: Path) -> None:
    train, validation, _ = sides(oscillating(subjects=8, clips=2, windows=1, patches=2, channels=(5, 1)))
    found = state_bytes(made(tmp_path, epochs=1).fit(train, validation, 0))
    validation.eeg[:] = np.random.default_rng(1).normal(size=validation.eeg.shape)
    validation.labels[:] = 1 - validation.labels
    validation._digests.clear()  # its windows are others now
    assert state_bytes(made(tmp_path, epochs=1).fit(train, validation, 0)) == found
    assert state_bytes(made(tmp_path, epochs=1).fit(train, train.of_subjects([]), 0)) == found
    train.eeg[:] *= np.linspace(1, 2, train.eeg.shape[-1], dtype=np.float32)
    train._digests.clear()
    assert state_bytes(made(tmp_path, epochs=1).fit(train, validation, 0)) != found  # the comparison can fail


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    train, validation, _ = sides(planted_clips(subjects=8, clips=2, windows=1, patches=2, channels=(4, 1), effect=0.0))
    curve = made(tmp_path, epochs=30, patience=2).fit(train, validation, 0).curve()
    judged = [point.auc for point in curve if point.split == "validation"]
    assert 3 <= len(judged) < 30
    assert len(judged) - 1 - int(np.argmax(judged)) == 2


def test_what_is_missing_and_what_the_row_is_are_said(tmp_path: Path) -> None:
    train, validation, _ = sides(oscillating(subjects=8, clips=2, windows=1, patches=2, channels=(4, 1)))
    model = made(tmp_path)
    assert model.provenance.startswith("stand-in: no code of the authors is public")
    assert "reduced: width 16 of 64, epochs 2 of 50" in model.provenance
    assert "(stand-in)" in model.title
    with pytest.raises(PhysiopipeError, match="No training clips"):
        model.fit(train.of_subjects([]), validation, 0)
    train.eeg_present[:] = False
    train._digests.clear()
    with pytest.raises(PhysiopipeError, match="No training windows"):
        model.fit(train, validation, 0)


@pytest.mark.slow
def test_labels_exchanged_within_people_are_not_learnt(tmp_path: Path) -> None:
    """80 held-out clips four times over: the mean AUC's standard error is 0.033, a third of the bound."""
    found = []
    shuffle = np.random.default_rng(3)
    for seed in range(4):
        clips = oscillating(subjects=20, clips=10, windows=1, patches=2, channels=(4, 1), seed=seed, tasks=("a",))
        for subject in np.unique(clips.subjects):
            own = clips.subjects == subject
            clips.labels[own] = shuffle.permutation(clips.labels[own])
        train, validation, test = sides(clips)
        model = made(tmp_path / str(seed), epochs=6).fit(train, validation, seed)
        found.append(roc_auc_score(test.labels[:, 0], model.predict(test.without_labels())[:, 0]))
    assert abs(np.mean(found) - 0.5) < 0.1
