"""The stand-in for Wang et al.: the lead that tells is found, from training and validation people alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_clips import planted_clips
from safetensors.numpy import save
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.single_lead_features import ECG_FEATURES, EEG_FEATURES
from physiopipe.errors import PhysiopipeError
from physiopipe.methods import single_lead
from physiopipe.methods.base import Setup
from physiopipe.methods.single_lead import SingleLead
from physiopipe.params import check_params


def made(tmp_path: Path, **settings: Any) -> SingleLead:
    content = {"methods": ["single_lead"], "method": {"single_lead": settings}, "run": {"device": "cpu", "threads": 1}}
    return SingleLead(Setup(check_params(content, "test"), None, tmp_path / "state"))


def planted(**sizes: Any) -> ClipData:
    """The first task is in the third EEG channel alone, the second in the ECG."""
    sizes = {"subjects": 12, "clips": 8, "windows": 2, "patches": 4, "channels": (5, 1), **sizes}
    whole, nothing = planted_clips(**sizes), planted_clips(**{**sizes, "effect": 0.0})
    others = np.arange(whole.eeg.shape[1]) != 2
    whole.eeg[:, others] = nothing.eeg[:, others]
    return whole


def sides(clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
    names = sorted(set(clips.subjects))
    cut = len(names) // 2
    return clips.of_subjects(names[:cut]), clips.of_subjects(names[cut:-3]), clips.of_subjects(names[-3:])


def state_bytes(method: SingleLead) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in method.state()[0].items()})


def test_the_lead_that_tells_is_found_and_the_ecg_counts(tmp_path: Path) -> None:
    train, validation, test = sides(planted())
    model = made(tmp_path).fit(train, validation, 0)
    found = model.predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, task], found[:, task]) for task in range(2)]
    assert auc[0] > 0.95
    assert auc[1] > 0.8
    first, second, _ = model._machines
    assert first.lead.tolist() == [2]
    assert (second.columns >= 5 * len(EEG_FEATURES)).any()


def test_sizes_are_those_of_the_features() -> None:
    assert (len(EEG_FEATURES), len(ECG_FEATURES)) == (single_lead._OF_A_LEAD, single_lead._OF_ECG)
    assert SingleLead.Settings().kept_features[-1] == len(EEG_FEATURES) + len(ECG_FEATURES)


def test_the_decision_is_that_of_the_library(tmp_path: Path) -> None:
    train, _, test = sides(planted(tasks=("a",)))
    model = made(tmp_path, kept_features=[10], penalties=[1.0]).fit(train, train.of_subjects([]), 0)
    (machine,) = model._machines
    assert machine.lead.tolist() == [0]  # nobody to choose by: the first
    assert len(machine.columns) == 10

    def scaled(clips: ClipData) -> np.ndarray:
        return (model._cache.of(clips).astype(np.float64)[:, machine.columns] - machine.mean) / machine.deviation

    np.testing.assert_allclose(scaled(train).mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled(train).std(axis=0), 1)
    svm = SVC(C=1.0, gamma="scale").fit(scaled(train), train.labels[train.clip_of, 0])
    found = machine.decision(model._cache.of(test).astype(np.float64))
    np.testing.assert_allclose(found, svm.decision_function(scaled(test)), atol=1e-9)
    means = test.clip_means(1 / (1 + np.exp(-found[:, None])))
    np.testing.assert_array_equal(model.predict(test), means)


def test_validation_people_only_choose(tmp_path: Path) -> None:
    """With one k and one C they choose the lead, so what they are moves no other lead's machine."""
    train, validation, _ = sides(planted(channels=(1, 1), clips=4))
    one = {"kept_features": [5], "penalties": [1.0]}
    found = state_bytes(made(tmp_path, **one).fit(train, validation, 0))
    validation.eeg[:] *= 7
    validation.labels[:] = 1 - validation.labels
    validation._digests.clear()  # its windows are others now
    assert state_bytes(made(tmp_path, **one).fit(train, validation, 0)) == found
    train.eeg[:] *= np.linspace(1, 2, train.eeg.shape[-1], dtype=np.float32)
    train._digests.clear()
    assert state_bytes(made(tmp_path, **one).fit(train, validation, 0)) != found  # the comparison can fail


def test_nothing_to_learn_from_and_what_the_row_is(tmp_path: Path) -> None:
    train, validation, test = sides(planted(clips=2))
    model = made(tmp_path, penalties=[1.0])
    assert model.title == "Single-lead EEG + ECG features (stand-in)"
    assert model.provenance.startswith("stand-in: the paper's text and code are not public")
    assert "no baseline recording is subtracted" in model.provenance
    assert "changed: penalties (1.0,), not (0.1, 1.0, 10.0)" in model.provenance
    with pytest.raises(PhysiopipeError, match="No training clips"):
        model.fit(train.of_subjects([]), validation, 0)
    train.eeg_present[:], train.ecg_present[:] = False, False
    train._digests.clear()
    found = model.fit(train, validation, 0).predict(test)
    np.testing.assert_allclose(found, np.tile(train.labels.mean(axis=0), (len(test), 1)))
