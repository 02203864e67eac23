"""From saved predictions to every table of a cohort, as data and as text; nothing is trained here."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from physiopipe.experiments.predictions import read_predictions
from physiopipe.files import atomic_file, write_json
from physiopipe.results import contrasts, contrasts_text, forms
from physiopipe.results.costs import costs_of
from physiopipe.results.gap import gap_frame
from physiopipe.results.gap_text import gap_markdown
from physiopipe.results.intervals import MEAN, Estimates, estimate
from physiopipe.results.metrics import oracle_share
from physiopipe.results.oracle import ORACLE, oracle_estimates
from physiopipe.results.p_values import Comparison, compare, permutation_p_values
from physiopipe.results.pairwise import FEWEST, pairwise_frame, ranks_frame
from physiopipe.results.robustness_table import robustness_table
from physiopipe.results.study import REFERENCE, Study
from physiopipe.results.summary import UNTRAINED, summary
from physiopipe.results.table1 import Measured, assemble
from physiopipe.results.test_set import TestSet, read_test_set
from physiopipe.results.typeset import typeset
from physiopipe.results.without_beats import without_beats_table

FUSION = "fusion"  # the family of rows that have a table of their own
_DECIMALS = 6  # sums of another BLAS differ further down


def evaluate(folder: Path, study: Study) -> list[str]:
    """Write metrics.json, comparisons.csv and table1.csv, .md and .tex, then the side tables, then summary.json.

    Returns lines for a reader of the terminal: what share of the oracle's excess is reached.

    Args:
        folder: results/<cohort>, which holds predictions/, ablations/ and robustness/.

    Raises:
        PhysiopipeError: predictions missing, of another protocol or cohort, or not on the same clips.
    """
    rows, fusion_names = families(folder / "predictions", study)
    table = write_table1(folder, study, rows)
    changed = write_side_tables(folder, study, fusion_names)
    beats = without_beats_table(folder / "predictions", study, rows)
    write_text(folder / "without_beats.csv", beats.to_csv(index=False))
    write_json(folder / "summary.json", summary(table, changed, study))
    return contrasts_text.share_of_the_oracle(changed, REFERENCE, UNTRAINED)


def families(predictions: Path, study: Study) -> tuple[list[str], list[str]]:
    """Names of the rows of Table 1, and of the other fusions, which have a table of their own.

    Where nothing but fusions was asked for, they are the rows of Table 1 too.
    """
    family = {name: read_predictions(predictions / f"{name}.parquet")[1].get("family", "") for name in study.methods}
    rows = [name for name, kind in family.items() if kind != FUSION]
    return rows or list(study.methods), [name for name, kind in family.items() if kind == FUSION]


def write_table1(folder: Path, study: Study, names: Sequence[str]) -> pd.DataFrame:
    """Write metrics.json, comparisons.csv, pairwise.csv, ranks.csv, costs.csv and table1.csv, .md and .tex of these
    rows; return the table. Seconds are in costs.csv and the last block of table1.md and .tex alone.
    """
    test = read_test_set(folder / "predictions", study, names)
    settings, tasks, headline = study.settings, study.tasks, study.headline
    weights = study.resamples(len(test.subjects))
    estimates = {
        name: estimate(seeds, weights, settings.confidence, tasks, headline, study.metrics, study.interval)
        for name, seeds in test.methods.items()
    }
    p_values = permutation_p_values(
        list(test.methods.values()), settings.permutations, settings.resampling_seed, tasks, headline
    )
    p_by_method = dict(zip(test.methods, p_values, strict=True))
    comparisons = compare(_pairs(test), estimates, settings.confidence, settings.permutations, settings.resampling_seed)
    ranks = ranks_frame(estimates, test, study)
    costs = costs_of(folder / "costs", [(name, test.title(name)) for name in test.methods])
    oracle = oracle_estimates(test, study)
    frame = assemble(_measured(estimates, p_by_method, ranks, costs), test, study, oracle)
    table = typeset(frame, study, without_meaning(test), costs)
    write_json(folder / "metrics.json", _metrics(estimates, p_by_method, oracle, study))
    write_text(folder / "comparisons.csv", _comparison_frame(comparisons, test, study).to_csv(index=False))
    write_text(folder / "pairwise.csv", pairwise_frame(estimates, test, study).to_csv(index=False))
    write_text(folder / "ranks.csv", ranks.to_csv(index=False))
    write_text(folder / "costs.csv", costs.to_csv(index=False))
    write_text(folder / "table1.csv", frame.to_csv(index=False))
    write_text(folder / "table1.md", forms.as_markdown(table))
    write_text(folder / "table1.tex", forms.as_latex(table, study.cohort))
    return frame


def write_side_tables(folder: Path, study: Study, fusion_names: Sequence[str]) -> pd.DataFrame:
    """Write fusions.csv/.md, ablations.csv/.md, gap.csv/.md and robustness.csv; return the ablations."""
    changed = contrasts.ablations(folder, study)
    tables = (
        ("fusions", "Fusions", contrasts_text.FUSIONS_ARE, contrasts.fusions(folder, study, fusion_names)),
        ("ablations", "Ablations", contrasts_text.ABLATIONS_ARE, changed),
    )
    for name, title, what, frame in tables:
        write_text(folder / f"{name}.csv", frame.to_csv(index=False))
        write_text(folder / f"{name}.md", contrasts_text.as_markdown(frame, title, what, study))
    gap = gap_frame(folder, study)
    write_text(folder / "gap.csv", gap.to_csv(index=False))
    write_text(folder / "gap.md", gap_markdown(gap, study))
    robustness = robustness_table(folder / "robustness", study)
    write_text(folder / "robustness.csv", robustness.to_csv(index=False))
    return changed


def without_meaning(test: TestSet) -> dict[str, str]:
    """Why a method is no row, by title."""
    return {test.title(name): why for name, why in test.without_meaning.items()}


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _measured(
    estimates: Mapping[str, Estimates], p_values: Mapping[str, Mapping[str, float]], ranks: pd.DataFrame,
    costs: pd.DataFrame,
) -> list[Measured]:  # fmt: skip
    rank = dict(zip(ranks["method"], ranks["mean_rank"], strict=True)) if len(ranks) >= FEWEST else {}
    told = costs[costs["trained_parameters"].notna()]
    trained = {str(row["method"]): int(row["trained_parameters"]) for row in told.to_dict("records")}
    return [
        Measured(name, one, p_values[name], float(rank.get(name, math.nan)), trained.get(name))
        for name, one in estimates.items()
    ]


def _pairs(test: TestSet) -> list[tuple[str, str]]:
    if REFERENCE in test.methods:
        return [(REFERENCE, other) for other in test.methods if other != REFERENCE]
    return list(combinations(test.methods, 2))


def _metrics(
    estimates: Mapping[str, Estimates],
    p_values: Mapping[str, Mapping[str, float]],
    oracle: Estimates | None,
    study: Study,
) -> dict[str, dict[str, dict[str, float]]]:
    """Method → task → metric → number; what is undefined is left out. On simulated cohorts ORACLE stands beside the
    methods, and each one's share of its excess over chance with them.
    """
    headline = study.headline
    content: dict[str, dict[str, dict[str, float]]] = {}
    for name, found in estimates.items():
        content[name] = {}
        for task in (*study.tasks, MEAN):
            numbers = {
                **found.value[task],
                f"{headline}_low": found.low[task][headline],
                f"{headline}_high": found.high[task][headline],
                f"{headline}_p": p_values[name][task],
            }
            if oracle is not None:
                numbers["oracle_share"] = oracle_share(found.value[task][headline], oracle.value[task][headline])
            content[name][task] = _rounded(numbers)
    if oracle is not None:
        content[ORACLE] = {
            task: _rounded(
                {
                    **oracle.value[task],
                    f"{headline}_low": oracle.low[task][headline],
                    f"{headline}_high": oracle.high[task][headline],
                }
            )
            for task in (*study.tasks, MEAN)
        }
    return content


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DECIMALS) for name, value in numbers.items() if math.isfinite(value)}


def _comparison_frame(comparisons: Sequence[Comparison], test: TestSet, study: Study) -> pd.DataFrame:
    rows = [
        {
            "first": one.first, "second": one.second, "first_title": test.title(one.first),
            "second_title": test.title(one.second), "metric": f"{study.headline}, {MEAN} of tasks",
            "difference_percent": round(100 * one.difference, 4), "low_percent": round(100 * one.low, 4),
            "high_percent": round(100 * one.high, 4), "p_value": round(one.p_value, _DECIMALS),
            "p_holm": round(one.p_holm, _DECIMALS),
        }
        for one in comparisons
    ]  # fmt: skip
    columns = (
        "first", "second", "first_title", "second_title", "metric", "difference_percent", "low_percent", "high_percent",
        "p_value", "p_holm",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))
