"""Table 1 laid out: blocks of rows, ranks and numbered notes, from the tidy frame of `physiopipe.results.table1`."""

import math
from collections.abc import Mapping

import pandas as pd

from physiopipe.cohorts.reported import PRINTED_METRICS
from physiopipe.results.cost_block import COST_WORDS, cost_block
from physiopipe.results.coverage import coverage_note
from physiopipe.results.coverage_few import few_subjects_note
from physiopipe.results.intervals import MEAN
from physiopipe.results.layout import Block, Row, TableCell, Typeset, marks
from physiopipe.results.study import Study

HEADS = {
    "accuracy": "Acc.",
    "f1": "F1",
    "auc": "AUC",
    "auc_pr": "AUC-PR",
    "subject_auc": "per-subject AUC",
    "balanced_accuracy": "bal. acc.",
    "balanced_accuracy_tuned": "tuned",
    "macro_f1": "macro-F1",
}
_RANKS = (
    "Rank: mean over people and tasks of the row's place among the measured rows, 1 the best, by what a person adds to "
    "the AUC, seeds averaged."
)
_INTERVALS = {
    "bootstrap": "Intervals: bootstrap over subjects, seeds averaged inside each resample. They do not cover new "
    "clips.",
    "leave_one_out": "Intervals: of few test subjects a bootstrap is far too narrow, so each is left out once: the "
    "estimate, seeds averaged, ± Student's t times the jackknife's standard error. They cover neither other training "
    "subjects nor another split.",
}
_AREA = (
    "AUC-PR: trapezoidal rule; by chance about the share of high windows, and for one and the same score everywhere "
    "half of that share and 1."
)


def typeset(
    frame: pd.DataFrame,
    study: Study,
    without_meaning: Mapping[str, str] | None = None,
    costs: pd.DataFrame | None = None,
) -> Typeset:
    """Lay the tidy frame out as blocks of rows; notes are numbered in the order in which rows call them.

    Args:
        without_meaning: methods that say nothing on this cohort, by title, with the reason.
        costs: of the measured rows, see `physiopipe.results.costs`.
    """
    notes: list[str] = []
    reported, measured = frame[frame["kind"] == "reported"], frame[frame["kind"] == "measured"]
    rows = frame[frame["kind"] != "reported"]  # with the oracle's, where there is one
    printed = None
    if study.reported is not None and len(reported):
        printed = _printed_block(study.reported.title, reported, study, notes, ranked=True)
    blocks: list[Block] = []
    if len(measured):
        name = f"Measured, {study.measured}"
        of = "mean of the AUCs within subjects" if study.headline == "subject_auc" else study.headline_words
        blocks = [
            _printed_block(name, rows, study, notes, ranked=False),
            _headline_block(f"{name}: {of} [{study.settings.confidence:.0%} interval]", rows, study, notes),
            *_window_blocks(name, rows, study, notes),
            _balanced_block(f"{name}: balanced accuracy (at .5, tuned on validation), macro-F1", rows, study, notes),
        ]
    notes += [f"{title} is no row here: {why}" for title, why in (without_meaning or {}).items()]
    notes += study.footnotes
    intervals = [_INTERVALS[study.interval]]
    if len(measured):
        first = measured.iloc[0]
        subjects = int(first["subjects"])
        if study.interval == "leave_one_out":
            intervals.append(few_subjects_note(subjects))
        else:
            intervals.append(coverage_note(str(first["protocol"]), subjects, study.headline, study.tasks))
    intervals.append(_p_words(study))
    if study.scored_by == "window":
        intervals.append(_AREA)
    if measured["mean_rank"].notna().any():
        intervals.append(_RANKS)
    cost = None
    if costs is not None and len(costs):
        cost = cost_block(f"Measured, {study.measured}: cost of a fold", measured, costs, notes)
        intervals.append(COST_WORDS)
    return Typeset(
        _caption(measured, study), study.caveats, printed, tuple(blocks), (*notes, " ".join(intervals)), cost
    )


def _p_words(study: Study) -> str:
    of = f", of the mean of the {len(study.tasks)} tasks" if len(study.tasks) > 1 else ""
    what = "labels of whole recordings exchanged" if study.scored_by == "window" else "labels permuted"
    return f"p: {what} within subject, one-sided{of}."


def _caption(measured: pd.DataFrame, study: Study) -> str:
    tasks = study.tasks
    listed = tasks[0] if len(tasks) == 1 else f"{', '.join(tasks[:-1])} and {tasks[-1]}"
    text = f"{study.title}: {listed}, high or low, percent. "
    text += f"Accuracy, F1 of the class high and AUC are pooled over {study.scored_by}s."
    if measured.empty:
        return text
    one = measured.iloc[0]
    text += (
        f" Measured rows: {study.where}, protocol {one['protocol']}, {_of(one['seeds'], 'seed')}, "
        f"{_of(one['clips'], f'test {study.scored_by}')} of {_of(one['subjects'], 'test subject')}."
    )
    if one["protocol"] == "paper" and int(one["seeds"]) == 1:
        text += (
            " The single split of the subjects, 60 / 20 / 20 percent (the paper's: 13 / 4 / 6 of 23): which subjects "
            "are tested is a matter of luck that no interval here covers."
        )
    if study.latents is not None:
        text += " The last row is the oracle: what the true levels of these very clips allow, which no method can read."
    return text


def _of(count: float, noun: str) -> str:
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"


def _printed_block(title: str, rows: pd.DataFrame, study: Study, notes: list[str], *, ranked: bool) -> Block:
    columns = [(task, metric) for task in study.tasks for metric in PRINTED_METRICS]
    value = rows.set_index(["title", "label", "metric"])["value_percent"]
    titles = list(dict.fromkeys(rows["title"]))
    cells = {
        column: _ranked([value[title, *column] for title in titles]) if ranked
        else [TableCell(_number(value[title, *column])) for title in titles]
        for column in columns
    }  # fmt: skip
    groups = tuple((task.capitalize(), tuple(HEADS[metric] for metric in PRINTED_METRICS)) for task in study.tasks)
    made = [
        Row(each, marks(rows, each, notes), tuple(cells[column][i] for column in columns))
        for i, each in enumerate(titles)
    ]
    return Block(title, groups, tuple(made))


def _headline_block(title: str, rows: pd.DataFrame, study: Study, notes: list[str]) -> Block:
    """The metric that leads; a cohort of one task has no column beside its own mean. Beside an AUC of all clips pooled
    stands the mean of those within subjects: with one clip of each class, the share of subjects in the right order.
    """
    shown = (*study.tasks, MEAN) if len(study.tasks) > 1 else study.tasks
    columns = [(task.capitalize(), study.headline, task) for task in shown]
    if study.headline != "subject_auc":
        columns.append(("Within subjects", "subject_auc", MEAN))
    found = rows.set_index(["title", "metric", "label"])
    ranked = bool(rows["mean_rank"].notna().any())
    made = []
    for each in dict.fromkeys(rows["title"]):
        cells = []
        for _, metric, task in columns:
            value, low, high = (
                float(found.loc[(each, metric, task), f"{end}_percent"]) for end in ("value", "low", "high")
            )
            cells.append(_with_interval(value, low, high))
        p_value, rank = (float(found.loc[(each, study.headline, MEAN), name]) for name in ("p_value", "mean_rank"))
        cells.append(TableCell(f"{p_value:.2g}" if math.isfinite(p_value) else "–"))
        if ranked:
            cells.append(TableCell(_number(rank) if math.isfinite(rank) else "–"))
        made.append(Row(each, marks(rows, each, notes), tuple(cells)))
    heads = (*(name for name, _, _ in columns), "p", *(("Rank",) if ranked else ()))
    return Block(title, tuple((head, ("",)) for head in heads), tuple(made))


def _window_blocks(name: str, rows: pd.DataFrame, study: Study, notes: list[str]) -> list[Block]:
    """Where each window is scored by itself: the metrics that others print of it, each with its interval."""
    if study.scored_by != "window":
        return []
    metrics = ("balanced_accuracy", "auc_pr", "auc")
    found = rows.set_index(["title", "metric", "label"])
    made = []
    for each in dict.fromkeys(rows["title"]):
        ends = [[float(found.loc[(each, m, task), f"{end}_percent"]) for end in ("value", "low", "high")]
                for task in study.tasks for m in metrics]  # fmt: skip
        made.append(Row(each, marks(rows, each, notes), tuple(_with_interval(*each_one) for each_one in ends)))
    title = f"{name}: each window by itself [{study.settings.confidence:.0%} interval]"
    return [
        Block(title, tuple((task.capitalize(), tuple(HEADS[m] for m in metrics)) for task in study.tasks), tuple(made))
    ]


def _with_interval(value: float, low: float, high: float) -> TableCell:
    return TableCell(_number(value) + (f" [{low:.1f}, {high:.1f}]" if math.isfinite(low) else ""))


def _balanced_block(title: str, rows: pd.DataFrame, study: Study, notes: list[str]) -> Block:
    metrics = ("balanced_accuracy", "balanced_accuracy_tuned", "macro_f1")
    value = rows.set_index(["title", "label", "metric"])["value_percent"]
    made = [
        Row(each, marks(rows, each, notes),
            tuple(TableCell(_number(value[each, task, metric])) for task in study.tasks for metric in metrics))
        for each in dict.fromkeys(rows["title"])
    ]  # fmt: skip
    return Block(
        title, tuple((task.capitalize(), tuple(HEADS[m] for m in metrics)) for task in study.tasks), tuple(made)
    )


def _ranked(values: list[float]) -> list[TableCell]:
    """Cells with the best and the second best value marked; equal values share a rank."""
    order = sorted(set(values), reverse=True)
    rank = {order[0]: "best", **({order[1]: "second"} if len(order) > 1 else {})}
    return [TableCell(_number(value), rank.get(value, "")) for value in values]


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
