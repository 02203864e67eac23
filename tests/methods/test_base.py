import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_clips import planted_clips

from physiopipe.clips.clip_data import HIDDEN_LABEL
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Method, Setup
from physiopipe.methods.registry import METHODS, method_class, settings_class
from physiopipe.params import Params
from physiopipe.params.section import Section


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(Params(), None, tmp_path)


def test_every_registered_method_says_what_it_is() -> None:
    classes = {name: method_class(name) for name in METHODS}
    for name, found in classes.items():
        assert issubclass(found, Method)
        assert found.name == name
        assert found.note.endswith(".")
        assert issubclass(found.Settings, Section)
        assert found.trained_parameters is not Method.trained_parameters  # it tells
        assert settings_class(name) is found.Settings
        assert found.Settings() == found.Settings.model_validate({})  # every parameter has a default
    assert len({found.title for found in classes.values()}) == len(classes)
    assert {name for name, found in classes.items() if found.family} == {"gated", "cross_attention", "mixture"}


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PhysiopipeError, match="no method named 'handcraftd'; did you mean 'handcrafted'"):
        method_class("handcraftd")
    with pytest.raises(PhysiopipeError, match="no method named 'xyz'; there are: always_high, "):
        method_class("xyz")


def test_parameters_are_checked_without_heavy_libraries() -> None:
    """Every job of the workflow reads params.yaml, and with it the settings of all methods."""
    code = (
        "import sys; from physiopipe.methods.registry import METHODS, settings_class\n"
        "for name in METHODS: settings_class(name)\n"
        "print([x for x in ('torch', 'sklearn', 'zarr', 'scipy', 'pandas', 'safetensors') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_subset_keeps_windows_with_their_clips(make_clips) -> None:
    whole = make_clips(subjects=4, clips=3, windows=2)
    part = whole.of_subjects(["s03", "s01"])
    assert part.subjects.tolist() == ["s01"] * 3 + ["s03"] * 3
    assert part.clip_of.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    chosen = np.flatnonzero(np.isin(whole.subjects, ["s01", "s03"])[whole.clip_of])
    np.testing.assert_array_equal(part.eeg, whole.eeg[chosen])
    np.testing.assert_array_equal(part.labels[part.clip_of], whole.labels[whole.clip_of][chosen])
    assert len(whole.of_subjects([])) == 0
    assert (part.without_labels().labels == HIDDEN_LABEL).all()


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_clip_means_equal_a_loop_and_ignore_nan(windows: int, seed: int) -> None:
    clips = planted_clips(subjects=2, clips=2, windows=windows, patches=1)
    random = np.random.default_rng(seed)
    values = random.normal(size=(len(clips.clip_of), 3))
    values[random.random(values.shape) < 0.3] = np.nan
    found = clips.clip_means(values)
    for clip in range(len(clips)):
        for column in range(3):
            known = [v for v in values[clips.clip_of == clip, column] if np.isfinite(v)]
            expected = np.mean(known) if known else np.nan
            np.testing.assert_allclose(found[clip, column], expected, rtol=1e-12)


def test_always_high_says_one(make_clips, setup: Setup) -> None:
    clips = make_clips()
    model = method_class("always_high")(setup).fit(clips, clips.of_subjects([]), 0)
    assert (model.predict(clips.without_labels()) == 1).all()


def test_clip_prior_is_the_mean_of_the_same_clip(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=5, clips=4)
    train, test = whole.of_subjects(["s01", "s02", "s03"]), whole.of_subjects(["s04", "s05"])
    train.labels[(train.clips == 2), 0] = [1, 1, 0]
    found = method_class("clip_prior")(setup).fit(train, train.of_subjects([]), 0).predict(test.without_labels())
    for row, clip in enumerate(test.clips):
        np.testing.assert_allclose(found[row], train.labels[train.clips == clip].mean(axis=0))
    assert found[test.clips == 2, 0] == pytest.approx([2 / 3, 2 / 3])
    unseen = method_class("clip_prior")(setup).fit(train, train, 0)
    test.clips[:] = 99
    np.testing.assert_allclose(unseen.predict(test), np.tile(train.labels.mean(axis=0), (len(test), 1)))


def test_chance_has_the_training_prevalence_without_ties_or_memory_of_position(make_clips, setup: Setup) -> None:
    whole = make_clips(subjects=20, clips=10, windows=1, patches=1)
    train, test = whole.of_subjects(["s01", "s02"]), whole.of_subjects([f"s{i:02d}" for i in range(3, 21)])
    model = method_class("chance")(setup).fit(train, train, 3)
    found = model.predict(test)
    np.testing.assert_allclose(found, np.tile(train.labels.mean(axis=0), (len(test), 1)), atol=2e-4)
    for label in range(3):
        assert len(np.unique(found[:, label])) == len(test)
    assert ((found > 0) & (found < 1)).all()
    half = test.of_subjects(["s09"])  # the same clip gets the same draw wherever it stands
    np.testing.assert_array_equal(model.predict(half), found[test.subjects == "s09"])
    order = np.argsort(found, axis=0)
    correlation = np.corrcoef(np.argsort(order[:, 0]), test.labels[:, 0])[0, 1]
    assert abs(correlation) < 0.25  # 180 clips: over three standard errors
    other = method_class("chance")(setup).fit(train, train, 4).predict(test)
    assert not np.array_equal(np.argsort(other[:, 0]), order[:, 0])


def test_nothing_to_learn_from_is_said(make_clips, setup: Setup) -> None:
    nobody = make_clips().of_subjects([])
    with pytest.raises(PhysiopipeError, match="No training clips"):
        method_class("chance")(setup).fit(nobody, nobody, 0)
