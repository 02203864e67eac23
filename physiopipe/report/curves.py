"""Figures of training and of predictions: losses (the paper's figures 2 and 3), ROC, AUC by subject, confusion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from physiopipe.params import Evaluate
from physiopipe.results.evaluate import REFERENCE, TestSet
from physiopipe.results.metrics import F64, HEADLINE, LABELS, count_by_subject, subject_aucs
from physiopipe.results.statistics import SeedPredictions, mean_of_defined, resample_subjects
from physiopipe.results.table1 import title_of

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")  # Okabe and Ito's
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 3)))
_MARKERS = "osD^vP*X"
_MOST_MARKERS = 30  # of a line
_BAND_RESAMPLES = 500
_GRID = np.linspace(0, 1, 101)


def pretraining_loss(loss: pd.DataFrame, baselines: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Figure 2: total reconstruction loss by epoch, training and held-out records; held-out loss by rate.

    Training is logged several times an epoch (the first falls fastest), held-out records from epoch 0 on. The level of
    each of `baselines` (its "total", on held-out records) is a thin line named at its end.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    epochs_of_a_step = loss["epoch"].max() / max(loss["step"].max(), 1)
    total = loss[loss["term"] == "total"].assign(at=loss["step"] * epochs_of_a_step)
    whole = total[_is_whole(total["rate_hz"]) & _is_whole(total["source"])]
    for i, (split, part) in enumerate(whole.groupby("split", sort=True)):
        left.plot(part["at"], part["value"], label=_words(split), zorder=3 - i, **_marked(part, i))
    levels = {name: row["total"] for name, row in baselines.items() if row["total"] > 0}
    shown = [*whole["value"], *levels.values()]
    for level in levels.values():
        left.axhline(level, color="#999999", linewidth=0.7, zorder=0)
    for name, height in _spread_out(levels, (max(shown) / min(shown)) ** 0.05):
        left.annotate(name, (1.0, height), xycoords=left.get_yaxis_transform(), xytext=(3, 0),
                      textcoords="offset points", fontsize=7, va="center", color="#444444")  # fmt: skip
    by_rate = total[~_is_whole(total["rate_hz"]) & (total["split"] != "train") & _is_whole(total["source"])]
    rates = by_rate.assign(rate_hz=by_rate["rate_hz"].astype(float)).groupby("rate_hz")
    for i, (rate, part) in enumerate(rates):
        right.plot(part["at"], part["value"], label=f"{rate:g} Hz", **_marked(part, i))
    left.set(title="All rates", yscale="log", ylabel="reconstruction loss (eq. 5)")
    right.set(title="Held-out records, by rate")
    for axes in (left, right):
        _epochs(axes)
    return figure


def _marked(part: pd.DataFrame, i: int) -> dict[str, Any]:
    """Marker and dash of the i-th line; of a long one only some points are marked."""
    every = max(1, len(part) // _MOST_MARKERS)
    return {"marker": _MARKERS[i], "linestyle": _DASHES[i], "markersize": 3, "markevery": every, "linewidth": 1.2}


def _spread_out(levels: Mapping[str, float], least_ratio: float) -> list[tuple[str, float]]:
    """Names of levels with heights on a logarithmic axis, moved up where they would lie on one another."""
    placed: list[tuple[str, float]] = []
    for name, level in sorted(levels.items(), key=lambda item: item[1]):
        lowest = placed[-1][1] * least_ratio if placed else level
        placed.append((_words(name), max(level, lowest)))
    return placed


def finetuning_loss(curves: pd.DataFrame) -> Figure:
    """Figure 3: loss by epoch on training and validation subjects, mean over seeds and folds; each one thin behind."""
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
            axes.plot(mean.index, mean, _MARKERS[i], linestyle=_DASHES[i], color=COLOURS[i], markersize=4,
                      label=_words(split))  # fmt: skip
        axes.set(title=title_of(method), ylabel="BCE, summed over labels")
        _epochs(axes)
    return figure


def roc_curves(test: TestSet, settings: Evaluate) -> Figure:
    """ROC of pooled clips, vertical means over seeds; the band is the interval of the paper's method."""
    weights = np.concatenate([
        np.ones((1, len(test.subjects))),
        resample_subjects(len(test.subjects), min(settings.bootstrap, _BAND_RESAMPLES), settings.resampling_seed),
    ])  # fmt: skip
    tails = (50 * (1 - settings.confidence), 50 * (1 + settings.confidence))
    shown = {name: seeds for name, seeds in test.methods.items() if any(np.ptp(one.probability) > 0 for one in seeds)}
    columns = min(len(shown) + 1, 5)
    legend_rows = -(-(len(shown) + 1) // columns)
    figure = Figure(figsize=(10, 3.8 + 0.25 * legend_rows), layout="constrained")
    panels = figure.subplots(1, len(LABELS), sharey=True)
    for position, (axes, label) in enumerate(zip(panels, LABELS, strict=True)):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for i, (name, seeds) in enumerate(shown.items()):
            rows = weights if name == REFERENCE else weights[:1]
            drawn = np.stack([roc_on_grid(one, position, rows) for one in seeds])
            sensitivity = mean_of_defined(drawn)
            axes.plot(_GRID, sensitivity[0], label=title_of(name), **_line(name, i))
            if len(rows) > 1 and np.isfinite(sensitivity[1:]).all(axis=1).any():
                defined = sensitivity[1:][np.isfinite(sensitivity[1:]).all(axis=1)]  # not those of a single class
                low, high = np.percentile(defined, tails, axis=0)
                axes.fill_between(_GRID, low, high, color=axes.lines[-1].get_color(), alpha=0.18, linewidth=0,
                                  label=f"{title_of(name)}, {settings.confidence:.0%} interval")  # fmt: skip
        axes.set(title=label.capitalize(), xlabel="1 − specificity", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    panels[0].set_ylabel("sensitivity")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure


def roc_on_grid(one: SeedPredictions, label: int, weights: F64) -> F64:
    """Sensitivity (weighting, 101) at false-positive shares 0, .01, … 1 for weightings (weighting, subject)."""
    thresholds = np.unique(one.probability[:, label])[::-1]
    above = one.probability[:, label][:, None] >= thresholds
    member = np.arange(weights.shape[1])[:, None] == one.subject
    truth = one.truth[:, label]
    shares = []
    for kind in (truth, ~truth):
        counts = weights @ (member[:, kind].astype(np.float64) @ above[kind])
        shares.append(np.divide(counts, counts[:, -1:], out=np.full(counts.shape, np.nan), where=counts[:, -1:] > 0))
    found = np.full((len(weights), _GRID.size), np.nan)
    for row, (hits, alarms) in enumerate(zip(*shares, strict=True)):
        if np.isfinite(hits).all() and np.isfinite(alarms).all():
            found[row] = np.interp(_GRID, np.r_[0, alarms], np.r_[0, hits])
    return found


def subject_aucs_plot(test: TestSet, metrics: Mapping[str, Any]) -> Figure:
    """AUC within each subject (dots, seeds averaged), their mean with its interval, chance and the attainable AUC."""
    figure = Figure(figsize=(10, 0.5 * len(test.methods) + 1.9), layout="constrained")
    panels = figure.subplots(1, len(LABELS), sharey=True)
    names = list(test.methods)
    for position, (axes, label) in enumerate(zip(panels, LABELS, strict=True)):
        axes.axvline(0.5, color="#999999", linewidth=0.8)
        best = metrics.get("attainable", {}).get(label, {}).get(HEADLINE)
        if best is not None:
            axes.axvline(best, color="#000000", linewidth=0.9, linestyle=":", label="attainable")
        for i, name in enumerate(names):
            own = _seed_mean(test, name, position)
            spread = 0.18 * np.resize([-1.0, 0.0, 1.0, -0.5, 0.5], own.size)  # so that equal subjects stay visible
            axes.plot(own, i + spread, "o", markersize=3.5, alpha=0.6, color=_line(name, i)["color"], markeredgewidth=0)
            found = metrics[name][label]
            if HEADLINE in found:
                low, high = (
                    found.get(f"{HEADLINE}_low", found[HEADLINE]),
                    found.get(f"{HEADLINE}_high", found[HEADLINE]),
                )
                axes.plot([low, high], [i, i], color="#000000", linewidth=1.4)
                axes.plot(found[HEADLINE], i, "D", color="#000000", markersize=5)
        axes.set(title=label.capitalize(), xlabel="AUC within subject", xlim=(0, 1.02))
        axes.set_yticks(range(len(names)), [title_of(name) for name in names])
    panels[0].invert_yaxis()
    if panels[-1].get_legend_handles_labels()[0]:
        panels[-1].legend(loc="lower left", fontsize=8)
    return figure


def confusion(test: TestSet) -> Figure:
    """Clips by truth and prediction at .5, mean over seeds, of the paper's method (or the last row)."""
    name = REFERENCE if REFERENCE in test.methods else list(test.methods)[-1]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    figure.suptitle(f"{title_of(name)}: clips by truth and prediction (threshold .5)", fontsize=11, x=0.42)
    panels = figure.subplots(1, len(LABELS))
    for position, (axes, label) in enumerate(zip(panels, LABELS, strict=True)):
        cells = np.mean([_count(test, one, position).confusion.sum(axis=0) for one in test.methods[name]], axis=0)
        table = np.array([[cells[3], cells[1]], [cells[2], cells[0]]])  # rows: truth low, high; columns: prediction
        axes.imshow(table, cmap="Blues", vmin=0, vmax=max(table.max() * 1.6, 1))
        for (row, column), value in np.ndenumerate(table):
            axes.text(column, row, f"{value:.4g}", ha="center", va="center", fontsize=12)
        axes.set(title=label.capitalize(), xlabel="predicted")
        axes.set_xticks([0, 1], ["low", "high"])
        axes.set_yticks([0, 1], ["low", "high"])
    panels[0].set_ylabel("truth")
    return figure


def _seed_mean(test: TestSet, name: str, label: int) -> F64:
    return mean_of_defined(np.stack([subject_aucs(_count(test, one, label)) for one in test.methods[name]]))


def _count(test: TestSet, one: SeedPredictions, label: int) -> Any:
    return count_by_subject(
        one.truth[:, label], one.probability[:, label], one.threshold[:, label], one.subject, len(test.subjects)
    )


def _line(name: str, place: int) -> dict[str, Any]:
    """Colour, dash and width of a method's line: the paper's is solid, thick and first in colour."""
    if name == REFERENCE:
        return {"color": COLOURS[0], "linestyle": "-", "linewidth": 2.2}
    own = 1 + place % (len(COLOURS) - 1)
    return {"color": COLOURS[own], "linestyle": _DASHES[own], "linewidth": 1.4}


def _is_whole(column: "pd.Series[Any]") -> "pd.Series[bool]":
    """Rows of a loss table that stand for everything, not for one rate or source."""
    return column.isna() | column.astype(str).isin(["", "all", "0", "0.0"])


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(fontsize=8)


def _words(name: Any) -> str:
    return str(name).replace("_", " ")
