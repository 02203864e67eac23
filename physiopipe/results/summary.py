"""About ten numbers that tell how a study went, as JSON: what `dvc metrics` shows. The whole is metrics.json."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from physiopipe.results.intervals import MEAN
from physiopipe.results.study import REFERENCE, Study

UNTRAINED = "ecg_untrained"  # the ablation that says what pretraining gains


def summary(table1: pd.DataFrame, ablations: pd.DataFrame, study: Study) -> dict[str, Any]:
    """The headline AUC in percent of the reference and of the best other row that reads signals, with intervals, of
    the best row that reads none; what pretraining gains; numbers of seeds, subjects and clips.

    What was not run is left out.
    """
    rows = headline_rows(table1, study)
    content: dict[str, Any] = {}
    if rows.empty:
        return content
    with_signals = rows[rows["inputs"].fillna("") != ""]
    others = with_signals[with_signals["method"] != REFERENCE].sort_values("value_percent", ascending=False)
    for _, row in pd.concat([with_signals[with_signals["method"] == REFERENCE], others.head(1)]).iterrows():
        content[str(row["method"])] = _with_interval(row["value_percent"], row["low_percent"], row["high_percent"])
    without = rows[rows["inputs"].fillna("") == ""]
    if len(without):
        content["best_without_signals"] = round(float(without["value_percent"].max()), 2)
    gain = pretraining_gain(ablations)
    if gain is not None:
        content["pretraining_gain"] = _with_interval(*gain[:3])
    return content | {name: int(rows.iloc[0][name]) for name in ("seeds", "subjects", "clips")}


def pretraining_summary(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Of results/pretrain/metrics.json what `dvc metrics` shows: held-out loss, that of predicting zero, sizes."""
    losses = {"held_out_loss": metrics["held_out"], "loss_of_predicting_zero": metrics["baselines"]["zero"]}
    return {name: round(float(one["total"]), 4) for name, one in losses.items()} | {
        name: int(metrics[name]) for name in ("steps", "train_windows", "held_out_windows")
    }


def headline_rows(table1: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Measured rows of Table 1 with their headline AUC, mean of the tasks, in the table's order."""
    chosen = (table1["kind"] == "measured") & (table1["label"] == MEAN) & (table1["metric"] == study.headline)
    return table1[chosen & table1["value_percent"].notna()]


def pretraining_gain(ablations: pd.DataFrame) -> tuple[float, float, float, float] | None:
    """Points that the reference is ahead of itself with an untrained encoder, (value, low, high, p after Holm)."""
    rows = ablations[(ablations["name"] == UNTRAINED) & ablations["difference_percent"].notna()]
    if rows.empty:
        return None
    row = rows.iloc[0]
    value, low, high = (-float(row[f"difference_{end}"]) for end in ("percent", "high", "low"))
    return value, low, high, float(row["difference_p_holm"])


def _with_interval(value: float, low: float, high: float) -> dict[str, float]:
    ends = {"value": value, "low": low, "high": high}
    return {name: round(float(number), 2) for name, number in ends.items() if pd.notna(number)}
