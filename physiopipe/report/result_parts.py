"""The report's words and tables on results: the first screen, Table 1, comparisons, contrasts."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from physiopipe.report.html_table import as_table
from physiopipe.report.parts import Part, paragraph
from physiopipe.results.contrasts_text import caption, notes_of, shown, with_interval
from physiopipe.results.forms import as_html
from physiopipe.results.gap_text import cells_shown, gap_caption, shares_shown
from physiopipe.results.intervals import MEAN
from physiopipe.results.layout import Typeset
from physiopipe.results.oracle import ORACLE
from physiopipe.results.study import REFERENCE, Study
from physiopipe.results.summary import headline_rows, pretraining_gain

_SIGNIFICANT = 0.05


def sentence(table1: pd.DataFrame, ablations: pd.DataFrame, study: Study) -> str:
    """The result in one sentence: the reference with its interval, the best of the others, the best without signals,
    what pretraining gains.
    """
    rows = headline_rows(table1, study)
    said = []
    reference = rows[rows["method"] == REFERENCE]
    others = rows[(rows["method"] != REFERENCE) & (rows["inputs"].fillna("") != "")]
    without = rows[rows["inputs"].fillna("") == ""]
    for part in (reference, _best(others), _best(without)):
        for _, row in part.iterrows():
            silent = " (reads no signal)" if not isinstance(row["inputs"], str) or not row["inputs"] else ""
            words = with_interval(row["value_percent"], row["low_percent"], row["high_percent"])
            said.append(f"{row['title']}{silent} {words}")
    gain = pretraining_gain(ablations)
    if gain is not None:
        value, low, high, p_value = gain
        verdict = f"p = {p_value:.2g}" if p_value < _SIGNIFICANT else f"not significant, p = {p_value:.2g}"
        said.append(f"pretraining {with_interval(value, low, high, '+')} ({verdict})")
    return "; ".join(said) + "." if said else "Nothing was measured."


def what_is_counted(study: Study) -> str:
    """What the numbers of the first screen are."""
    of = (
        f", mean of {len(study.tasks)} tasks ({', '.join(study.tasks)})"
        if len(study.tasks) > 1
        else f", {study.tasks[0]}"
    )
    levels = sorted(set(study.thresholds.values()))
    high = f" High is a value of {levels[0]:g} or more." if len(levels) == 1 else ""
    return (
        f"{study.headline_words}{of}, in percent, with {study.settings.confidence:.0%} intervals over "
        f"subjects; 50 is chance.{high}"
    )


def summary_table(table1: pd.DataFrame, metrics: Mapping[str, Any], study: Study) -> str:
    """Rows of Table 1 with the headline AUC; the best row and the reference are marked."""
    rows = headline_rows(table1, study)
    best = float(rows["value_percent"].max()) if len(rows) else math.nan
    content, classes = [], []
    for _, row in rows.iterrows():
        is_best = float(row["value_percent"]) == best
        cells = {
            "Method": str(row["title"]) + " (best)" * is_best,
            f"AUC [{study.settings.confidence:.0%} interval]": with_interval(
                row["value_percent"], row["low_percent"], row["high_percent"]
            ),
            "p": f"{row['p_value']:.2g}",
        }
        share = metrics[row["method"]][MEAN].get("oracle_share")
        if share is not None:
            cells["Share"] = f"{share:.0%}"
        content.append(cells)
        classes.append(" ".join(name for name, on in (("best", is_best), ("ours", row["method"] == REFERENCE)) if on))
    table = as_table(pd.DataFrame(content), classes)
    if content and "Share" in content[0]:
        oracle = metrics[ORACLE][MEAN][study.headline]
        table += paragraph(
            f"Share: the AUC's excess over chance, as a share of the oracle's ({oracle:.1%}), which knows the levels "
            "that these very clips were simulated from. Such a cohort tells whether a row finds what was planted, not "
            "how rows rank on people."
        )
    return table


def table1_parts(table: Typeset) -> list[Part]:
    """Table 1: measured rows open, the paper's rows and the notes folded."""
    headline_first = sorted(table.measured, key=lambda block: "interval]" not in block.title)
    shown = max(1, sum("interval]" in block.title for block in headline_first))
    measured = paragraph(table.caption) + "".join(as_html(block) for block in headline_first[:shown])
    rest = "".join(as_html(block) for block in headline_first[shown:])
    parts = [Part("Table 1", measured)]
    if rest:
        parts.append(Part("Table 1: accuracy, F1, pooled AUC, balanced accuracy", rest, folded=True))
    if table.reported is not None:
        parts.append(Part(f"Table 1: {table.reported.title}", as_html(table.reported), folded=True))
    if table.cost is not None:
        parts.insert(1, Part("Table 1: cost", as_html(table.cost)))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return [*parts, Part("Notes to Table 1", f"<ol>{notes}</ol>", folded=True)]


def comparisons(rows: pd.DataFrame, study: Study) -> str:
    """Paired differences between the reference and the other rows."""
    content = pd.DataFrame(
        {
            "Difference": [f"{a} − {b}" for a, b in zip(rows["first_title"], rows["second_title"], strict=True)],
            "Points": rows["difference_percent"].map("{:+.1f}".format),
            f"{study.settings.confidence:.0%} interval": [
                f"{low:+.1f} to {high:+.1f}"
                for low, high in zip(rows["low_percent"], rows["high_percent"], strict=True)
            ],
            "p": rows["p_value"].map("{:.2g}".format),
            "p, Holm": rows["p_holm"].map("{:.2g}".format),
        }
    )
    of = ", mean of the tasks" if len(study.tasks) > 1 else ""
    words = (
        f"{study.headline_words}{of}, percentage points. Paired over subjects: signs of the subjects' "
        "differences flipped, two-sided; Holm's correction for the number of comparisons. With n subjects no p can be "
        "under 2 / 2<sup>n</sup>."
    )
    return f"<p>{words}</p>{as_table(content)}"


def without_beats(rows: pd.DataFrame, clips: Sequence[tuple[str, int, int, int]]) -> str:
    """The headline of all people beside that without those of whom a clip's ECG shows no heartbeat."""
    named = ", ".join(f"{subject} clip {clip} ({flagged} of {of} windows)" for subject, clip, flagged, of in clips)
    words = paragraph(
        f"ECG without a heartbeat counts as absent: {named or 'no clip has any'}."
        + (" Where such clips are of one class, the absence itself tells the label." if clips else "")
    )
    if rows.empty:
        return words
    people = rows.iloc[0]
    columns = {
        "Method": rows["title"],
        f"All {people['subjects']} people": _intervals(rows, "{}_percent"),
        f"Without these: {people['subjects_without']}": _intervals(rows, "{}_without_percent"),
    }
    return words + as_table(pd.DataFrame(columns))


def _intervals(rows: pd.DataFrame, name: str) -> list[str]:
    ends = (rows[name.format(end)] for end in ("value", "low", "high"))
    return [with_interval(*row) for row in zip(*ends, strict=True)]


def contrasts(frame: pd.DataFrame, what: str, study: Study, *, explained: bool = True) -> str:
    """A table of rows that are each compared with another, with its notes and, unless a table above has it, how its
    numbers are made.
    """
    words = paragraph(caption(frame, what, study) if explained or frame.empty else f"{what} Columns as above.")
    if frame.empty:
        return words
    notes = "".join(paragraph(f"* {note}") for note in notes_of(frame))
    return words + as_table(shown(frame, study.tasks)) + notes


def gap(frame: pd.DataFrame, study: Study) -> str:
    """Whose the gap between the reference and the handcrafted row is, and the mixtures behind it."""
    return paragraph(gap_caption(study)) + as_table(shares_shown(frame)) + as_table(cells_shown(frame))


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("value_percent", ascending=False, kind="stable").head(1)
