"""How many windows of a clip an epoch takes: so many, each as likely, drawn anew, the same ones by the same seed."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from planted_clips import planted_clips
from small_methods import sides, small_method

from physiopipe.methods.clip_windows import ClipWindowsSettings
from physiopipe.methods.registry import METHODS, method_class
from physiopipe.training.clip_draws import ALL_WINDOWS, ClipDraws

CLIP_OF = np.array([3, 0, 0, 5, 0, 3, 3, 0, 0, 3, 0])  # six windows, four, and a clip with one alone
ROWS = [name for name in METHODS if issubclass(method_class(name).Settings, ClipWindowsSettings)]


def drawn(seed: int, epochs: int) -> list[npt.NDArray[np.int64]]:
    order = np.random.default_rng(seed)
    return [ClipDraws(2).epoch_rows(order, CLIP_OF) for _ in range(epochs)]


def test_an_epoch_takes_two_windows_of_a_clip_and_all_come_as_often() -> None:
    epochs = drawn(0, 4000)
    for rows in epochs[:50]:
        assert sorted(CLIP_OF[rows].tolist()) == [0, 0, 3, 3, 5]
        assert len(set(rows.tolist())) == len(rows)
    assert len({tuple(sorted(rows.tolist())) for rows in epochs}) == 15 * 6  # every pair of six, with every of four
    share = np.bincount(np.concatenate(epochs), minlength=len(CLIP_OF)) / len(epochs)
    np.testing.assert_allclose(share, 2 / np.bincount(CLIP_OF)[CLIP_OF].clip(min=2), atol=0.03)
    first = np.bincount([rows[0] for rows in epochs], minlength=len(CLIP_OF))  # in random order, not clip by clip
    assert first.min() > 0
    assert all(np.array_equal(a, b) for a, b in zip(drawn(0, 5), epochs, strict=False))
    assert not any(np.array_equal(a, b) for a, b in zip(drawn(1, 5), epochs, strict=False))


def test_all_windows_are_the_plain_permutation_and_validation_is_drawn_once() -> None:
    one, other = np.random.default_rng(7), np.random.default_rng(7)
    assert np.array_equal(ALL_WINDOWS.validation_rows(one, CLIP_OF), np.arange(len(CLIP_OF)))  # nothing is drawn
    assert np.array_equal(ALL_WINDOWS.epoch_rows(one, CLIP_OF), other.permutation(len(CLIP_OF)))
    rows = ClipDraws(validation=1).validation_rows(one, CLIP_OF)
    assert np.array_equal(rows, np.sort(rows))
    assert sorted(CLIP_OF[rows].tolist()) == [0, 3, 5]
    assert len(ClipDraws(2, 2).epoch_rows(one, CLIP_OF[:0])) == len(ClipDraws(2, 2).validation_rows(one, CLIP_OF[:0]))


def test_the_rows_that_train_on_windows_are_those_that_take_the_setting() -> None:
    assert set(ROWS) == {"one_fits_all", "time_llm", "eeg_conformer", "lin_style", "brant_x_style"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_on_what_is_drawn_and_says_so(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of three windows, one an epoch: the losses that training adds up are of so many windows."""
    seen: dict[str, list[int]] = {"train": [], "validation": []}
    whole = ClipDraws.epoch_rows, ClipDraws.validation_rows

    def counted(kind: str, number: int):
        def draw(self: ClipDraws, order: np.random.Generator, clip_of: npt.NDArray[np.int64]):
            rows = whole[number](self, order, clip_of)
            seen[kind].append(len(rows))
            return rows

        return draw

    monkeypatch.setattr(ClipDraws, "epoch_rows", counted("train", 0))
    monkeypatch.setattr(ClipDraws, "validation_rows", counted("validation", 1))
    train, validation, test = sides(planted_clips(subjects=7, clips=4, windows=3, patches=4, channels=(5, 2)))
    settings = {"epoch_windows_per_clip": 1, "validation_windows_per_clip": 2}
    model = small_method(name, tmp_path, **settings).fit(train, validation, 3)
    assert set(seen["train"]) == {len(train)}
    assert seen["validation"] == [2 * len(validation)]
    assert len(seen["train"]) >= 2
    assert "epoch windows per clip 1 of all, validation windows per clip 2 of all" in model.provenance
    found = model.predict(test.without_labels())
    again = small_method(name, tmp_path / "again", **settings).fit(train, validation, 3)
    assert again.predict(test.without_labels()).tobytes() == found.tobytes()
    every = small_method(name, tmp_path / "all").fit(train, validation, 3)
    assert every.predict(test.without_labels()).tobytes() != found.tobytes()
    assert "per clip" not in every.provenance
