"""What the tables' intervals cover without any effect: the small form of benchmarks/interval_coverage.py."""

import csv
import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from physiopipe.results.coverage import CASES, COLUMNS, COVERAGE, P_QUANTITY, QUANTITIES, as_markdown, coverage_note

ROOT = Path(__file__).parents[2]
COHORTS = 300
MEAN, LABEL, POOLED = QUANTITIES


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_benchmark", ROOT / "benchmarks" / "interval_coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_intervals_cover_what_the_note_says(benchmark: ModuleType) -> None:
    """Of 300 cohorts: at most 2.5 standard errors (with those of the file) from what the file holds."""
    kept = pd.read_csv(COVERAGE).set_index(["protocol", "subjects", "clips", "case", "quantity"])
    found = {}
    for case in ("own", "clip"):
        for row in benchmark.coverage_of(case, "crossval", 23, 18, COHORTS, resamples=300):
            found[case, row["quantity"]] = float(row["coverage"])
            known = kept.loc[("crossval", 23, 18, case, row["quantity"])]
            error = math.hypot(float(row["standard_error"]), known["standard_error"])
            assert abs(float(row["coverage"]) - known["coverage"]) < 2.5 * error + 0.01, row  # .01: fewer resamples
    assert 0.88 < found["own", MEAN] < 0.98  # binomial: .93 ± .044 is three standard errors of 300
    assert 0.88 < found["own", LABEL] < 0.98
    assert found["clip", MEAN] < 0.8  # what resampling subjects cannot know of


def test_pooled_auc_is_biased_where_only_base_rates_differ_and_the_headline_is_not(benchmark: ModuleType) -> None:
    rows = {row["quantity"]: row for row in benchmark.coverage_of("prior", "crossval", 23, 18, 60, resamples=10)}
    assert rows[POOLED]["mean_value"] < 0.475
    assert abs(rows[MEAN]["mean_value"] - 0.5) < 0.012  # SD of one cohort .028, of the mean of 60 .0036


def test_the_file_is_whole_and_the_docs_show_it() -> None:
    frame = pd.read_csv(COVERAGE)
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["case"]) == set(CASES)
    assert set(frame["quantity"]) == {*QUANTITIES, P_QUANTITY}
    assert (frame["cohorts"] >= 500).all()
    assert as_markdown(frame) in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_table_of_the_docs_holds_the_numbers_of_the_file_under_their_headings() -> None:
    """The docs read as Markdown, cell by cell, against the rows of the file: no function of the package in between."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    head, ruler, *body = text[text.index("| test subjects × clips |") :].partition("\n\n")[0].splitlines()
    names, rules, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, ruler, *body)]
    assert {len(row) for row in (rules, *rows)} == {len(names)}
    with COVERAGE.open(encoding="utf-8") as handle:
        kept = list(csv.DictReader(handle))
    words = {
        "own": "subjects alone differ", "clip": "a clip moves all subjects' scores alike",
        "prior": "the training subjects' share alone",
    }  # fmt: skip
    assert len(rows) * (len(names) - 2) == len(kept)
    for line in kept:
        first = f"{line['subjects']} × {line['clips']}, {line['protocol']}"
        (row,) = [row for row in rows if row[:2] == [first, words[line["case"]]]]
        shown = row[names.index(line["quantity"])]
        assert shown.startswith(f"{100 * float(line['coverage']):.1f} %"), (first, line["quantity"])
        if "(mean value" in shown:
            assert f"(mean value {float(line['mean_value']):.3f})" in shown


@pytest.mark.parametrize(
    ("protocol", "subjects", "shown"), [("crossval", 23, 23), ("crossval", 9, 12), ("paper", 6, 6)]
)
def test_the_note_is_of_the_nearest_cohort(protocol: str, subjects: int, shown: int) -> None:
    note = coverage_note(protocol, subjects, "subject_auc", ("a", "b", "c"))
    kept = pd.read_csv(COVERAGE).set_index(["protocol", "subjects", "case", "quantity"])["coverage"]
    assert f"({shown} test subjects" in note
    for case in ("own", "clip"):
        for quantity in QUANTITIES:
            assert f"{100 * kept[protocol, shown, case, quantity]:.0f} %" in note
        assert f"{100 * (1 - kept[protocol, shown, case, P_QUANTITY]):.0f} %" in note


def test_the_note_of_one_task_speaks_of_no_mean_of_tasks() -> None:
    kept = pd.read_csv(COVERAGE).set_index(["protocol", "subjects", "case", "quantity"])["coverage"]
    note = coverage_note("paper", 6, "auc", ("only",))
    assert "mean of" not in note
    assert "per-subject" not in note
    assert f"held 50 in {100 * kept['paper', 6, 'own', POOLED]:.0f} % (pooled AUC)" in note
