"""Figures of predictions: AUC of every subject, ROC curves, confusion."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from physiopipe.report.style import COLOURS, DASHES
from physiopipe.results.intervals import MEAN, SeedPredictions, counts_of, mean_of_defined, resample_subjects
from physiopipe.results.metrics import F64, subject_aucs
from physiopipe.results.oracle import ORACLE
from physiopipe.results.study import REFERENCE, Study
from physiopipe.results.test_set import TestSet

_BAND_RESAMPLES = 500
_LABEL_LETTERS = 24  # of a line: a longer label goes on in the next
_GRID = np.linspace(0, 1, 101)


def headline_plot(test: TestSet, metrics: Mapping[str, Any], study: Study) -> Figure:
    """The picture of the first screen: the headline AUC of every row with its interval, mean of the tasks, chance, and
    the oracle's AUC of a simulated cohort. Where the AUC within subjects leads, every subject is a dot.
    """
    return _aucs(test, metrics, study, (MEAN,), width=4.9)


def subject_aucs_plot(test: TestSet, metrics: Mapping[str, Any], study: Study) -> Figure:
    """The same for each task, a panel each."""
    return _aucs(test, metrics, study, study.tasks, width=3.4 * len(study.tasks) + 1.2)


def _aucs(
    test: TestSet, metrics: Mapping[str, Any], study: Study, tasks: Sequence[str], width: float
) -> Figure:  # fmt: skip
    figure = Figure(figsize=(width, 0.42 * len(test.methods) + 1.5), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    names, headline = list(test.methods), study.headline
    best_row = max(names, key=lambda name: metrics[name][MEAN].get(headline, 0.0), default="")
    for axes, task in zip(panels, tasks, strict=True):
        axes.axvline(0.5, color="#999999", linewidth=0.8)
        if ORACLE in metrics:
            axes.axvline(metrics[ORACLE][task][headline], color="#000000", linewidth=0.9, linestyle=":")
        for i, name in enumerate(names):
            if headline == "subject_auc":
                own = _own_aucs(test, name, task)
                spread = 0.18 * np.resize([-1.0, 0.0, 1.0, -0.5, 0.5], own.size)  # so that equal subjects stay visible
                colour = _line(name, i)["color"]
                axes.plot(own, i + spread, "o", markersize=3.5, alpha=0.6, color=colour, markeredgewidth=0)
            found = metrics[name][task]
            if headline in found:
                ends = [found.get(f"{headline}_{end}", found[headline]) for end in ("low", "high")]
                axes.plot(ends, [i, i], color="#000000", linewidth=1.4)
                axes.plot(found[headline], i, "D", color="#000000", markersize=5)
        shown = f"mean of {len(study.tasks)} tasks" if task == MEAN and len(study.tasks) > 1 else task
        axes.set(title=(study.tasks[0] if task == MEAN and len(study.tasks) == 1 else shown).capitalize(),
                 xlabel=fill(study.headline_words, _LABEL_LETTERS), xlim=(-0.02, 1.02))  # fmt: skip
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])  # neighbours' do not touch
        axes.set_yticks(range(len(names)), [fill(test.title(name), _LABEL_LETTERS) for name in names])
    for label, name in zip(panels[0].get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if name in (REFERENCE, best_row) else "normal")
    panels[0].invert_yaxis()
    return figure


def roc_curves(test: TestSet, study: Study) -> Figure:
    """ROC of pooled clips, vertical means over seeds; the band is the interval of the reference method."""
    settings = study.settings
    weights = np.concatenate([
        np.ones((1, len(test.subjects))),
        resample_subjects(len(test.subjects), min(settings.bootstrap, _BAND_RESAMPLES), settings.resampling_seed),
    ])  # fmt: skip
    tails = (50 * (1 - settings.confidence), 50 * (1 + settings.confidence))
    shown = {name: seeds for name, seeds in test.methods.items() if any(np.ptp(one.probability) > 0 for one in seeds)}
    columns = min(len(shown) + 1, 5 if len(study.tasks) > 2 else 2 * len(study.tasks))
    legend_rows = -(-(len(shown) + 1) // columns)
    figure = Figure(figsize=(3.2 * len(study.tasks) + 0.4, 3.9 + 0.25 * legend_rows), layout="constrained")
    panels = figure.subplots(1, len(study.tasks), sharey=True, squeeze=False)[0]
    for position, (axes, task) in enumerate(zip(panels, study.tasks, strict=True)):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for i, (name, seeds) in enumerate(shown.items()):
            rows = weights if name == REFERENCE else weights[:1]
            drawn = np.stack([roc_on_grid(one, position, rows) for one in seeds])
            sensitivity = mean_of_defined(drawn)
            axes.plot(_GRID, sensitivity[0], label=test.title(name), **_line(name, i))
            if len(rows) > 1 and np.isfinite(sensitivity[1:]).all(axis=1).any():
                defined = sensitivity[1:][np.isfinite(sensitivity[1:]).all(axis=1)]  # not those of a single class
                low, high = np.percentile(defined, tails, axis=0)
                axes.fill_between(_GRID, low, high, color=axes.lines[-1].get_color(), alpha=0.18, linewidth=0,
                                  label=f"{test.title(name)}, {settings.confidence:.0%} interval")  # fmt: skip
        axes.set(title=task.capitalize(), xlabel="1 − specificity", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", ".2", ".4", ".6", ".8", "1"])  # neighbours' do not touch
    panels[0].set_ylabel("sensitivity")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=9)
    return figure


def roc_on_grid(one: SeedPredictions, task: int, weights: F64) -> F64:
    """Sensitivity (weighting, 101) at false-positive shares 0, .01, … 1 for weightings (weighting, subject)."""
    thresholds = np.unique(one.probability[:, task])[::-1]
    above = one.probability[:, task][:, None] >= thresholds
    member = np.arange(weights.shape[1])[:, None] == one.subject
    truth = one.truth[:, task]
    shares = []
    for kind in (truth, ~truth):
        counts = weights @ (member[:, kind].astype(np.float64) @ above[kind])
        shares.append(np.divide(counts, counts[:, -1:], out=np.full(counts.shape, np.nan), where=counts[:, -1:] > 0))
    found = np.full((len(weights), _GRID.size), np.nan)
    for row, (hits, alarms) in enumerate(zip(*shares, strict=True)):
        if np.isfinite(hits).all() and np.isfinite(alarms).all():
            found[row] = np.interp(_GRID, np.r_[0, alarms], np.r_[0, hits])
    return found


def confusion(test: TestSet) -> Figure:
    """Clips by truth and prediction at .5, whole numbers summed over seeds, of the reference (or the last row)."""
    name = REFERENCE if REFERENCE in test.methods else list(test.methods)[-1]
    seeds = test.methods[name]
    figure = Figure(figsize=(2.5 * len(test.tasks) + 0.5, 3.2), layout="constrained")
    panels = figure.subplots(1, len(test.tasks), squeeze=False)[0]
    for position, (axes, task) in enumerate(zip(panels, test.tasks, strict=True)):
        cells = sum(counts_of(one, position, len(test.subjects)).confusion.sum(axis=0) for one in seeds)
        table = np.array([[cells[3], cells[1]], [cells[2], cells[0]]])  # rows: truth low, high; columns: prediction
        axes.imshow(table, cmap="Blues", vmin=0, vmax=max(table.max() * 1.6, 1))
        for (row, column), value in np.ndenumerate(table):
            axes.text(column, row, f"{round(value):,}", ha="center", va="center", fontsize=12)
        axes.set(title=task.capitalize(), xlabel="predicted")
        axes.set_xticks([0, 1], ["low", "high"])
        axes.set_yticks([0, 1], ["low", "high"])
    panels[0].set_ylabel("truth")
    return figure


def _own_aucs(test: TestSet, name: str, task: str) -> F64:
    """AUC within each subject, seeds averaged, of a task or the mean of all, (subject,)."""
    places = range(len(test.tasks)) if task == MEAN else [test.tasks.index(task)]
    of_task = [
        mean_of_defined(np.stack([subject_aucs(counts_of(one, i, len(test.subjects))) for one in test.methods[name]]))
        for i in places
    ]
    return mean_of_defined(np.stack(of_task))


def _line(name: str, place: int) -> dict[str, Any]:
    """Colour, dash and width of a method's line: the reference's is solid, thick and first in colour."""
    if name == REFERENCE:
        return {"color": COLOURS[0], "linestyle": "-", "linewidth": 2.2}
    own = 1 + place % (len(COLOURS) - 1)
    return {"color": COLOURS[own], "linestyle": DASHES[own], "linewidth": 1.4}
