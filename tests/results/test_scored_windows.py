"""Windows scored one by one: metrics, intervals of few people and p-values against plain ways to get them."""

import csv
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import make_study
from scipy.stats import t
from sklearn.metrics import auc, balanced_accuracy_score, precision_recall_curve, roc_auc_score

from physiopipe.experiments.predictions import SCHEMA, write_predictions
from physiopipe.results.coverage_few import COLUMNS, COVERAGE_FEW, few_subjects_note
from physiopipe.results.evaluate import evaluate
from physiopipe.results.intervals import estimate, without_each
from physiopipe.results.metrics import WINDOW_METRICS, count_by_subject, weighted_metrics
from physiopipe.results.p_values import compare, permutation_p_values
from physiopipe.results.study import Study
from physiopipe.results.test_set import one_seed

PEOPLE = ("s32", "s33", "s34", "s35")
WINDOWS = (9, 3)  # of a person's recordings
SHIFT = {"handcrafted": 1.5, "eeg_only": 0.4, "always_high": 0.0}


def predictions(name: str, seed: int) -> pd.DataFrame:
    """Scores that know something of the class; windows of a recording are alike, and some scores are equal."""
    rng = np.random.default_rng([seed, len(name)])
    rows = []
    for person in PEOPLE:
        for recording, count in enumerate(WINDOWS, 1):
            level = SHIFT[name] * (recording - 1) + rng.normal()
            for number in range(1, count + 1):
                score = 1.0 if name == "always_high" else round(1 / (1 + np.exp(-level - rng.normal())), 1)
                clip = 1000 * recording + number
                rows.append((name, "published", seed, 0, person, clip, "sums", recording - 1, score, 0.4))
    return pd.DataFrame(rows, columns=SCHEMA.names)


def as_seed(frame: pd.DataFrame):
    numbered = {key: i for i, key in enumerate(sorted(frame[["subject", "clip"]].itertuples(index=False, name=None)))}
    return one_seed(frame, PEOPLE, numbered, ("sums",), "window")


def area(truth: np.ndarray, probability: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(truth, probability)
    return float(auc(recall, precision))


ORACLES = {
    "auc": roc_auc_score,
    "auc_pr": area,
    "balanced_accuracy": lambda truth, probability: balanced_accuracy_score(truth, probability >= 0.5),
}


def mean_of(oracle: Callable[[np.ndarray, np.ndarray], float], frames: list[pd.DataFrame]) -> float:
    return float(np.mean([oracle(one["truth"].to_numpy(), one["probability"].to_numpy()) for one in frames]))


@pytest.mark.parametrize("name", sorted(SHIFT))
@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (0, 1, 1, 1), (2, 0, 3, 1)])
def test_metrics_of_windows_agree_with_scikit_learn(name: str, weights: tuple[int, ...]) -> None:
    frame = predictions(name, 5)
    people = frame["subject"].map(PEOPLE.index).to_numpy()
    truth, probability = frame["truth"].to_numpy(), frame["probability"].to_numpy()
    counts = count_by_subject(truth == 1, probability, frame["threshold"].to_numpy(), people, 4)
    found = weighted_metrics(np.array([weights], dtype=float), counts, WINDOW_METRICS)
    assert set(found) == set(WINDOW_METRICS)
    kept = np.repeat(np.arange(len(frame)), np.array(weights)[people])
    for metric, oracle in ORACLES.items():
        assert found[metric][0] == pytest.approx(oracle(truth[kept], probability[kept]), abs=1e-12), metric


def test_the_interval_of_few_people_is_the_jackknifes() -> None:
    """Estimate ± t of three degrees of freedom times √(3/4 · sum of squares), each person left out once."""
    frames = [predictions("handcrafted", seed) for seed in (0, 1)]
    found = estimate(
        [as_seed(frame) for frame in frames], without_each(4), 0.95, ("sums",), "auc", WINDOW_METRICS, "leave_one_out"
    )
    for metric, oracle in ORACLES.items():
        whole = mean_of(oracle, frames)
        left = np.array([mean_of(oracle, [one[one["subject"] != person] for one in frames]) for person in PEOPLE])
        reach = t.ppf(0.975, 3) * np.sqrt(3 / 4 * np.square(left - left.mean()).sum())
        assert found.value["sums"][metric] == pytest.approx(whole, abs=1e-12)
        assert found.low["sums"][metric] == pytest.approx(max(0, whole - reach), abs=1e-9)
        assert found.high["sums"][metric] == pytest.approx(min(1, whole + reach), abs=1e-9)


def test_a_difference_of_two_rows_is_left_out_person_by_person_too() -> None:
    estimates = {
        name: estimate(
            [as_seed(predictions(name, 0))], without_each(4), 0.95, ("sums",), "auc", interval="leave_one_out"
        )
        for name in ("handcrafted", "eeg_only")
    }
    [one] = compare([("handcrafted", "eeg_only")], estimates, 0.95, 99, 0)
    left = estimates["handcrafted"].resampled - estimates["eeg_only"].resampled
    reach = t.ppf(0.975, 3) * np.sqrt(3 / 4 * np.square(left - left.mean()).sum())
    assert one.low == pytest.approx(max(-1, one.difference - reach))
    assert one.high == pytest.approx(min(1, one.difference + reach))


def test_recordings_exchange_their_labels_in_all_ways() -> None:
    frame = predictions("handcrafted", 3)
    recording = frame["clip"] // 1000
    found = []
    for swapped in itertools.product((False, True), repeat=4):
        other = frame["subject"].isin([person for person, on in zip(PEOPLE, swapped, strict=True) if on])
        found.append(roc_auc_score(np.where(other, 2 - recording, recording - 1), frame["probability"]))
    expected = np.mean(np.array(found) >= found[0] - 1e-9)
    [p] = permutation_p_values([[as_seed(frame)]], 99, 0, ("sums",), "auc")
    assert p == {"sums": expected, "mean": expected}
    assert p["sums"] >= 1 / 16


def test_windows_of_a_recording_are_no_evidence_by_themselves() -> None:
    """A score that is one person's recordings' level has a small p only where windows change labels one by one."""
    rows = predictions("handcrafted", 0)
    rows["probability"] = rows["subject"].map({"s32": 0.9, "s33": 0.1, "s34": 0.2, "s35": 0.3})
    rows.loc[(rows["subject"] == "s32") & (rows["clip"] < 2000), "probability"] = 0.05
    seed = as_seed(rows)
    [p] = permutation_p_values([[seed]], 999, 0, ("sums",), "auc")
    assert p["sums"] >= 0.25
    [one_by_one] = permutation_p_values([[replace(seed, recording=None)]], 999, 0, ("sums",), "auc")
    assert one_by_one["sums"] < 0.02


def study() -> Study:
    made = make_study(bootstrap=200, permutations=199, seeds=(0, 1), protocol="published")
    return replace(
        made, cohort="sums", title="Sums", simulated=False, tasks=("sums",), thresholds={"sums": 1.0},
        methods=(*SHIFT, "ours"), ablations=(), robustness=(), headline="auc", caveats=(), latents=None,
        reported=None, footnotes=(), scored_by="window",
    )  # fmt: skip


def test_the_table_says_that_windows_are_scored_and_how_few_people_there_are(tmp_path: Path) -> None:
    about = {"cohort": "sums", "simulated": False, "tasks": ["sums"], "inputs": ["eeg"], "provenance": "baseline"}
    for name in SHIFT:
        frame = pd.concat([predictions(name, seed) for seed in (0, 1)])
        write_predictions(tmp_path / "predictions" / f"{name}.parquet", frame, about)
    nothing = about | {"title": "Ours", "without_meaning": "it reads ECG, of which this cohort has none"}
    write_predictions(tmp_path / "predictions" / "ours.parquet", frame.iloc[:0], nothing)
    evaluate(tmp_path, study())
    text = (tmp_path / "table1.md").read_text()
    assert "protocol published, 2 seeds, 48 test windows of 4 test subjects." in text
    assert "AUC of all windows pooled [95% interval]" in text
    assert "each window by itself [95% interval]" in text
    assert "| Method | Sums bal. acc. | Sums AUC-PR | Sums AUC |" in text
    assert "Ours is no row here: it reads ECG, of which this cohort has none" in text
    assert "Intervals are over 4 test subjects." in text
    assert "p: labels of whole recordings exchanged within subject" in text
    assert "clips" not in text.replace("new clips", "")
    rows = {(row["method"], row["metric"]): row for row in csv.DictReader((tmp_path / "table1.csv").open())}
    for metric, oracle in ORACLES.items():
        expected = mean_of(oracle, [predictions("handcrafted", seed) for seed in (0, 1)])
        assert float(rows["handcrafted", metric]["value_percent"]) == pytest.approx(100 * expected, abs=1e-4)
        assert f"{100 * expected:.2f} [" in text
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "auc_pr" in metrics["handcrafted"]["sums"]


def test_the_note_on_few_people_has_the_measured_numbers() -> None:
    frame = pd.read_csv(COVERAGE_FEW)
    assert tuple(frame.columns) == COLUMNS
    mine = frame[frame["subjects"] == 4].set_index("interval")
    assert (mine.loc["leave_one_out", "coverage"] > mine.loc["bootstrap", "coverage"].max()).all()
    note = few_subjects_note(4)
    assert "no p is below 0.0625" in note
    for share in mine["coverage"]:
        assert f"{100 * share:.0f} %" in note
