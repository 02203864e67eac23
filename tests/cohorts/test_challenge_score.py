"""The Challenge's metric by hand, and its table of weights read or refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.cohorts.challenge_score import (
    RHYTHMS,
    SCORED,
    ChallengeWeights,
    challenge_score,
    diagnoses,
    read_weights,
)
from physiopipe.errors import PhysiopipeError

# classes: sinus rhythm, AF, AFL; AFL for AF earns half
WEIGHTS = np.array([[1.0, 0.2, 0.2], [0.3, 1.0, 0.5], [0.3, 0.5, 1.0]])
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]], dtype=bool)


def score(outputs: list[list[int]]) -> float:
    return challenge_score(LABELS, np.array(outputs, dtype=bool), WEIGHTS, 0)


def test_by_hand() -> None:
    # always sinus rhythm: 1 + .3/2 (one true, one answered) + (.3 + .3)/3
    idle = 1 + 0.3 / 2 + 0.6 / 3
    # all right: 1 + 1 + (1 + .5 + .5 + 1)/2
    correct = 1 + 1 + 3 / 2
    assert score([[1, 0, 0]] * 3) == 0
    assert score(LABELS.astype(int).tolist()) == 1
    # AFL answered to the second record: .5/2; AF alone to the third: (1 + .5)/2
    observed = 1 + 0.5 / 2 + 1.5 / 2
    assert score([[1, 0, 0], [0, 0, 1], [0, 1, 0]]) == pytest.approx((observed - idle) / (correct - idle))
    assert score([[0, 0, 0]] * 3) == pytest.approx(-idle / (correct - idle))


def test_nothing_but_sinus_rhythm_to_find() -> None:
    labels = np.array([[1, 0, 0]] * 4, dtype=bool)
    assert challenge_score(labels, ~labels, WEIGHTS, 0) == 0


@given(st.integers(0, 10**6))
def test_it_is_the_sum_over_records_as_the_challenge_defines_it(seed: int) -> None:
    """Record by record and class by class, as its definition is written, against the matrix form."""
    generator = np.random.default_rng(seed)
    labels, outputs = generator.random((2, 6, 4)) < 0.4
    weights = generator.random((4, 4))

    def credit(given_: np.ndarray) -> float:
        total = 0.0
        for truth, answer in zip(labels, given_, strict=True):
            either = max(sum(t or a for t, a in zip(truth, answer, strict=True)), 1)
            total += sum(weights[j, k] / either for j in range(4) for k in range(4) if truth[j] and answer[k])
        return total

    idle = np.zeros_like(outputs)
    idle[:, 2] = True
    expected = (credit(outputs) - credit(idle)) / (credit(labels) - credit(idle)) if labels.any() else 0.0
    assert challenge_score(labels, outputs, weights, 2) == pytest.approx(expected)


def test_codes_of_one_diagnosis_are_one_class() -> None:
    codes = [["59118001"], ["713427006", "426783006"], ["999"], []]
    assert diagnoses(codes, ["NSR", "CRBBB|RBBB"]).tolist() == [[False, True], [True, True], [False] * 2, [False] * 2]
    assert len(SCORED) == 26
    assert len({code for codes in SCORED.values() for code in codes}) == 30
    assert set(RHYTHMS) <= set(SCORED)


def test_table_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(
        ",164889003,59118001|713427006,426783006\n164889003,1,.5,.3\n59118001|713427006,.4,1,.2\n426783006,.1,.6,1\n"
    )
    found = read_weights(path)
    assert isinstance(found, ChallengeWeights)
    assert found.ordered_as(["NSR", "AF", "CRBBB|RBBB"]).tolist() == [[1, 0.1, 0.6], [0.3, 1, 0.5], [0.2, 0.4, 1]]
    with pytest.raises(PhysiopipeError, match=r"no class STach \(427084000\)"):
        found.ordered_as(["STach"])
    path.write_text(",1,2\n1,1,0\n3,0,1\n")
    with pytest.raises(PhysiopipeError, match="no table of weights"):
        read_weights(path)
    path.write_text(",1,2\n1,1,x\n2,0,1\n")
    with pytest.raises(PhysiopipeError, match="no table of weights"):
        read_weights(path)
    with pytest.raises(PhysiopipeError, match="evaluation-2021"):
        read_weights(tmp_path / "none.csv")
