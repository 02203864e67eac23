"""Cohorts of one task or two, led by either AUC, without printed rows: nothing of another cohort is left in them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import make_study
from sklearn.metrics import roc_auc_score

from physiopipe.cohorts.base import ClipRule
from physiopipe.cohorts.dreamer_reported import always_high
from physiopipe.cohorts.registry import COHORTS, cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import SCHEMA, write_predictions
from physiopipe.params import check_params
from physiopipe.results.evaluate import evaluate
from physiopipe.results.metrics import Headline
from physiopipe.results.study import Study, study_of

CAVEAT = "Counting well and badly differs in age too."
NAMES = ("always_high", "handcrafted", "ours", "clip_prior")


def study(tasks: tuple[str, ...], headline: Headline = "subject_auc") -> Study:
    return replace(
        make_study(bootstrap=200, permutations=199), cohort="sums", title="Sums", simulated=False, tasks=tasks,
        thresholds=dict.fromkeys(tasks, 1.0), methods=NAMES, ablations=("ecg_untrained",), robustness=("ours",),
        headline=headline, caveats=(CAVEAT,), latents=None, reported=None, footnotes=(),
    )  # fmt: skip


def write_sums(folder: Path, tasks: tuple[str, ...], constant: bool = False) -> dict[str, pd.DataFrame]:
    """Predictions of 10 subjects with 8 clips; with `constant` all clips of a subject have one label."""
    frames = {}
    truth = np.random.default_rng(3).integers(0, 2, (10, 8, len(tasks)))
    if constant:
        truth[:] = np.arange(10)[:, None, None] % 2
    about = {"cohort": "sums", "simulated": False, "tasks": list(tasks), "inputs": ["eeg"], "provenance": "baseline"}
    for name, shift in {"always_high": 0.0, "handcrafted": 2.0, "ours": 1.0, "ecg_untrained": 1.0}.items():
        rows = []
        for seed in (0, 1):
            noise = np.random.default_rng([seed, *name.encode()]).normal(size=truth.shape)
            for (subject, clip, task), high in np.ndenumerate(truth):
                score = 1.0 if name == "always_high" else 1 / (1 + np.exp(-shift * high - noise[subject, clip, task]))
                rows.append((name, "crossval", seed, subject % 5, f"s{subject}", clip, tasks[task], high, score, 0.5))
        frames[name] = pd.DataFrame(rows, columns=SCHEMA.names)
        place = folder / ("ablations" if name == "ecg_untrained" else "predictions") / f"{name}.parquet"
        own = {"claim": "pretraining", "versus": "ours", "title": "Untrained"} if name == "ecg_untrained" else {}
        silent = {"inputs": []} if name == "always_high" else {}
        write_predictions(place, frames[name], about | own | silent)
    write_predictions(
        folder / "predictions" / "clip_prior.parquet", frames["ours"].iloc[:0],
        about | {"title": "Clip prior", "without_meaning": "each subject has clips of its own"},
    )  # fmt: skip
    damaged = frames["ours"].assign(condition="clean", level=0.0)
    write_predictions(folder / "robustness" / "ours.parquet", damaged, about)
    return frames


@pytest.mark.parametrize("headline", ["subject_auc", "auc"])
def test_one_task_has_no_mean_and_no_printed_rows(tmp_path: Path, headline: Headline) -> None:
    frames = write_sums(tmp_path, ("counting",))
    evaluate(tmp_path, study(("counting",), headline))
    texts = {name: (tmp_path / name).read_text() for name in ("table1.md", "table1.tex", "ablations.md", "fusions.md")}
    for text in texts.values():
        assert "Mean" not in text
        for other in ("DREAMER", "valence", "Reported in", "film", "SIMULATED"):
            assert other not in text
    assert CAVEAT in texts["table1.md"] + texts["table1.tex"]
    assert CAVEAT in texts["ablations.md"]
    assert "Clip prior is no row here: each subject has clips of its own" in texts["table1.md"]
    assert r"\label{tab:sums}" in texts["table1.tex"]
    seeds = [part for _, part in frames["ours"].groupby("seed")]
    if headline == "auc":
        expected = np.mean([roc_auc_score(part["truth"], part["probability"]) for part in seeds])
        assert "AUC of all clips pooled [95% interval]" in texts["table1.md"]
        assert "Within subjects" in texts["table1.md"]  # beside the pooled AUC
    else:
        own = [
            roc_auc_score(rows["truth"], rows["probability"]) for part in seeds for _, rows in part.groupby("subject")
        ]
        expected = np.mean(own)
        assert "mean of the AUCs within subjects [95% interval]" in texts["table1.md"]
    found = json.loads((tmp_path / "metrics.json").read_text())["ours"]
    assert found["mean"][headline] == found["counting"][headline] == pytest.approx(expected, abs=1e-6)
    assert f"| {100 * expected:.1f} [" in texts["ablations.md"]
    robust = pd.read_csv(tmp_path / "robustness.csv")
    assert robust["value_percent"].tolist() == pytest.approx([100 * expected] * 2, abs=1e-3)


@pytest.mark.parametrize("headline", ["subject_auc", "auc"])
def test_comparisons_and_p_values_are_of_the_metric_that_leads(tmp_path: Path, headline: Headline) -> None:
    write_sums(tmp_path, ("a", "b"))
    evaluate(tmp_path, study(("a", "b"), headline))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    with (tmp_path / "comparisons.csv").open(encoding="utf-8") as handle:
        row = next(row for row in csv.DictReader(handle) if row["second"] == "handcrafted")
    expected = 100 * (metrics["ours"]["mean"][headline] - metrics["handcrafted"]["mean"][headline])
    assert float(row["difference_percent"]) == pytest.approx(expected, abs=1e-3)
    assert float(row["low_percent"]) < expected < float(row["high_percent"])
    assert metrics["handcrafted"]["mean"][f"{headline}_p"] == 1 / 200
    assert metrics["always_high"]["mean"][f"{headline}_p"] == 1
    assert "Mean" in (tmp_path / "table1.md").read_text()


def test_summary_is_the_headline_in_about_ten_numbers(tmp_path: Path) -> None:
    write_sums(tmp_path, ("a", "b"))
    evaluate(tmp_path, study(("a", "b")))
    found = json.loads((tmp_path / "summary.json").read_text())
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(found) == {
        "ours", "handcrafted", "best_without_signals", "pretraining_gain", "seeds", "subjects", "clips"
    }  # fmt: skip
    for name in ("ours", "handcrafted"):
        for key, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            assert found[name][key] == pytest.approx(100 * metrics[name]["mean"][f"subject_auc{end}"], abs=0.006)
    assert (found["best_without_signals"], found["seeds"], found["subjects"], found["clips"]) == (50.0, 2, 10, 80)
    changed = pd.read_csv(tmp_path / "ablations.csv").set_index("name").loc["ecg_untrained"]
    assert found["pretraining_gain"]["value"] == pytest.approx(-changed["difference_percent"], abs=0.006)
    assert found["pretraining_gain"]["low"] == pytest.approx(-changed["difference_high"], abs=0.006)
    leaves = [each for value in found.values() for each in (value.values() if isinstance(value, dict) else [value])]
    assert len(leaves) <= 15


def test_p_of_a_task_between_subjects_permutes_whole_subjects(tmp_path: Path) -> None:
    """With one label a subject nothing can be permuted within subjects: p would be 1 for every method."""
    write_sums(tmp_path, ("group",), constant=True)
    evaluate(tmp_path, study(("group",), "auc"))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["handcrafted"]["group"]["auc_p"] < 0.02
    assert metrics["always_high"]["group"]["auc_p"] == 1


def test_predictions_of_other_tasks_are_refused(tmp_path: Path) -> None:
    write_sums(tmp_path, ("a", "b"))
    with pytest.raises(PhysiopipeError, match=r"label is a, b, the cohort has a, c"):
        evaluate(tmp_path, study(("a", "c")))


@pytest.mark.parametrize(("high_from", "scores"), [(3, "61.1 / 75.9 (valence)"), (4, "39.4 / 56.5 (valence)")])
def test_the_trivial_score_is_that_of_the_threshold_in_force(high_from: int, scores: str) -> None:
    class Rule(ClipRule):
        high_from: int

    (sentence,) = always_high(Rule(high_from=high_from))
    assert scores in sentence
    assert f"a rating of {high_from} or more" in sentence
    assert "DREAMER.mat, 414 of each task" in sentence


def test_what_others_found_on_dreamer_is_a_note_and_no_row(with_tables: Path) -> None:
    notes = (with_tables / "table1.md").read_text()
    assert "EEGain (Li et al. 2025, arXiv:2505.18175)" in notes
    assert "accuracy of .46 to .48" in notes
    table = pd.read_csv(with_tables / "table1.csv")
    assert not table.astype(str).apply(lambda column: column.str.contains("EEGain")).to_numpy().any()


@pytest.mark.parametrize("name", [name for name in COHORTS if cohort(name).tasks])
def test_every_registered_cohort_with_labels_makes_a_study(name: str) -> None:
    known = cohort(name)
    content = {
        "cohorts": {"downstream": [name]}, "data": {name: {"origin": "simulated"}}, "methods": ["always_high", "ours"],
        "ablations": {"variants": []}, "robustness": {"methods": []},
    }  # fmt: skip
    made = study_of(check_params(content, "test"), name)
    assert (made.cohort, made.title, made.tasks, made.headline) == (name, known.title, known.task_names, known.headline)
    assert made.simulated
    assert set(made.tasks) == set(made.thresholds)
    assert (made.latents is None) == (not known.latents)
    assert made.latents is None or made.latents.tasks == made.tasks
    assert (made.reported is None) == (not known.reported)
    real = study_of(check_params(content | {"data": {}}, "test"), name)
    assert not real.simulated
    assert real.latents is None


def test_a_table_in_which_no_row_has_a_meaning_says_why(tmp_path: Path) -> None:
    about = {"cohort": "sums", "simulated": False, "tasks": ["sum"], "title": "ECG only",
             "without_meaning": "it reads ECG, of which this cohort has none"}  # fmt: skip
    write_predictions(tmp_path / "predictions" / "ecg_only.parquet", pd.DataFrame(columns=SCHEMA.names), about)
    asked = replace(study(("sum",), "auc"), methods=("ecg_only",), ablations=(), robustness=())
    evaluate(tmp_path, asked)
    assert "it reads ECG, of which this cohort has none" in (tmp_path / "table1.md").read_text()
