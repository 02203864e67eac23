import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import ABOUT, LABELS, TABLE, make_latents, make_predictions, make_study
from sklearn.metrics import f1_score, roc_auc_score

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.methods.registry import METHODS
from physiopipe.params import check_params
from physiopipe.results.evaluate import write_table1
from physiopipe.results.study import study_of

OUTPUTS = (
    "metrics.json",
    "comparisons.csv",
    "pairwise.csv",
    "ranks.csv",
    "costs.csv",
    "table1.csv",
    "table1.md",
    "table1.tex",
)


def test_metrics_are_those_of_scikit_learn_averaged_over_seeds(write_all: Callable[..., Path]) -> None:
    folder = write_all()
    write_table1(folder.parent, make_study(), TABLE)
    metrics = json.loads((folder.parent / "metrics.json").read_text())
    assert set(metrics) == {*TABLE, "oracle"}
    frame = read_predictions(folder / "ours.parquet")[0]
    seeds = [part for _, part in frame[frame["label"] == "arousal"].groupby("seed")]
    auc = np.mean([roc_auc_score(part["truth"], part["probability"]) for part in seeds])
    f1 = np.mean([f1_score(part["truth"], part["probability"] >= 0.5) for part in seeds])
    found = metrics["ours"]["arousal"]
    assert found["auc"] == round(auc, 6)
    assert found["f1"] == round(f1, 6)
    assert found["subject_auc_low"] < found["subject_auc"] < found["subject_auc_high"]
    mean, best = metrics["ours"]["mean"]["subject_auc"], metrics["oracle"]["mean"]["subject_auc"]
    assert metrics["ours"]["mean"]["oracle_share"] == pytest.approx((mean - 0.5) / (best - 0.5), abs=1e-5)
    levels = make_latents()
    for label, level, high in zip(LABELS, levels.level.T, levels.moved.T, strict=True):
        # labels are independent here, so that nothing is better than the label's own level
        assert metrics["oracle"][label]["auc"] == pytest.approx(roc_auc_score(high, level), abs=0.01)
    leaves = [value for labels in metrics.values() for numbers in labels.values() for value in numbers.values()]
    assert all(isinstance(value, float) and math.isfinite(value) for value in leaves)


def test_always_high_stands_where_it_must(write_all: Callable[..., Path]) -> None:
    folder = write_all()
    write_table1(folder.parent, make_study(), TABLE)
    found = json.loads((folder.parent / "metrics.json").read_text())["always_high"]
    frame = read_predictions(folder / "always_high.parquet")[0]
    for label in LABELS:
        high = frame[frame["label"] == label]["truth"].mean()
        assert found[label]["accuracy"] == pytest.approx(high, abs=1e-6)
        assert found[label]["f1"] == pytest.approx(2 * high / (1 + high), abs=1e-6)
        assert found[label]["auc"] == found[label]["subject_auc"] == found[label]["balanced_accuracy"] == 0.5
        assert found[label]["subject_auc_p"] == 1.0


def test_two_runs_write_the_same_bytes(write_all: Callable[..., Path]) -> None:
    folder = write_all().parent
    written = []
    for _ in range(2):
        write_table1(folder, make_study(), TABLE)
        written.append({name: (folder / name).read_bytes() for name in OUTPUTS})
        for name in OUTPUTS:
            (folder / name).unlink()
    assert written[0] == written[1]


def test_table_says_what_was_measured_on_what(write_all: Callable[..., Path]) -> None:
    folder = write_all().parent
    write_table1(folder, make_study(), TABLE)
    with (folder / "table1.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    printed = [row for row in rows if row["kind"] == "reported"]
    measured = [row for row in rows if row["kind"] == "measured"]
    assert len(printed) == 11 * 9
    assert len(measured) == len(TABLE) * 4 * 7
    assert {row["cohort"] for row in rows} == {"dreamer"}
    assert {row["simulated"] for row in printed} == {"False"}
    assert {row["simulated"] for row in measured} == {"True"}
    assert {row["clips"] for row in measured} == {"216"}
    ours = next(
        row for row in measured if (row["method"], row["label"], row["metric"]) == ("ours", "mean", "subject_auc")
    )
    assert ours["provenance"].startswith("reimplementation")
    assert float(ours["low_percent"]) < float(ours["value_percent"]) < float(ours["high_percent"])
    oracle = [row for row in rows if row["kind"] == "oracle"]
    assert rows[-len(oracle) :] == oracle
    assert len(oracle) == 4 * 7
    assert {row["p_value"] for row in oracle} == {""}
    assert "cannot tell how rows rank on people" in oracle[0]["notes"]
    headline = next(row for row in oracle if (row["label"], row["metric"]) == ("mean", "subject_auc"))
    assert float(headline["low_percent"]) < float(headline["value_percent"]) < float(headline["high_percent"])
    comparisons = pd.read_csv(folder / "comparisons.csv")
    assert list(comparisons["first"]) == ["ours"] * 4
    assert (comparisons["p_holm"] >= comparisons["p_value"]).all()


def test_other_seeds_may_test_other_subjects(write_all: Callable[..., Path]) -> None:
    folder = write_all()
    for method in METHODS:
        frame, about = read_predictions(folder / f"{method}.parquet")
        tested = {0: {"s01", "s02", "s03"}, 1: {"s03", "s04", "s05"}}
        kept = [row.subject in tested[row.seed] for row in frame.itertuples()]
        write_predictions(folder / f"{method}.parquet", frame[kept].assign(protocol="paper"), about)
    write_table1(folder.parent, make_study(protocol="paper"), TABLE)
    rows = pd.read_csv(folder.parent / "table1.csv")
    assert set(rows.loc[rows["kind"] == "measured", "subjects"]) == {5}


def test_real_cohort_has_no_oracle_and_says_no_simulation(write_all: Callable[..., Path]) -> None:
    folder = write_all(simulated=False)
    params = check_params(
        {"evaluate": {"protocol": "crossval", "seeds": [0, 1], "bootstrap": 50, "permutations": 50}}, ""
    )
    write_table1(folder.parent, study_of(params, "dreamer"), TABLE)
    assert "oracle" not in json.loads((folder.parent / "metrics.json").read_text())
    assert "oracle" not in set(pd.read_csv(folder.parent / "table1.csv")["kind"])
    for output in ("table1.md", "table1.tex"):
        text = (folder.parent / output).read_text()
        assert "imulated cohort" not in text
        assert "SIMULATED" not in text
        assert "Oracle" not in text
        assert "Measured, DREAMER" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": "paper"}, "protocol is crossval, params.yaml says paper"),
        ({"seeds": [0, 5]}, "seed is 0, 1, params.yaml says 0, 5"),
    ],
)
def test_predictions_of_other_parameters_are_refused(
    write_all: Callable[..., Path], change: dict[str, object], said: str
) -> None:
    folder = write_all().parent
    with pytest.raises(PhysiopipeError, match=said):
        write_table1(folder, make_study(**change), TABLE)
    assert {path.name for path in folder.iterdir()} == {"predictions"}


def test_methods_tested_on_other_clips_are_refused(write_all: Callable[..., Path]) -> None:
    folder = write_all()
    frame = make_predictions("ours", (0, 1), 11, 18, 0.8)
    write_predictions(folder / "ours.parquet", frame, ABOUT["ours"] | {"simulated": True})
    with pytest.raises(PhysiopipeError, match="different clips"):
        write_table1(folder.parent, make_study(), TABLE)


def test_other_cohort_missing_file_and_double_test_are_refused(write_all: Callable[..., Path]) -> None:
    folder = write_all()
    frame, about = read_predictions(folder / "ours.parquet")
    write_predictions(folder / "ours.parquet", frame, about | {"simulated": False})
    with pytest.raises(PhysiopipeError, match=r"made from real ones, params.yaml says simulated"):
        write_table1(folder.parent, make_study(), TABLE)
    write_predictions(folder / "ours.parquet", frame, about | {"cohort": "another"})
    with pytest.raises(PhysiopipeError, match=r"of the cohort another, expected dreamer"):
        write_table1(folder.parent, make_study(), TABLE)
    twice = pd.concat([frame, frame[frame["subject"] == "s01"].assign(fold=9)])
    write_predictions(folder / "ours.parquet", twice, about)
    with pytest.raises(PhysiopipeError, match="two folds of one seed"):
        write_table1(folder.parent, make_study(), TABLE)
    (folder / "ours.parquet").unlink()
    with pytest.raises(PhysiopipeError, match=r"ours\.parquet is missing"):
        write_table1(folder.parent, make_study(), TABLE)
