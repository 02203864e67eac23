from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from physiopipe.clips.cache import SubjectCache
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.handcrafted import Handcrafted
from physiopipe.methods.nearest_neighbours import NearestNeighbours
from physiopipe.params import Params


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(Params(), None, tmp_path)


def test_what_is_planted_is_found_and_what_is_not_is_not(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=14, clips=12, windows=1, patches=10)
    train = whole.of_subjects([f"s{i:02d}" for i in range(1, 9)])
    test = whole.of_subjects([f"s{i:02d}" for i in range(9, 15)])
    found = Handcrafted(setup).fit(train, test, 0).predict(test.without_labels())
    auc = [roc_auc_score(test.labels[:, label], found[:, label]) for label in range(3)]
    assert auc[0] > 0.95  # EEG power
    assert auc[1] > 0.95  # ECG amplitude
    assert abs(auc[2] - 0.5) < 0.25  # nothing planted: 72 clips


def test_only_training_clips_set_scale_and_fill(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=6, clips=6, windows=1, patches=10)
    train, test = whole.of_subjects(["s01", "s02", "s03", "s04"]), whole.of_subjects(["s05", "s06"])
    model = Handcrafted(setup).fit(train, test, 0)
    whole_test = model.predict(test)
    one = test.of_subjects(["s06"])
    np.testing.assert_allclose(model.predict(one), whole_test[test.subjects == "s06"], rtol=1e-12)


def test_dead_channels_and_beatless_ecg_still_get_a_probability(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=6, clips=4, windows=1, patches=10)
    whole.ecg[::3] = 0
    whole.eeg[:, 2] = 0
    train, test = whole.of_subjects(["s01", "s02", "s03"]), whole.of_subjects(["s04", "s05", "s06"])
    found = Handcrafted(setup).fit(train, test, 0).predict(test)
    assert np.isfinite(found).all()


def test_a_label_without_both_classes_gets_its_prevalence(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=4, clips=4, windows=1, patches=10)
    whole.labels[:, 2] = 1
    found = Handcrafted(setup).fit(whole, whole, 0).predict(whole)
    assert (found[:, 2] == 1).all()


def test_cache_equals_computing_and_is_used(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=4, clips=3, windows=2)
    calls: list[str] = []

    def compute(part):
        calls.append(str(part.subjects[0]))
        assert len(set(part.subjects)) == 1
        assert (part.labels == -1).all()
        return np.stack([part.eeg.mean(axis=(1, 2, 3)), part.ecg.std(axis=(1, 2, 3))], axis=1)

    expected = np.stack([clips.eeg.mean(axis=(1, 2, 3)), clips.ecg.std(axis=(1, 2, 3))], axis=1)
    first = SubjectCache(tmp_path, {"a": 1}, ("eeg", "ecg"), compute).of(clips)
    np.testing.assert_array_equal(first, expected)
    assert calls == ["s01", "s02", "s03", "s04"]
    fold = clips.of_subjects(["s02", "s04"])
    np.testing.assert_array_equal(
        SubjectCache(tmp_path, {"a": 1}, ("eeg", "ecg"), compute).of(fold),
        expected[np.isin(clips.subjects, ["s02", "s04"])[clips.clip_of]],
    )
    clips.labels[:] = 1 - clips.labels  # labels are no part of it
    SubjectCache(tmp_path, {"a": 1}, ("eeg", "ecg"), compute).of(clips)
    assert len(calls) == 4
    SubjectCache(tmp_path, {"a": 2}, ("eeg", "ecg"), compute).of(clips)
    assert len(calls) == 8
    clips = replace(clips, ecg=clips.ecg.copy())  # other clips: what is known of these is not theirs
    clips.ecg[0, 0, 0, 0] += 1
    changed = SubjectCache(tmp_path, {"a": 2}, ("eeg", "ecg"), compute).of(clips)
    assert calls[8:] == ["s01"]
    assert changed[0, 1] != expected[0, 1]
    for path in tmp_path.glob("*.npy"):  # a disk that was full
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(SubjectCache(tmp_path, {"a": 2}, ("eeg", "ecg"), compute).of(clips), changed)


def test_remembered_windows_are_looked_up_whatever_their_neighbours(make_clips, tmp_path: Path) -> None:
    clips = make_clips(subjects=3, clips=2, windows=3)
    calls = 0

    def compute(part):
        nonlocal calls
        calls += 1
        return part.eeg[:, :2, 0, 0]

    cache = SubjectCache(tmp_path, {}, ("eeg",), compute)
    cache.precompute(clips)
    assert calls == 3
    chosen = np.arange(len(clips.clip_of)) % 4 == 1
    some = clips.of_windows(chosen)
    np.testing.assert_array_equal(cache.of(some), clips.eeg[chosen][:, :2, 0, 0])
    assert calls == 3
    some = replace(some, eeg=some.eeg + np.float32(1))  # windows that were never seen are computed
    np.testing.assert_array_equal(cache.of(some), some.eeg[:, :2, 0, 0])
    assert calls > 3
    some.ecg[:] += 1  # not a signal that this cache depends on
    before = calls
    cache.of(some)
    assert calls == before


def test_nearest_neighbours_say_which_side_is_empty(make_clips, setup: Setup) -> None:
    clips = make_clips(subjects=2, clips=2, windows=1, patches=10)
    nobody = clips.of_subjects([])
    with pytest.raises(PhysiopipeError, match="No training clips"):
        NearestNeighbours(setup).fit(nobody, clips, 0)
    assert NearestNeighbours(setup).fit(clips, nobody, 0).predict(nobody).shape == (0, clips.labels.shape[1])
