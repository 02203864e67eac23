"""All rows against each other, held to scipy, statsmodels and scikit-posthocs, and ranks to what a reader counts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import TABLE, make_study
from scikit_posthocs import posthoc_wilcoxon
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from physiopipe.results.evaluate import write_table1
from physiopipe.results.intervals import SeedPredictions
from physiopipe.results.pairwise import friedman, mean_ranks, person_scores, probability_differences
from physiopipe.results.study import Study
from physiopipe.results.test_set import TestSet, read_test_set

PEOPLE = 12


@pytest.fixture
def written(write_all: Callable[..., Path]) -> Path:
    folder = write_all()
    write_table1(folder.parent, make_study(), TABLE)
    return folder


def test_every_pair_is_there_and_corrected_over_all(written: Path) -> None:
    pairs, few = (pd.read_csv(written.parent / f"{name}.csv") for name in ("pairwise", "comparisons"))
    assert len(pairs) == len(TABLE) * (len(TABLE) - 1) // 2
    for raw, corrected in (("p_value", "p_holm"), ("wilcoxon_p", "wilcoxon_p_holm")):
        np.testing.assert_allclose(pairs[corrected], multipletests(pairs[raw], method="holm")[1], atol=1e-5)
    ours = pairs[(pairs["first"] == "ours") | (pairs["second"] == "ours")]
    same = {frozenset(pair): p for *pair, p in few[["first", "second", "p_value"]].itertuples(index=False)}
    assert {frozenset(pair): p for *pair, p in ours[["first", "second", "p_value"]].itertuples(index=False)} == same
    assert (pairs["low_percent"] <= pairs["difference_percent"]).all()
    assert (pairs["difference_percent"] <= pairs["high_percent"]).all()


def test_signed_ranks_are_those_of_scikit_posthocs(written: Path) -> None:
    study = make_study()
    scores = person_scores(read_test_set(written, study, TABLE), study)
    of_people = np.stack([np.nanmean(each, axis=0) for each in scores.values()], axis=1)
    expected = posthoc_wilcoxon(pd.DataFrame(np.round(of_people, 12), columns=list(TABLE)).melt(),
                                val_col="value", group_col="variable", p_adjust="holm", sort=False)  # fmt: skip
    pairs = pd.read_csv(written.parent / "pairwise.csv")
    for one in pairs.to_dict("records"):
        assert one["wilcoxon_p_holm"] == pytest.approx(expected.loc[one["first"], one["second"]], abs=1e-5)


def test_ranks_are_those_of_the_aucs_within_people(written: Path) -> None:
    study = make_study()
    test = read_test_set(written, study, TABLE)
    scores = person_scores(test, study)
    seeds = test.methods["ours"]
    expected = np.mean(
        [roc_auc_score(one.truth[one.subject == 3, 1], one.probability[one.subject == 3, 1]) for one in seeds]
    )
    ratio = scores["ours"][1] / scores["handcrafted"][1]
    other = np.mean(
        [
            roc_auc_score(one.truth[one.subject == 3, 1], one.probability[one.subject == 3, 1])
            for one in test.methods["handcrafted"]
        ]
    )
    assert ratio[3] == pytest.approx(expected / other)
    blocks = np.stack([each.ravel() for each in scores.values()], axis=1)
    blocks = blocks[np.isfinite(blocks).all(axis=1)]
    by_hand = [
        np.mean([1 + (row > row[i] + 1e-9).sum() + ((abs(row - row[i]) < 1e-9).sum() - 1) / 2 for row in blocks])
        for i in range(len(TABLE))
    ]
    ranks = pd.read_csv(written.parent / "ranks.csv")
    np.testing.assert_allclose(ranks["mean_rank"], by_hand, atol=1e-4)
    assert ranks["mean_rank"].sum() == pytest.approx(len(TABLE) * (len(TABLE) + 1) / 2, abs=1e-3)
    table = pd.read_csv(written.parent / "table1.csv")
    printed = table[table["mean_rank"].notna()]
    assert list(printed["method"]) == list(TABLE)
    assert set(zip(printed["label"], printed["metric"], strict=True)) == {("mean", "subject_auc")}
    assert "| Rank |" in (written.parent / "table1.md").read_text()


def test_friedmans_test_is_demsars_formula() -> None:
    scores = {name: np.random.default_rng([1, i]).normal(0.3 * i, 1, (1, 20)) for i, name in enumerate("abcd")}
    k, n = 4, 20
    ranks = np.array(list(mean_ranks(scores).values()))
    expected = 12 * n / (k * (k + 1)) * (np.square(ranks).sum() - k * (k + 1) ** 2 / 4)
    statistic, p_value = friedman(scores)
    assert statistic == pytest.approx(expected)
    assert 0 < p_value < 1
    assert np.isnan(friedman({name: scores[name] for name in "ab"})).all()  # two rows: a pair's test says it
    assert np.isnan(friedman(dict.fromkeys("abc", scores["a"]))).all()


def two_clips(rng: np.random.Generator, sure: float, effect: float, people: int = 36) -> SeedPredictions:
    """One low and one high clip of each person; the probability is a monotone function of a score, steep or not."""
    subject, truth = np.repeat(np.arange(people), 2), np.tile([False, True], people)
    score = rng.normal(size=2 * people) + effect * truth
    probability = 1 / (1 + np.exp(-sure * score))
    return SeedPredictions(subject, np.arange(2 * people), truth[:, None], probability[:, None],
                           np.full((2 * people, 1), 0.5))  # fmt: skip


def paired_study() -> Study:
    return replace(make_study(), tasks=("arithmetic",), headline="auc")


def test_how_sure_a_row_is_moves_no_rank_where_the_pooled_auc_leads() -> None:
    study = paired_study()
    people = tuple(f"s{i:02d}" for i in range(36))

    def ranks(sure: float) -> tuple[dict[str, float], dict[str, float]]:
        rng = np.random.default_rng(4)
        methods = {
            name: [two_clips(rng, scale, effect) for _ in range(2)]
            for name, scale, effect in (("best", sure, 1.2), ("middle", 1.0, 0.6), ("worst", 1.0, 0.0))
        }
        test = TestSet(study.tasks, people, 72, methods, {})
        apart = {name: probability_differences(seeds, 36) for name, seeds in methods.items()}
        return mean_ranks(person_scores(test, study)), mean_ranks(apart)

    shy, sure = ranks(0.05), ranks(5.0)
    assert shy[0] == sure[0]
    assert min(shy[0], key=shy[0].__getitem__) == "best"
    assert shy[1]["best"] > sure[1]["best"] + 0.2  # plain differences of probability favour who is sure


def test_with_one_clip_of_each_class_scores_are_places_among_all_people() -> None:
    study, rng = paired_study(), np.random.default_rng(8)
    methods = {name: [two_clips(rng, 1.0, effect) for _ in range(3)] for name, effect in (("a", 1.0), ("b", 0.2))}
    scores = person_scores(TestSet(study.tasks, tuple(map(str, range(36))), 72, methods, {}), study)
    for name, seeds in methods.items():
        auc = np.mean([roc_auc_score(one.truth[:, 0], one.probability[:, 0]) for one in seeds])
        assert scores[name].mean() == pytest.approx(auc)
        place = np.zeros(36)
        for one in seeds:
            low, high = one.probability[~one.truth[:, 0], 0], one.probability[one.truth[:, 0], 0]
            place += ((high[:, None] > low).mean(axis=1) + (high > low[:, None]).mean(axis=1)) / len(seeds)
        np.testing.assert_allclose(scores[name][0], place - place.mean() / 2)
