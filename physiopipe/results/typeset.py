"""Table 1 as text: Markdown, LaTeX (booktabs) and HTML, all from the tidy frame of `physiopipe.results.table1`."""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from physiopipe.results.coverage import coverage_note
from physiopipe.results.metrics import LABELS
from physiopipe.results.statistics import MEAN
from physiopipe.results.table1 import NOTE_SEPARATOR, PRINTED_METRICS

HEADS = {
    "accuracy": "Acc.",
    "f1": "F1",
    "auc": "AUC",
    "subject_auc": "per-subject AUC",
    "balanced_accuracy": "bal. acc.",
    "balanced_accuracy_tuned": "tuned",
    "macro_f1": "macro-F1",
}
_ALWAYS_HIGH = (
    "Saying high for every clip of DREAMER scores accuracy / F1 61.1 / 75.9 (valence), 72.5 / 84.0 (arousal) and "
    "77.1 / 87.0 (dominance) with an AUC of 50: AUC, balanced accuracy and macro-F1 tell methods apart, accuracy and "
    "F1 hardly do."
)
_INTERVALS = (
    "Intervals: bootstrap over subjects, seeds averaged inside each resample. They do not cover new film clips."
)
_P_VALUES = "p: labels permuted within subject, one-sided, of the mean of the three labels."


@dataclass(frozen=True)
class TableCell:
    """A number as text and its rank among the rows of its block: best, second or neither."""

    text: str
    rank: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    notes: tuple[int, ...]
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; `groups` are spanning heads with the heads of their columns."""

    title: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Typeset:
    caption: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def typeset(frame: pd.DataFrame, confidence: float) -> Typeset:
    """Lay the tidy frame out as blocks of rows; notes are numbered in the order in which rows call them."""
    notes: list[str] = []
    reported, measured = frame[frame["kind"] == "reported"], frame[frame["kind"] == "measured"]
    simulated = _is_simulated(frame)
    blocks = [_printed_block("Reported in the paper (DREAMER)", reported, notes, ranked=True)]
    if len(measured):
        name = "Measured, simulated cohort" if simulated else "Measured, DREAMER"
        blocks += [
            _printed_block(name, measured, notes, ranked=False),
            _headline_block(f"{name}: mean of the AUCs within subjects [{confidence:.0%} interval]", measured, notes),
            _balanced_block(f"{name}: balanced accuracy (at .5, tuned on validation), macro-F1", measured, notes),
        ]
    intervals = [_INTERVALS]
    if len(measured):
        intervals.append(coverage_note(str(measured["protocol"].iloc[0]), int(measured["subjects"].iloc[0])))
    intervals.append(_P_VALUES)
    return Typeset(_caption(measured, simulated), tuple(blocks), (*notes, _ALWAYS_HIGH, " ".join(intervals)))


def _is_simulated(frame: pd.DataFrame) -> bool:
    return bool((frame["cohort"] == "simulated").any())


def _caption(measured: pd.DataFrame, simulated: bool) -> str:
    text = "Emotion recognition on DREAMER, percent. Accuracy, F1 of the class high and AUC are pooled over clips."
    if measured.empty:
        return text
    one = measured.iloc[0]
    cohort = "a SIMULATED cohort (planted effects, no recorded person)" if simulated else "DREAMER"
    text += (
        f" Measured rows: {cohort}, protocol {one['protocol']}, {_of(one['seeds'], 'seed')}, "
        f"{_of(one['clips'], 'test clip')} of {_of(one['subjects'], 'test subject')}."
    )
    best = measured[measured["attainable_percent"].notna()].drop_duplicates(["label", "metric"])
    if len(best):
        value = best.set_index(["metric", "label"])["attainable_percent"]
        pooled, own = (
            " / ".join(f"{value[metric, label]:.1f}" for label in LABELS) for metric in ("auc", "subject_auc")
        )
        text += f" Best attainable AUC (valence / arousal / dominance): {pooled} pooled, {own} per subject."
    return text


def _of(count: float, noun: str) -> str:
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"


def _printed_block(title: str, rows: pd.DataFrame, notes: list[str], *, ranked: bool) -> Block:
    columns = [(label, metric) for label in LABELS for metric in PRINTED_METRICS]
    value = rows.set_index(["title", "label", "metric"])["value_percent"]
    titles = list(dict.fromkeys(rows["title"]))
    cells = {
        column: _ranked([value[title, *column] for title in titles]) if ranked
        else [TableCell(_number(value[title, *column])) for title in titles]
        for column in columns
    }  # fmt: skip
    groups = tuple((label.capitalize(), tuple(HEADS[metric] for metric in PRINTED_METRICS)) for label in LABELS)
    made = [
        Row(each, _marks(rows, each, notes), tuple(cells[column][i] for column in columns))
        for i, each in enumerate(titles)
    ]
    return Block(title, groups, tuple(made))


def _headline_block(title: str, rows: pd.DataFrame, notes: list[str]) -> Block:
    mine = rows[rows["metric"] == "subject_auc"].set_index(["title", "label"])
    made = []
    for each in dict.fromkeys(rows["title"]):
        cells = []
        for label in (*LABELS, MEAN):
            value, low, high = (float(mine.loc[(each, label), f"{end}_percent"]) for end in ("value", "low", "high"))
            interval = f" [{low:.1f}, {high:.1f}]" if math.isfinite(low) else ""
            cells.append(TableCell(_number(value) + interval))
        p_value = float(mine.loc[(each, MEAN), "p_value"])
        made.append(Row(each, _marks(rows, each, notes), (*cells, TableCell(f"{p_value:.2g}"))))
    return Block(title, tuple((head, ("",)) for head in (*map(str.capitalize, (*LABELS, MEAN)), "p")), tuple(made))


def _balanced_block(title: str, rows: pd.DataFrame, notes: list[str]) -> Block:
    metrics = ("balanced_accuracy", "balanced_accuracy_tuned", "macro_f1")
    value = rows.set_index(["title", "label", "metric"])["value_percent"]
    made = [
        Row(each, _marks(rows, each, notes),
            tuple(TableCell(_number(value[each, label, metric])) for label in LABELS for metric in metrics))
        for each in dict.fromkeys(rows["title"])
    ]  # fmt: skip
    return Block(title, tuple((label.capitalize(), tuple(HEADS[m] for m in metrics)) for label in LABELS), tuple(made))


def _ranked(values: list[float]) -> list[TableCell]:
    """Cells with the best and the second best value marked; equal values share a rank."""
    order = sorted(set(values), reverse=True)
    rank = {order[0]: "best", **({order[1]: "second"} if len(order) > 1 else {})}
    return [TableCell(_number(value), rank.get(value, "")) for value in values]


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _marks(rows: pd.DataFrame, title: str, notes: list[str]) -> tuple[int, ...]:
    text = rows.loc[rows["title"] == title, "notes"].iloc[0]
    found = str(text).split(NOTE_SEPARATOR) if isinstance(text, str) and text else []
    notes.extend(note for note in found if note not in notes)
    return tuple(1 + notes.index(note) for note in found)


# ------------------------------------------------------------------------------------------------------ the forms


def as_markdown(table: Typeset) -> str:
    """Markdown: bold best, underlined second; one table a block."""
    look: dict[str, Callable[[str], str]] = {"best": "**{}**".format, "second": "<u>{}</u>".format, "": str}
    lines = ["# Table 1", "", table.caption, ""]
    for block in table.blocks:
        heads = [
            " ".join(part for part in (group, head) if part) for group, columns in block.groups for head in columns
        ]
        lines += [f"## {block.title}", "", "| " + " | ".join(["Method", *heads]) + " |"]
        lines.append("| :--- |" + " ---: |" * len(heads))
        for row in block.rows:
            title = row.title + (f"<sup>{','.join(map(str, row.notes))}</sup>" if row.notes else "")
            lines.append("| " + " | ".join([title, *(look[cell.rank](cell.text) for cell in row.cells)]) + " |")
        lines.append("")
    lines += [f"{i}. {note}" for i, note in enumerate(table.notes, 1)]
    return "\n".join(lines) + "\n"


def as_latex(table: Typeset) -> str:
    """LaTeX for `\\input`: needs the package booktabs alone."""
    look: dict[str, Callable[[str], str]] = {
        "best": r"\textbf{{{}}}".format,
        "second": r"\underline{{{}}}".format,
        "": str,
    }
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_tex(table.caption)}}}",
        r"\label{tab:dreamer}",
    ]
    for block in table.blocks:
        width = sum(len(columns) for _, columns in block.groups)
        lines += [rf"\begin{{tabular}}{{@{{}}l{'r' * width}@{{}}}}", r"\toprule"]
        lines += [rf"\multicolumn{{{width + 1}}}{{@{{}}l}}{{\textit{{{_tex(block.title)}}}}} \\", r"\midrule"]
        spans, rules, at = [], [], 2
        for group, columns in block.groups:
            spans.append(rf"\multicolumn{{{len(columns)}}}{{c}}{{{_tex(group)}}}" if len(columns) > 1 else _tex(group))
            rules.append(rf"\cmidrule(lr){{{at}-{at + len(columns) - 1}}}")
            at += len(columns)
        lines.append(" & ".join(["Method", *spans]) + r" \\")
        if width > len(block.groups):
            lines += ["".join(rules), " & ".join(["", *(_tex(h) for _, hs in block.groups for h in hs)]) + r" \\"]
        lines.append(r"\midrule")
        for row in block.rows:
            title = _tex(row.title) + (rf"\textsuperscript{{{','.join(map(str, row.notes))}}}" if row.notes else "")
            lines.append(" & ".join([title, *(look[cell.rank](_tex(cell.text)) for cell in row.cells)]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", "", r"\medskip", ""]
    lines += [r"\begin{minipage}{\linewidth}\scriptsize"]
    lines += [rf"\textsuperscript{{{i}}}\,{_tex(note)}\par" for i, note in enumerate(table.notes, 1)]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def as_html(table: Typeset) -> str:
    """HTML without styles of its own; each block scrolls sideways where the screen is narrow."""
    look: dict[str, Callable[[str], str]] = {"best": "<b>{}</b>".format, "second": "<u>{}</u>".format, "": str}
    parts = [f"<p>{html.escape(table.caption)}</p>"]
    for block in table.blocks:
        one_line = all(columns == ("",) for _, columns in block.groups)
        span = "" if one_line else ' rowspan="2"'
        parts.append(f'<h4>{html.escape(block.title)}</h4><div class="wide"><table class="table1"><thead><tr>')
        parts.append(f"<th{span}>Method</th>")
        parts += [f'<th colspan="{len(columns)}">{html.escape(group)}</th>' for group, columns in block.groups]
        heads = "" if one_line else "<tr>" + "".join(f"<th>{html.escape(h)}</th>" for _, hs in block.groups for h in hs)
        parts.append(f"</tr>{heads and heads + '</tr>'}</thead><tbody>")
        for row in block.rows:
            marks = f"<sup>{','.join(map(str, row.notes))}</sup>" if row.notes else ""
            cells = "".join(f"<td>{look[cell.rank](html.escape(cell.text))}</td>" for cell in row.cells)
            parts.append(f"<tr><th>{html.escape(row.title)}{marks}</th>{cells}</tr>")
        parts.append("</tbody></table></div>")
    parts.append("<ol>" + "".join(f"<li>{html.escape(note)}</li>" for note in table.notes) + "</ol>")
    return "".join(parts)


def _tex(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash{}"), ("&", r"\&"), ("%", r"\%"), ("#", r"\#"), ("_", r"\_"),
                           ("–", "--"), ("~", r"\textasciitilde{}")):  # fmt: skip
        text = text.replace(plain, escaped)
    return text
