"""Rows of another threshold have its labels, and are compared among themselves; a cohort without one has no row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from small_methods import SIZES

from physiopipe.experiments.ablations import ABLATION_OF, run_ablation, variant_of
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.readings import READINGS
from physiopipe.params import Params, check_params
from physiopipe.results import contrasts
from physiopipe.results.p_values import holm
from physiopipe.results.study import study_of as study_to_evaluate

VARIANTS = ("high_from_3", "high_from_4", "high_from_4_handcrafted")


def parameters(state: Path) -> Params:
    content = {
        "data": {"dreamer": {"origin": "simulated"}},
        "pretrain": {"encoder": SIZES},
        "encoders": {"eeg": SIZES, "eeg_weights": {"origin": "none"}},
        "methods": ["ours"],
        "method": {"ours": {"hidden": 16, "epochs": 1}},
        "evaluate": {"protocol": "crossval", "seeds": [0], "bootstrap": 50, "permutations": 50},
        "ablations": {"variants": list(VARIANTS)},
        "run": {"state_folder": str(state), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content, "test")


def test_both_thresholds_stand_in_one_table(tmp_path: Path) -> None:
    made = planted_clips(subjects=5, clips=6, windows=1, patches=2)
    ratings = np.random.default_rng(2).permuted(np.tile([1.0, 2.0, 3.0, 3.0, 4.0, 5.0], (15, 1)), axis=1)
    ratings = ratings.reshape(5, 3, 6).transpose(0, 2, 1).reshape(30, 3)
    study = study_of("ours", parameters(tmp_path / "state"), store_cohort(tmp_path, made, ratings=ratings))
    results = tmp_path / "results"
    run_method(study, results / "predictions" / "ours.parquet")
    wanted = {}
    for name in VARIANTS:
        run_ablation(name, study, results / "ablations" / f"{name}.parquet")
        frame, about = read_predictions(results / "ablations" / f"{name}.parquet")
        number = ABLATION_OF[name].clips["high_from"]
        assert set(about["high_from"].values()) == {number}
        first = frame[frame["label"] == "valence"].sort_values(["subject", "clip"])
        np.testing.assert_array_equal(first["truth"], ratings[:, 0] >= number)
        wanted[name] = frame["probability"].to_numpy()
    table = contrasts.ablations(results, replace(study_to_evaluate(study.params, "dreamer"), latents=None)).set_index(
        "name"
    )
    assert list(table.index) == ["ours", *VARIANTS]
    versus = table["versus"]
    assert versus["high_from_3"] == "ours"  # the study's own threshold: the same row again
    assert table.loc["high_from_3", "difference_percent"] == 0
    assert versus["high_from_4"] == ""  # other labels: compared with nobody's but their own
    assert versus["high_from_4_handcrafted"] == "high_from_4"
    difference = table["mean_percent"]["high_from_4_handcrafted"] - table["mean_percent"]["high_from_4"]
    assert table.loc["high_from_4_handcrafted", "difference_percent"] == pytest.approx(difference, abs=1e-3)
    compared = table[table["difference_p"].notna()]  # over the whole table, whatever the labels
    np.testing.assert_allclose(compared["difference_p_holm"], holm(compared["difference_p"].tolist()), atol=1e-6)
    assert "a rating of 4 or more" in table.loc["high_from_4", "note"]


def test_every_reading_is_there() -> None:
    for number in (3, 4):
        mine = {name: row for name, row in READINGS.items() if row.clips.get("high_from") == number}
        ways = {
            (row.changes.get("method.ours.pooling"), row.changes.get("method.ours.frozen"))
            for row in mine.values()
            if row.method == "ours"
        }
        assert ways == {(pooling, frozen) for pooling in (None, "channels") for frozen in (None, False)}


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ("high_from_4", "clips.eegmat has no high_from."),
        ("baseline_zscored", "eegmat has no recordings of a baseline."),
    ],
)
def test_a_cohort_that_cannot_be_read_so_has_no_row(tmp_path: Path, variant: str, why: str) -> None:
    made = replace(planted_clips(subjects=5, clips=2, windows=1, patches=2, tasks=("arithmetic",)))
    folder = store_cohort(tmp_path, made, name="eegmat", ratings=made.labels.astype(float))
    params = parameters(tmp_path / "state").model_dump(mode="json")
    for section in ("data", "simulate", "filter", "resample", "shard", "clips"):
        del params[section]
    params = check_params(params | {"cohorts": {"downstream": ["eegmat"]}}, "test")
    study = replace(study_of("ours", params, folder), cohort="eegmat")
    assert variant_of(variant, study).no_row == why
    out = tmp_path / f"{variant}.parquet"
    run_ablation(variant, study, out)
    frame, about = read_predictions(out)
    assert frame.empty
    assert about["without_meaning"] == why
