"""What holds of every registered method: the same bytes again, a clip by itself, any channels and tasks, and holes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from planted_clips import planted_clips
from small_methods import every_method, sides, small_method

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.corruptions import Condition, corrupted
from physiopipe.methods.base import Method
from physiopipe.methods.registry import METHODS, method_class

# Rows that say the share of high training clips where nothing is known of a clip; others, what their heads say of zeros
AT_PREVALENCE = {"lin_style", "single_lead", "mlf_capsnet", "eeg_conformer", "minirocket", "simmtm", "tfc"}
SHAPES = {  # channels of EEG and ECG, tasks
    "19 + 1, one task": ((19, 1), ("asleep",)),
    "5 + 2, three tasks": ((5, 2), ("valence", "arousal", "dominance")),
    "32 + 1, two tasks": ((32, 1), ("valence", "arousal")),
}


def with_holes(channels: tuple[int, int], tasks: tuple[str, ...]) -> tuple[ClipData, ClipData, ClipData]:
    """Planted clips without some channels, patches and windows, whatever is stored there; labels are not balanced."""
    clips = planted_clips(subjects=6, clips=4, windows=2, patches=4, channels=channels, tasks=tasks)
    clips.labels[:, -1] |= (clips.clips > 3).astype(np.int8)
    clips.eeg_present[::3, 4] = False
    clips.eeg[::3, 4] = np.nan
    clips.valid_patches[1] = 1
    clips.eeg[1, :, 1:], clips.ecg[1, :, 1:] = np.inf, np.nan
    clips.valid_patches[2] = 0
    clips.ecg[5] = 0  # no beats
    train, validation, test = sides(clips)
    test.eeg_present[:2], test.ecg_present[:2] = False, False  # both windows of the first clip
    return train, validation, test


def state_bytes(method: Method) -> bytes:
    arrays, about = method.state()
    kept = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    return safetensors.numpy.save(kept, {"about": json.dumps(about, sort_keys=True)})


def restored(model: Method, fresh: Method) -> Method:
    """A new object of the method with the state of a fitted one, brought through bytes as it is kept."""
    return fresh.restore(safetensors.numpy.load(state_bytes(model)), json.loads(json.dumps(model.state()[1])))


@pytest.mark.parametrize(
    "shape", [pytest.param(name, marks=[pytest.mark.slow] * (number > 0)) for number, name in enumerate(SHAPES)]
)
@pytest.mark.parametrize("name", every_method())
def test_it_is_fitted_kept_and_restored_on_any_channels_and_tasks_with_holes(
    tmp_path: Path, name: str, shape: str
) -> None:
    train, validation, test = with_holes(*SHAPES[shape])
    before = torch.get_rng_state(), torch.get_num_threads(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = small_method(name, tmp_path).fit(train, validation, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002
    again = restored(model, small_method(name, tmp_path))
    assert state_bytes(again) == state_bytes(model)
    assert again.trained_parameters == model.trained_parameters
    assert bool(model.trained_parameters) == (name not in ("always_high", "nearest_neighbours"))
    assert all(np.isfinite(value).all() for value in model.state()[0].values() if value.dtype.kind == "f")
    for shown in (test, corrupted(test, Condition("lost_ecg"), 0), corrupted(test, Condition("noise_snr_db", 0.0), 0)):
        hidden = shown.without_labels()
        found = model.predict(hidden)
        assert found.shape == (len(test), len(train.tasks))
        assert ((found >= 0) & (found <= 1)).all()
        if name in AT_PREVALENCE:
            np.testing.assert_allclose(found[0], train.labels.mean(axis=0))
        assert again.predict(hidden).tobytes() == found.tobytes()


@pytest.mark.parametrize("name", every_method())
def test_a_seed_gives_its_bytes_whatever_was_prepared_and_each_clip_is_predicted_by_its_own_signals(
    tmp_path: Path, name: str
) -> None:
    clips = planted_clips(subjects=7, clips=4, windows=2, patches=4, channels=(5, 2))
    train, validation, test = sides(clips)
    model = small_method(name, tmp_path / "a").fit(train, validation, 3)
    prepared = small_method(name, tmp_path / "b")
    prepared.precompute(clips.without_labels())  # all people's windows, as a study does it
    assert state_bytes(prepared.fit(train, validation, 3)) == state_bytes(model)
    found = model.predict(test.without_labels())
    assert prepared.predict(test.without_labels()).tobytes() == found.tobytes()
    assert prepared.fingerprint() == model.fingerprint() == small_method(name, tmp_path / "c").fingerprint()
    if model.curve():  # what is trained in epochs begins with a draw
        assert state_bytes(prepared.fit(train, validation, 4)) != state_bytes(model)
    alone = np.concatenate([model.predict(test.of_windows(test.clip_of == clip)) for clip in range(len(test))])
    assert np.allclose(alone, found, rtol=0, atol=1e-5) == ("alone" not in model.exempt)
    for modality in ("eeg", "ecg"):  # only those that it names are read
        noise = np.random.default_rng(1).normal(50, 3000, getattr(test, modality).shape).astype(np.float32)
        moved = model.predict(replace(test, **{modality: noise}))
        assert np.array_equal(moved, found) == (modality not in model.inputs), modality


@pytest.mark.parametrize("name", every_method())
def test_nothing_to_learn_from_is_said(tmp_path: Path, name: str) -> None:
    train, validation, _ = sides(planted_clips(subjects=6, clips=2, windows=1, patches=2))
    if name == "always_high":
        pytest.skip("it learns nothing")
    with pytest.raises(PhysiopipeError, match=r"No training (clips|window)"):
        small_method(name, tmp_path).fit(train.of_subjects([]), validation, 0)


def test_exemptions_are_few_and_say_why() -> None:
    found = {name: method_class(name).exempt for name in METHODS}
    assert {name: set(exempt) for name, exempt in found.items() if exempt} == {
        "transductive": {"alone"},
        "clip_prior": {"chance"},
    }
    assert all(reason.endswith(".") for exempt in found.values() for reason in exempt.values())
