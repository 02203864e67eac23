"""What lies between Ours and the handcrafted row: its ends are those rows, each setting is one step between them."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_clips import planted_clips
from small_methods import setup, sides
from test_every_method import restored, with_holes

from physiopipe.clips.clip_data import ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Setup
from physiopipe.methods.handcrafted import Handcrafted
from physiopipe.methods.mixed_features import MixedFeatures
from physiopipe.methods.ours import Ours

OURS = {"eeg": "embedding", "ecg": "embedding", "classifier": "network", "unit": "window"}
HANDCRAFTED = {"eeg": "features", "ecg": "features", "classifier": "regression", "unit": "clip"}
CELLS = [
    dict(zip(OURS, levels, strict=True)) for levels in product(*zip(OURS.values(), HANDCRAFTED.values(), strict=True))
]


def of(folder: Path, **settings: Any) -> Setup:
    return setup(folder, epochs=3, **settings)


def fitted(kind: type, given: Setup, clips: tuple[ClipData, ClipData, ClipData]) -> np.ndarray:
    train, validation, test = clips
    return kind(given).fit(train, validation, 3).predict(test.without_labels())


def test_its_ends_are_ours_and_the_handcrafted_row(tmp_path: Path) -> None:
    for clips in (with_holes((5, 2), ("one", "two")), sides(planted_clips(subjects=8, clips=4, windows=3, patches=10))):
        found = {
            name: fitted(MixedFeatures, of(tmp_path, **end), clips)
            for name, end in (("ours", OURS), ("features", HANDCRAFTED))
        }
        np.testing.assert_array_equal(found["ours"], fitted(Ours, of(tmp_path), clips))
        np.testing.assert_array_equal(found["features"], fitted(Handcrafted, of(tmp_path), clips))


def test_every_cell_is_kept_as_fitted_and_no_two_are_alike(tmp_path: Path) -> None:
    train, validation, test = with_holes((5, 2), ("one", "two"))
    found = []
    for cell in CELLS:
        model = MixedFeatures(of(tmp_path, **cell)).fit(train, validation, 3)
        found.append(model.predict(test.without_labels()))
        again = restored(model, MixedFeatures(of(tmp_path, **cell)))
        assert again.predict(test.without_labels()).tobytes() == found[-1].tobytes()
    assert all(not np.allclose(a, b) for i, a in enumerate(found) for b in found[i + 1 :])


def test_equal_windows_make_the_unit_no_difference(tmp_path: Path) -> None:
    """Windows of a clip that are the same three times: a clip's mean, its weight and its number of steps are theirs."""
    once = planted_clips(subjects=8, clips=4, windows=1, patches=10)
    thrice = once.of_windows(np.ones(len(once.clip_of), dtype=bool))
    repeat = partial(np.repeat, repeats=3, axis=0)
    for name in ("eeg", "ecg", "eeg_present", "ecg_present", "valid_patches", "clip_of"):
        object.__setattr__(thrice, name, repeat(getattr(once, name)))
    thrice._digests.clear()
    clips = sides(thrice)
    for rest in product(("embedding", "features"), ("network", "regression")):
        cell = dict(zip(("eeg", "classifier"), rest, strict=True))
        by_window, by_clip = (
            fitted(MixedFeatures, of(tmp_path, unit=unit, **cell), clips) for unit in ("window", "clip")
        )
        np.testing.assert_allclose(by_window, by_clip, atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{"frozen": False}, {"head": "logistic"}, {"pooling": "attention"}, {"choose": [{"layer": 0}]}]
)
def test_what_it_cannot_mix_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(PhysiopipeError, match=r"mixed_features: .*expected"):
        MixedFeatures(of(tmp_path, **settings))
