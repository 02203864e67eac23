import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from physiopipe.results.metrics import confusion_metrics, count_by_subject, oracle_share, weighted_metrics


def drawn(seed: int, clips: int = 108, subjects: int = 6):
    generator = np.random.default_rng(seed)
    truth = generator.random(clips) < 0.7
    probability = np.round(np.clip(0.2 * truth + generator.normal(0.5, 0.3, clips), 0, 1), 1)  # rounding makes ties
    return truth, probability, np.full(clips, 0.6), np.repeat(np.arange(subjects), clips // subjects)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_scikit_learn(seed: int) -> None:
    truth, probability, threshold, subject = drawn(seed)
    found = weighted_metrics(np.ones((1, 6)), count_by_subject(truth, probability, threshold, subject, 6))
    said = probability >= 0.5
    own = [
        roc_auc_score(truth[subject == s], probability[subject == s])
        for s in range(6)
        if 0 < truth[subject == s].sum() < 18
    ]
    expected = {
        "accuracy": np.mean(said == truth),
        "f1": f1_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(truth, said),
        "balanced_accuracy_tuned": balanced_accuracy_score(truth, probability >= 0.6),
        "auc": roc_auc_score(truth, probability),
        "subject_auc": np.mean(own),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, abs=1e-12), name


@given(st.integers(0, 10_000), arrays(np.int64, 6, elements=st.integers(0, 3)))
@settings(max_examples=40, deadline=None)
def test_a_weight_is_a_repetition_of_the_subject(seed: int, weights: np.ndarray) -> None:
    truth, probability, threshold, subject = drawn(seed, clips=48)
    kept = np.concatenate([[], *(np.tile(np.flatnonzero(subject == s), weights[s]) for s in range(6))]).astype(int)
    found = weighted_metrics(weights[None].astype(float), count_by_subject(truth, probability, threshold, subject, 6))
    if 0 < truth[kept].sum() < len(kept):
        assert found["auc"][0] == pytest.approx(roc_auc_score(truth[kept], probability[kept]), abs=1e-12)
        assert found["f1"][0] == pytest.approx(f1_score(truth[kept], probability[kept] >= 0.5, zero_division=0))
    else:
        assert math.isnan(found["auc"][0])
        assert math.isnan(found["balanced_accuracy"][0])


@pytest.mark.parametrize(
    ("right", "true_positive", "accuracy", "f1"),
    [(75, 71, "69.44", "81.14"), (81, 72, "75.00", "84.21"), (86, 83, "79.63", "88.30")],
)
def test_printed_row_is_rebuilt_from_whole_counts(right: int, true_positive: int, accuracy: str, f1: str) -> None:
    wrong = 108 - right  # how the errors divide into false positives and negatives changes neither number
    for false_positive in range(wrong + 1):
        found = confusion_metrics(
            np.array([true_positive, false_positive, wrong - false_positive, right - true_positive])
        )
        assert f"{100 * found['accuracy']:.2f}" == accuracy
        assert f"{100 * found['f1']:.2f}" == f1


def test_always_high_on_the_whole_cohort_scores_what_the_note_says() -> None:
    for high, accuracy, f1 in [(253, "61.1", "75.9"), (300, "72.5", "84.0"), (319, "77.1", "87.0")]:
        found = confusion_metrics(np.array([high, 414 - high, 0, 0]))
        assert (f"{100 * found['accuracy']:.1f}", f"{100 * found['f1']:.1f}") == (accuracy, f1)


def test_one_class_and_share_without_effect_are_undefined_not_wrong() -> None:
    truth = np.ones(4, dtype=bool)
    counts = count_by_subject(truth, np.full(4, 0.9), np.full(4, 0.5), np.zeros(4, dtype=np.int64), 1)
    found = weighted_metrics(np.ones((1, 1)), counts)
    assert found["accuracy"][0] == found["f1"][0] == 1
    assert all(math.isnan(found[name][0]) for name in ("auc", "subject_auc", "balanced_accuracy"))
    assert math.isnan(oracle_share(0.6, 0.5))
    assert oracle_share(0.7, 0.9) == pytest.approx(0.5)
