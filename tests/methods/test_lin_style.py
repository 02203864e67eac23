"""The stand-in for Lin et al.: what is planted in the EEG is learnt, and from training people alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_clips import planted_clips
from safetensors.numpy import save
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
        "run": {"log_folder": "", "device": "cpu", "threads": 1},
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
