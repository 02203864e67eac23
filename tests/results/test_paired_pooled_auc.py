"""The paired test of pooled AUCs against its oracle: whole subjects' predictions exchanged between the two rows."""

import numpy as np
import pytest

from physiopipe.results.metrics import count_by_subject, pooled_contributions
from physiopipe.results.p_values import sign_flip_p

SUBJECTS = 36


def counts_of(truth: np.ndarray, probability: np.ndarray, subject: np.ndarray):
    return count_by_subject(truth, probability, np.full(len(truth), 0.5), subject, SUBJECTS)


def pooled_auc(truth: np.ndarray, probability: np.ndarray) -> float:
    return float((np.sign(probability[truth][:, None] - probability[~truth][None]) / 2 + 0.5).mean())


@pytest.mark.parametrize("shift", [0.0, 0.6, 1.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flipped_signs_are_as_exchanged_rows(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(SUBJECTS), 2)
    truth = np.tile([False, True], SUBJECTS)
    own = rng.normal(size=SUBJECTS)[subject]  # a level of each person's own, in both rows
    first = own + 0.5 * truth + rng.normal(size=2 * SUBJECTS)
    second = own + (0.5 + shift) * truth + rng.normal(size=2 * SUBJECTS)
    parts = pooled_contributions(counts_of(truth, first, subject)) - pooled_contributions(
        counts_of(truth, second, subject)
    )
    difference = pooled_auc(truth, first) - pooled_auc(truth, second)
    assert parts.sum() == pytest.approx(difference)
    extreme = 0
    for _ in range(2000):
        swapped = rng.integers(0, 2, SUBJECTS).astype(bool)[subject]
        one, other = np.where(swapped, second, first), np.where(swapped, first, second)
        extreme += abs(pooled_auc(truth, one) - pooled_auc(truth, other)) >= abs(difference) - 1e-12
    assert sign_flip_p(parts, 2000, 0) == pytest.approx((extreme + 1) / 2001, abs=0.06)
