"""Where labels are exchanged within each subject nothing can be known, so a row above one half has a leak.

A hundred exchanges are a hundred tasks of the same clips: each method is fitted once a fold, with all of them. Given
the predictions, the AUC of an exchange is that of labels drawn by themselves, so the exchanges' mean has the standard
error SD / 10, and nothing is to be found within four of them: less than .025 where a subject has ten clips.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from planted_clips import planted_clips
from small_methods import every_method, small_method

from physiopipe.clips.clip_data import ClipData
from physiopipe.experiments.leaks import leaky_sides
from physiopipe.experiments.subject_splits import GROUPS, subject_split
from physiopipe.methods.registry import METHODS

EXCHANGES = 100
CHEAP = ("always_high", "clip_prior", "chance", "handcrafted", "nearest_neighbours")
# Of a hundred tasks, networks of their own or machines of their own for each: half a minute and more
COSTLY = ("in_domain", "single_lead", "mlf_capsnet")
# Rows that learn a training subject by heart within two epochs, so that a leak shows
BY_HEART = ("ecg_only", "eeg_only", "ours", "transductive", "gated", "cross_attention", "mixture")
CASES = every_method(slow=set(METHODS) - set(COSTLY), exhaustive=COSTLY)
F64 = npt.NDArray[np.float64]
Sides = tuple[ClipData, ClipData, ClipData]


def exchanged(windows: int, patches: int) -> ClipData:
    """Fifteen subjects of ten clips, five of them high: EXCHANGES draws of which. A clip's windows resemble each other,
    as a person's state lasts.
    """
    tasks = tuple(f"x{number}" for number in range(EXCHANGES))  # short: all of them stand in Time-LLM's prompt
    clips = planted_clips(15, 10, windows, 0.0, 1, patches, channels=(4, 2), tasks=tasks)
    random = np.random.default_rng(2)
    clips.eeg[:] *= np.exp(random.normal(0, 0.5, (len(clips), 4)))[clips.clip_of][:, :, None, None]
    clips.ecg[:] *= np.exp(random.normal(0, 0.5, len(clips)))[clips.clip_of, None, None, None]
    return clips


def subject_aucs(truth: npt.NDArray[np.int8], probability: F64) -> F64:
    """AUC of each exchange (column) among one subject's clips, ties counted half."""
    pairs = np.sign(probability[:, None] - probability[None])  # (clip, clip, exchange)
    counts = (truth[:, None] == 1) & (truth[None] == 0)
    found: F64 = 0.5 + 0.5 * (pairs * counts).sum(axis=(0, 1)) / counts.sum(axis=(0, 1))
    return found


def predicted(name: str, folder: Path, clips: ClipData, splits: Iterator[Sides]) -> F64:
    """Probability of each clip and task (n, n tasks). A clip whose windows are in several folds has the mean of what
    these predict.
    """
    method = small_method(name, folder, epochs=2, frozen=True)
    total, times = np.zeros(clips.labels.shape), np.zeros((len(clips), 1))
    for train, validation, test in splits:
        rows = np.searchsorted(clips.subjects, test.subjects) + test.clips - 1  # subjects, then clips from 1, in order
        total[rows] += method.fit(train, validation, 0).predict(test.without_labels())
        times[rows] += 1
    assert times.min() >= 1
    return total / times


def aucs_within_subjects(name: str, folder: Path, clips: ClipData, splits: Iterator[Sides]) -> F64:
    """Mean AUC within subjects, of each task."""
    probability = predicted(name, folder, clips, splits)
    of_subject = [clips.subjects == subject for subject in np.unique(clips.subjects)]
    found: F64 = np.mean([subject_aucs(clips.labels[rows], probability[rows]) for rows in of_subject], axis=0)
    return found


def excess(aucs: F64) -> tuple[float, float]:
    """How far the mean over exchanges is from one half, and its standard error."""
    return float(aucs.mean() - 0.5), float(aucs.std(ddof=1) / np.sqrt(len(aucs)))


def honest(clips: ClipData) -> Iterator[Sides]:
    for fold in subject_split(sorted(set(clips.subjects)), "crossval", 0):
        yield clips.of_subjects(fold.train), clips.of_subjects(fold.validation), clips.of_subjects(fold.test)


def with_test_subjects(clips: ClipData) -> Iterator[Sides]:
    """A leak: test subjects are trained on too."""
    for train, validation, test in honest(clips):
        yield clips.of_subjects({*train.subjects, *test.subjects}), validation, test


def with_shuffled_windows(clips: ClipData) -> Iterator[Sides]:
    """A leak: windows of test clips are trained on."""
    return (leaky_sides(clips, 0, number) for number in range(GROUPS))


def quick_ones(names: tuple[str, ...]) -> list[Any]:
    """Cases of a test, the row that fits a regression for each of a hundred tasks marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name == "handcrafted")) for name in names]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rows find what others have computed of the same windows."""
    return tmp_path_factory.mktemp("state")


@pytest.mark.parametrize("name", quick_ones(CHEAP))
def test_an_honest_row_is_at_one_half(state: Path, name: str) -> None:
    clips = exchanged(3, 10)
    found, error = excess(aucs_within_subjects(name, state, clips, honest(clips)))
    assert 4 * error < 0.05
    assert abs(found) <= 4 * error, (found, error)
    assert (error == 0) == (name == "always_high")  # ties alone


@pytest.mark.parametrize("name", quick_ones(("clip_prior", "handcrafted", "nearest_neighbours")))
def test_a_row_that_has_seen_the_test_subjects_is_found_out(state: Path, name: str) -> None:
    clips = exchanged(3, 10)
    found, error = excess(aucs_within_subjects(name, state, clips, with_test_subjects(clips)))
    assert found > 4 * error, (found, error)


@pytest.mark.slow  # the canary of test_protocols.py sings of the same
def test_a_row_that_has_seen_windows_of_test_clips_is_found_out(tmp_path: Path) -> None:
    clips = exchanged(5, 10)
    found, error = excess(aucs_within_subjects("nearest_neighbours", tmp_path, clips, with_shuffled_windows(clips)))
    assert found > 40 * error, (found, error)


@pytest.mark.parametrize("name", [case for case in CASES if case.values[0] not in CHEAP])
def test_an_honest_network_is_at_one_half_and_a_leaking_one_is_not(tmp_path: Path, name: str) -> None:
    clips = exchanged(1, 2)
    found, error = excess(aucs_within_subjects(name, tmp_path, clips, honest(clips)))
    assert 4 * error < 0.05
    assert abs(found) <= 4 * error, (found, error)
    if name in BY_HEART:
        found, error = excess(aucs_within_subjects(name, tmp_path, clips, with_test_subjects(clips)))
        assert found > 4 * error, (found, error)
