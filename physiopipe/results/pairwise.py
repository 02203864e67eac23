"""All rows against each other: paired tests of every pair with Holm's correction, and mean ranks.

A person's score is what they add to the headline AUC (`intervals.contribution_of`), seeds averaged. Where the AUC
within subjects leads that is their own AUC. Where the pooled AUC leads (a person has one clip of each class, and an AUC
of 0, ½ or 1) it is how far apart their clips of the two classes stand among those of all people: a difference of
probability, each row's on its own scale. Differences of the probabilities themselves would favour rows that are sure
over rows that are right; ranks by them stand beside.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

from physiopipe.results.intervals import MEAN, Estimates, SeedPredictions, contribution_of, counts_of, mean_of_defined
from physiopipe.results.metrics import F64
from physiopipe.results.p_values import compare, holm
from physiopipe.results.study import Study
from physiopipe.results.test_set import TestSet

FEWEST = 3  # rows that ranks say something of
_DECIMALS = 6
_TIED = 12  # decimals: equal scores whose sums were rounded otherwise share a rank


def person_scores(test: TestSet, study: Study) -> dict[str, F64]:
    """Scores by method, (task, subject); NaN where a person's is not defined, for every method alike."""
    subjects = len(test.subjects)
    found = {}
    for name, seeds in test.methods.items():
        counts = [[counts_of(one, task, subjects) for one in seeds] for task in range(len(study.tasks))]
        scores = np.stack([subjects * contribution_of(of_task, study.headline) for of_task in counts])
        both = np.array(
            [np.any([(c.positives > 0) & (c.negatives > 0) for c in of_task], axis=0) for of_task in counts]
        )
        found[name] = scores if study.headline == "auc" else np.where(both, scores, np.nan)
    return found


def probability_differences(seeds: Sequence[SeedPredictions], subjects: int) -> F64:
    """Mean probability of each person's high clips minus that of their low ones, seeds averaged, (task, subject); NaN
    for a person without clips of both classes.
    """
    by_seed = []
    for one in seeds:
        member = (np.arange(subjects)[:, None] == one.subject).astype(np.float64)
        sides = []
        for truth in (one.truth, ~one.truth):
            number, total = member @ truth, member @ np.where(truth, one.probability, 0.0)
            sides.append(np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0))
        by_seed.append((sides[0] - sides[1]).T)
    return mean_of_defined(np.stack(by_seed))


def mean_ranks(scores: Mapping[str, F64]) -> dict[str, float]:
    """Mean rank of each method over people and tasks, 1 for the highest score, ties sharing theirs; NaN without any."""
    blocks = _blocks(scores)
    if not len(blocks):
        return dict.fromkeys(scores, float("nan"))
    ranks = rankdata(-np.round(blocks, _TIED), axis=1).mean(axis=0)
    return dict(zip(scores, ranks.tolist(), strict=True))


def friedman(scores: Mapping[str, F64]) -> tuple[float, float]:
    """Friedman's χ² and p of no difference between the methods, over people, whose score is the mean of the tasks
    (one person's tasks are not independent); NaN with fewer than three methods, or where all are alike.
    """
    people = _of_people(scores)
    if people.shape[1] < FEWEST or len(people) < 2 or (np.ptp(people, axis=1) == 0).all():
        return float("nan"), float("nan")
    found = friedmanchisquare(*np.round(people, _TIED).T)
    return float(found.statistic), float(found.pvalue)


def pairwise_frame(estimates: dict[str, Estimates], test: TestSet, study: Study) -> pd.DataFrame:
    """Every pair of rows: difference of the headline AUC (mean of the tasks) with its interval; p of sign flips over
    people, as in comparisons.csv, and of Wilcoxon's signed ranks; both with Holm's correction over all pairs.
    """
    settings = study.settings
    pairs = list(combinations(test.methods, 2))
    found = compare(pairs, estimates, settings.confidence, settings.permutations, settings.resampling_seed)
    scores = person_scores(test, study)
    by_ranks = [_wilcoxon_p(_paired(scores, first, second)) for first, second in pairs]
    rows = [
        {
            "first": one.first, "second": one.second, "first_title": test.title(one.first),
            "second_title": test.title(one.second), "metric": f"{study.headline}, {MEAN} of tasks",
            "difference_percent": round(100 * one.difference, 4), "low_percent": round(100 * one.low, 4),
            "high_percent": round(100 * one.high, 4), "p_value": round(one.p_value, _DECIMALS),
            "p_holm": round(one.p_holm, _DECIMALS), "wilcoxon_p": round(own, _DECIMALS),
            "wilcoxon_p_holm": round(corrected, _DECIMALS),
        }
        for one, own, corrected in zip(found, by_ranks, holm(by_ranks), strict=True)
    ]  # fmt: skip
    columns = (
        "first", "second", "first_title", "second_title", "metric", "difference_percent", "low_percent", "high_percent",
        "p_value", "p_holm", "wilcoxon_p", "wilcoxon_p_holm",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def ranks_frame(estimates: Mapping[str, Estimates], test: TestSet, study: Study) -> pd.DataFrame:
    """Mean rank of each row, also by differences of the probabilities themselves, its headline AUC with interval, and
    Friedman's test of all, the same in each row.
    """
    scores = person_scores(test, study)
    ranks = mean_ranks(scores)
    apart = {name: probability_differences(seeds, len(test.subjects)) for name, seeds in test.methods.items()}
    by_probability, (statistic, p_value) = mean_ranks(apart), friedman(scores)
    rows = []
    for name, one in estimates.items():
        ends = (100 * side[MEAN][study.headline] for side in (one.value, one.low, one.high))
        percent = dict(zip(("value_percent", "low_percent", "high_percent"), ends, strict=True))
        rows.append(
            {"method": name, "title": test.title(name), "mean_rank": round(ranks[name], 4)}
            | {"mean_rank_of_probability_differences": round(by_probability[name], 4)}
            | {key: round(value, 4) for key, value in percent.items()}
            | {"people": len(_of_people(scores)), "blocks": len(_blocks(scores))}
            | {"friedman_chi2": round(statistic, 4), "friedman_p": float(f"{p_value:.3g}")}
        )
    columns = (
        "method", "title", "mean_rank", "mean_rank_of_probability_differences", "value_percent", "low_percent",
        "high_percent", "people", "blocks", "friedman_chi2", "friedman_p",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def _blocks(scores: Mapping[str, F64]) -> F64:
    """Scores of people and tasks that have one, (person and task, method)."""
    if not scores:
        return np.zeros((0, 0))
    whole = np.stack([each.ravel() for each in scores.values()], axis=1)
    return np.asarray(whole[np.isfinite(whole).all(axis=1)], dtype=np.float64)


def _of_people(scores: Mapping[str, F64]) -> F64:
    """Scores of people, mean of the tasks that have one, (person, method)."""
    if not scores:
        return np.zeros((0, 0))
    whole = np.stack([mean_of_defined(each) for each in scores.values()], axis=1)
    return np.asarray(whole[np.isfinite(whole).all(axis=1)], dtype=np.float64)


def _paired(scores: Mapping[str, F64], first: str, second: str) -> F64:
    whole = _of_people({first: scores[first], second: scores[second]})
    return np.asarray(np.round(whole[:, 0] - whole[:, 1], _TIED))


def _wilcoxon_p(differences: F64) -> float:
    """Two-sided p of Wilcoxon's signed ranks; people without a difference are left out."""
    differences = differences[differences != 0]
    return float(wilcoxon(differences).pvalue) if differences.size else 1.0
