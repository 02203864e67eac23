"""Sides of a split: disjoint, stable, of the paper's sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.subject_splits import Fold, subject_split
from physiopipe.windows.held_out import held_out_records

NAMES = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=8), min_size=5, max_size=40, unique=True)
SUBJECTS = [f"s{number:02d}" for number in range(1, 24)]


def test_paper_split_of_23_is_13_4_6() -> None:
    (fold,) = subject_split(SUBJECTS, "paper", seed=0)
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (13, 4, 6)
    assert subject_split(SUBJECTS, "paper", seed=0) == [fold]
    assert subject_split(SUBJECTS, "paper", seed=1) != [fold]


def test_crossval_groups_of_23_are_5_5_5_4_4_and_drawn_by_seed() -> None:
    folds = subject_split(SUBJECTS, "crossval", seed=0)
    assert [len(fold.test) for fold in folds] == [5, 5, 5, 4, 4]
    assert sorted(name for fold in folds for name in fold.test) == SUBJECTS
    assert folds == subject_split(SUBJECTS[::-1], "crossval", seed=0)
    assert folds != subject_split(SUBJECTS, "crossval", seed=1)
    for fold, following in zip(folds, folds[1:] + folds[:1], strict=True):
        assert fold.validation == following.test


@given(NAMES, st.sampled_from(["paper", "crossval"]), st.integers(0, 1000))
def test_sides_hold_every_subject_once(names: list[str], protocol: str, seed: int) -> None:
    for fold in subject_split(names, protocol, seed):  # type: ignore[arg-type]
        assert sorted(fold.train + fold.validation + fold.test) == sorted(names)
        assert fold.train
        assert fold.validation
        assert fold.test


def test_a_subject_on_two_sides_is_refused() -> None:
    with pytest.raises(PhysiopipeError, match="two sides"):
        Fold(("s01", "s02"), ("s03",), ("s02",))


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(PhysiopipeError, match="at least 5"):
        subject_split(["a", "b"], "paper", 0)


@given(NAMES, st.floats(0.01, 0.99), st.integers(0, 100))
def test_held_out_is_by_record_and_stable(names: list[str], share: float, seed: int) -> None:
    windows = [name for name in names for _ in range(3)]
    chosen = held_out_records(windows, share, seed)
    assert 0 < chosen.sum() < len(windows)
    for name in names:
        assert len({bool(c) for c, w in zip(chosen, windows, strict=True) if w == name}) == 1


def test_more_records_move_no_other() -> None:
    names = [f"r{number}" for number in range(1000)]
    few, many = held_out_records(names[:500], 0.1, 3), held_out_records(names, 0.1, 3)
    assert np.array_equal(few, many[:500])
    assert 60 < many.sum() < 140
