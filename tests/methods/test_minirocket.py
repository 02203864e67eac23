from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted_clips import planted_clips
from safetensors.numpy import load, save
from sklearn.metrics import roc_auc_score
from test_series_methods import sides

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.minirocket import MiniRocketRidge
from physiopipe.params import check_params


def made(tmp_path: Path, **settings: Any) -> MiniRocketRidge:
    content = {
        "methods": ["minirocket"],
        "method": {"minirocket": {"features": 840, **settings}},
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return MiniRocketRidge(Setup(check_params(content, "test"), None, tmp_path / "state"))


def state_bytes(method: MiniRocketRidge) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


def test_planted_effects_are_learnt_from_eeg_and_from_ecg(tmp_path: Path) -> None:
    def clips(subjects: int, seed: int) -> ClipData:
        return planted_clips(subjects, 8, 1, 2.0, seed, patches=2, channels=(4, 2))

    train, validation, _ = sides(clips(16, 0))
    test = clips(8, 5)
    for scaling, of_amplitude in (("training", 0.9), ("window", None)):
        found = made(tmp_path, scaling=scaling).fit(train, validation, 0).predict(test.without_labels())
        auc = [roc_auc_score(test.labels[:, task], found[:, task]) for task in range(3)]
        if of_amplitude:
            assert auc[0] > of_amplitude  # amplitude of white EEG: nothing is left of it on a window's own scale
        else:
            assert abs(auc[0] - 0.5) < 0.25
        assert auc[1] > 0.9
        assert abs(auc[2] - 0.5) < 0.25  # nothing planted: 64 clips


def test_same_seed_same_bytes_kept_and_restored(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=8, clips=2, windows=1, patches=2))
    before = np.random.get_state()[1].copy(), torch.get_num_threads()  # noqa: NPY002
    fitted = [made(tmp_path).fit(train, validation, seed) for seed in (3, 3, 4)]
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.get_num_threads() == before[1]
    assert state_bytes(fitted[0]) == state_bytes(fitted[1]) != state_bytes(fitted[2])
    again = made(tmp_path).restore(load(state_bytes(fitted[0])), fitted[0].state()[1])
    assert again.predict(test).tobytes() == fitted[1].predict(test).tobytes()
    assert again.trained_parameters == fitted[0].trained_parameters == 3 * 841
    assert state_bytes(again) == state_bytes(fitted[0])


def test_validation_people_choose_the_penalty_and_nothing_else(make_clips, tmp_path: Path) -> None:
    train, validation, _ = sides(make_clips(subjects=12, clips=6, windows=1, patches=2, effect=0.3))
    one = {"smallest_penalty": 5.0, "largest_penalty": 5.0, "penalties": 1}
    found = made(tmp_path, **one).fit(train, validation, 0)
    nobody = made(tmp_path, **one).fit(train, validation.of_subjects([]), 0)
    assert state_bytes(found) == state_bytes(nobody)
    np.testing.assert_array_equal(found.penalties, 5.0)
    many = made(tmp_path, largest_penalty=1e6).fit(train, validation, 0)
    aucs = {}
    for penalty in np.geomspace(1e6, 1e-3, 10):
        chosen = {**one, "smallest_penalty": penalty, "largest_penalty": penalty}
        model = made(tmp_path, **chosen).fit(train, validation, 0)
        predicted = model.predict(validation.without_labels())
        aucs[penalty] = [roc_auc_score(validation.labels[:, task], predicted[:, task]) for task in range(3)]
    best = [max(aucs, key=lambda penalty, task=task: (aucs[penalty][task], penalty)) for task in range(3)]
    np.testing.assert_allclose(many.penalties, best)
    assert len(set(best)) > 1


def test_a_task_of_one_class_and_no_windows(make_clips, tmp_path: Path) -> None:
    train, validation, test = sides(make_clips(subjects=6, clips=2, windows=1, patches=1))
    train.labels[:, 1] = 1
    assert (made(tmp_path).fit(train, validation, 0).predict(test)[:, 1] == 1).all()
    train.eeg_present[:], train.ecg_present[:] = False, False
    train._digests.clear()
    with pytest.raises(PhysiopipeError, match="0 training windows: expected one or more"):
        made(tmp_path).fit(train, validation, 0)
    with pytest.raises(PhysiopipeError, match="No training clips"):
        made(tmp_path).fit(train.of_subjects([]), validation, 0)


def test_what_the_row_says_of_itself(tmp_path: Path) -> None:
    model = made(tmp_path)
    assert model.provenance.startswith("library aeon ")
    assert model.provenance.endswith("(nothing pretrained; reduced: features 840 of 10000)")
    assert model.extras == ("aeon",)
    assert (model.workers(15, 2), model.workers(1, 2)) == (2, 1)
