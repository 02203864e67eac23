"""Figures 2 and 3 of the paper: losses of pretraining and of fine-tuning by epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from physiopipe.report.style import COLOURS, DASHES, MARKERS, words

_MOST_MARKERS = 30  # of a line
_LABEL_SHARE = 0.055  # of the axis' height that a label of 7 points needs


def pretraining_loss(loss: pd.DataFrame, baselines: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Figure 2: total reconstruction loss by epoch, training and held-out records; held-out loss by rate.

    Training is logged several times an epoch (the first falls fastest), held-out records from epoch 0 on. The level of
    each of `baselines` (its "total", on held-out records) is a thin line named at its end.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    epochs_of_a_step = loss["epoch"].max() / max(loss["step"].max(), 1)
    total = loss[loss["term"] == "total"].assign(at=loss["step"] * epochs_of_a_step)
    whole = total[_is_whole(total["rate_hz"]) & _is_whole(total["source"])]
    for i, (split, part) in enumerate(whole.groupby("split", sort=True)):
        left.plot(part["at"], part["value"], label=words(split), zorder=3 - i, **_marked(part, i))
    by_rate = total[~_is_whole(total["rate_hz"]) & (total["split"] != "train") & _is_whole(total["source"])]
    rates = by_rate.assign(rate_hz=by_rate["rate_hz"].astype(float)).groupby("rate_hz")
    for i, (rate, part) in enumerate(rates):
        right.plot(part["at"], part["value"], label=f"{rate:g} Hz", **_marked(part, i))
    left.set(title="All rates", yscale="log", ylabel="reconstruction loss (eq. 5)")
    right.set(title="Held-out records, by rate")
    levels = {name: float(row["total"]) for name, row in baselines.items() if row["total"] > 0}
    for level in levels.values():
        left.axhline(level, color="#999999", linewidth=0.7, zorder=0)
    for axes in (left, right):
        _epochs(axes)
    if levels:
        low, high = left.get_ylim()
        for name, height in spread_out(levels, (high / low) ** _LABEL_SHARE):
            left.annotate(words(name), (1.0, height), xycoords=left.get_yaxis_transform(), xytext=(3, 0),
                          textcoords="offset points", fontsize=7, va="center", color="#444444")  # fmt: skip
    return figure


def spread_out(levels: Mapping[str, float], least_ratio: float) -> list[tuple[str, float]]:
    """Names of levels with heights on a logarithmic axis, moved up where they would lie on one another."""
    placed: list[tuple[str, float]] = []
    for name, level in sorted(levels.items(), key=lambda item: item[1]):
        lowest = placed[-1][1] * least_ratio if placed else level
        placed.append((name, max(level, lowest)))
    return placed


def finetuning_loss(curves: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Figure 3: loss by epoch on training and validation subjects, mean over seeds and folds; each one thin behind.

    A ring marks, on the validation loss of each seed and fold, the epoch whose weights are used: that of the best
    validation AUC.

    Args:
        curves: method, seed, fold, epoch, split, loss, auc.
        titles: what each method is called.
    """
    methods = list(dict.fromkeys(curves["method"]))
    columns = min(len(methods), 3)
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(methods) :]:
        axes.set_axis_off()
    for axes, method in zip(panels, methods, strict=False):
        mine = curves[curves["method"] == method]
        for i, (split, part) in enumerate(mine.groupby("split")):
            for _, one in part.groupby(["seed", "fold"]):
                axes.plot(one["epoch"], one["loss"], color=COLOURS[i], linewidth=0.6, alpha=0.35)
            mean = part.groupby("epoch")["loss"].mean()
            axes.plot(mean.index, mean, MARKERS[i], linestyle=DASHES[i], color=COLOURS[i], markersize=4,
                      label=words(split))  # fmt: skip
        used = used_epochs(mine)
        axes.plot(used["epoch"], used["loss"], "o", markersize=6, markerfacecolor="none", markeredgecolor="#000000",
                  linestyle="", label="epoch used", zorder=5)  # fmt: skip
        axes.set(title=titles.get(method, words(method)), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for first in panels[::columns][:rows]:
        first.set_ylabel("BCE, summed over tasks")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def used_epochs(curves: pd.DataFrame) -> pd.DataFrame:
    """The row of the epoch whose weights a seed and fold is left with: best validation AUC, the first among equals;
    where no AUC is defined, the least loss.
    """
    validation = curves[curves["split"] == "validation"].sort_values("epoch", kind="stable")
    chosen = []
    for _, one in validation.groupby(["method", "seed", "fold"]):
        score = one["auc"].fillna(-1.0).to_numpy(dtype=np.float64)
        ties = np.where(one["auc"].isna(), -one["loss"], 0.0)
        chosen.append(one.iloc[int(np.lexsort((-np.arange(len(one)), ties, score))[-1])])
    return pd.DataFrame(chosen, columns=curves.columns)


def _marked(part: pd.DataFrame, i: int) -> dict[str, Any]:
    """Marker and dash of the i-th line; of a long one only some points are marked."""
    every = max(1, len(part) // _MOST_MARKERS)
    place = i % len(MARKERS)
    return {"marker": MARKERS[place], "linestyle": DASHES[place], "markersize": 3, "markevery": every, "linewidth": 1.2}


def _is_whole(column: "pd.Series[Any]") -> "pd.Series[bool]":
    """Rows of a loss table that stand for everything, not for one rate or source."""
    return column.isna() | column.astype(str).isin(["", "all", "0", "0.0"])


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(fontsize=8)
