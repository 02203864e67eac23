import itertools
import time

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import LABELS, make_predictions, seed_predictions
from scipy.stats import kstest
from sklearn.metrics import f1_score, roc_auc_score

from physiopipe.results.intervals import MEAN, SeedPredictions, estimate, resample_subjects
from physiopipe.results.p_values import compare, holm, permutation_p_values, sign_flip_p

HEADLINE = "subject_auc"


def naive(frame: pd.DataFrame, drawn: list[str]) -> dict[str, float]:
    """Metrics of valence on a resample of the subjects, the long way round; seeds averaged."""
    by_seed = []
    for _, part in frame[frame["label"] == "valence"].groupby("seed"):
        by_subject = dict(list(part.groupby("subject")))
        pooled = pd.concat([by_subject[name] for name in drawn if name in by_subject])
        own = [
            roc_auc_score(by_subject[name]["truth"], by_subject[name]["probability"])
            for name in drawn
            if name in by_subject and by_subject[name]["truth"].nunique() == 2
        ]
        by_seed.append(
            {
                "auc": roc_auc_score(pooled["truth"], pooled["probability"]),
                "subject_auc": float(np.mean(own)),
                "f1": f1_score(pooled["truth"], pooled["probability"] >= 0.5),
            }
        )
    return dict(pd.DataFrame(by_seed).mean())


def test_bootstrap_agrees_with_a_naive_loop() -> None:
    frame = make_predictions("ours", (0, 1), subjects=7, clips=18, shift=0.8)
    frame = frame[~((frame["seed"] == 1) & (frame["subject"] == "s07"))]  # seeds need not test the same subjects
    weights = resample_subjects(7, 20, seed=3)
    names = [f"s{i + 1:02d}" for i in range(7)]
    loop = pd.DataFrame([naive(frame, list(np.repeat(names, row.astype(int)))) for row in weights])
    point = naive(frame, names)
    found = estimate(seed_predictions(frame), weights, 0.9, LABELS)
    for metric in ("auc", "subject_auc", "f1"):
        assert found.value["valence"][metric] == pytest.approx(point[metric], abs=1e-12)
        assert found.low["valence"][metric] == pytest.approx(np.percentile(loop[metric], 5), abs=1e-12)
        assert found.high["valence"][metric] == pytest.approx(np.percentile(loop[metric], 95), abs=1e-12)
    assert found.value[MEAN][HEADLINE] == pytest.approx(np.mean([found.value[label][HEADLINE] for label in LABELS]))
    assert found.contribution.sum() == pytest.approx(found.value[MEAN][HEADLINE])


def test_resamples_draw_every_subject_as_often_as_any_other() -> None:
    weights = resample_subjects(23, 4000, seed=0)
    assert (weights.sum(axis=1) == 23).all()
    assert abs(weights.mean(axis=0) - 1).max() < 0.06
    assert np.array_equal(weights, resample_subjects(23, 4000, seed=0))


def test_permutation_p_is_that_of_shuffled_labels() -> None:
    """Against the AUC itself, computed anew on explicitly permuted labels of a case small enough to enumerate."""
    generator = np.random.default_rng(5)
    truth = np.zeros((8, 3), dtype=bool)
    truth[[0, 1, 4, 5, 6]] = True
    probability = np.round(generator.random((8, 3)) + 0.5 * truth, 1).clip(0, 1)
    subject = np.repeat([0, 1], 4)
    one = SeedPredictions(subject, np.arange(8), truth, probability, np.full((8, 3), 0.5))

    def statistic(high: tuple[bool, ...]) -> float:
        shuffled = np.array(high)
        return float(np.mean([roc_auc_score(shuffled[subject == s], probability[subject == s, 0]) for s in (0, 1)]))

    own = tuple(truth[:, 0])
    arrangements = [  # each as likely as any other: as many permutations lead to each
        [*first, *second]
        for first, second in itertools.product(*(set(itertools.permutations(own[at : at + 4])) for at in (0, 4)))
    ]
    values = np.array([statistic(tuple(each)) for each in arrangements])
    exact = (values >= statistic(own) - 1e-9).mean()
    found = permutation_p_values([[one]], 20_000, 1, LABELS)[0]["valence"]
    assert found == pytest.approx(exact, abs=0.015)


def test_permutation_p_is_uniform_without_effect() -> None:
    p_values = []
    for cohort in range(150):
        generator = np.random.default_rng([9, cohort])
        subject = np.repeat(np.arange(6), 12)
        level = generator.normal(size=(6, 1))[subject]  # own levels make the pooled AUC vary, not this test
        truth = generator.random((72, 3)) < 0.6
        one = SeedPredictions(
            subject, np.arange(72), truth, level + generator.normal(size=(72, 3)), np.full((72, 3), 0.5)
        )
        p_values.append(permutation_p_values([[one]], 199, cohort, LABELS)[0][MEAN])
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_permutation_p_finds_an_effect_and_gives_a_constant_none() -> None:
    methods = [
        seed_predictions(make_predictions(name, (0, 1), 12, 18, shift))
        for name, shift in [("ours", 0.8), ("always_high", 0)]
    ]
    ours, constant = permutation_p_values(methods, 999, 0, LABELS)
    assert ours[MEAN] == 0.001
    assert constant[MEAN] == 1.0


def test_comparison_is_paired_and_signed() -> None:
    weights = resample_subjects(12, 500, 0)
    estimates = {
        name: estimate(seed_predictions(make_predictions(name, (0, 1), 12, 18, shift)), weights, 0.95, LABELS)
        for name, shift in [("ours", 2.0), ("chance", 0.0), ("handcrafted", 0.0)]
    }
    strong, null = compare([("ours", "chance"), ("handcrafted", "chance")], estimates, 0.95, 999, 0)
    expected = estimates["ours"].value[MEAN][HEADLINE] - estimates["chance"].value[MEAN][HEADLINE]
    assert strong.difference == pytest.approx(expected)
    assert strong.low < strong.difference < strong.high
    assert strong.low > 0
    assert strong.p_value < 0.01
    assert strong.p_holm == pytest.approx(2 * strong.p_value)
    assert null.p_value > 0.05


def test_sign_flips_are_exact_for_few_subjects_and_near_that_for_many() -> None:
    parts = np.arange(1, 7) / 10
    assert sign_flip_p(parts, 100, 0) == 2 / 64  # only all + and all - are as extreme
    assert sign_flip_p(np.zeros(6), 100, 0) == 1.0
    many = np.random.default_rng(1).normal(0.25, 1, 14)
    patterns = np.array(list(itertools.product([-1, 1], repeat=14)))
    exact = (np.abs(patterns @ many) >= abs(many.sum()) - 1e-12).mean()
    assert sign_flip_p(many, 20_000, 0) == pytest.approx(exact, abs=0.015)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_ten_thousand_resamples_of_a_whole_table_are_quick() -> None:
    """Two rows of five seeds on the true cohort; the limit leaves room for a machine shared with others."""
    seeds = seed_predictions(make_predictions("ours", (0, 1, 2, 3, 4), 23, 18, 0.8))
    started = time.process_time()
    weights = resample_subjects(23, 10_000, 0)
    for _ in range(2):
        estimate(seeds, weights, 0.95, LABELS)
    assert time.process_time() - started < 7.5  # a table of eight: 30 s
