"""The decomposition of the gap as text, in Markdown and for the report."""

from typing import Any

import pandas as pd

from physiopipe.experiments.gap_cells import CELLS, FACTORS
from physiopipe.results.contrasts_text import with_interval
from physiopipe.results.gap import GAP_IS
from physiopipe.results.study import Study

_ENDS = {CELLS[frozenset()]: "Ours", CELLS[frozenset(each.name for each in FACTORS)]: "Handcrafted"}


def gap_caption(study: Study) -> str:
    """What the tables are, on what cohort, and how their numbers are made."""
    return (
        f"{GAP_IS} On {study.where}, protocol {study.settings.protocol}; {study.headline_words} in percent with "
        f"{study.settings.confidence:.0%} intervals (bootstrap over subjects), each of one number alone. First: it "
        "alone is changed in Ours. Last: it is changed after the three others."
    )


def shares_shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The parts of the gap as a reader sees them, and the gap last."""
    factors, gap = frame[frame["kind"] == "factor"], frame[frame["kind"] == "gap"]
    rows = [
        {
            "Part of the gap": row["title"], "Points": _with_sign(row),
            "First": _signed(row["first_percent"]), "Last": _signed(row["last_percent"]),
        }
        for row in factors.to_dict("records")
    ]  # fmt: skip
    whole = [
        {"Part of the gap": row["title"], "Points": _with_sign(row), "First": "", "Last": ""}
        for row in gap.to_dict("records")
    ]
    return pd.DataFrame(rows + whole)


def cells_shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The AUC of every mixture."""
    cells = frame[frame["kind"] == "cell"].to_dict("records")
    return pd.DataFrame(
        {
            "Read and fitted": [f"{row['title']}{_end(str(row['name']))}" for row in cells],
            "AUC": [with_interval(row["value_percent"], row["low_percent"], row["high_percent"]) for row in cells],
        }
    )


def gap_markdown(frame: pd.DataFrame, study: Study) -> str:
    """Both tables as Markdown, caption above."""
    if frame.empty:
        return f"# The gap\n\n{GAP_IS} It was not run.\n"
    lines = ["# The gap", "", gap_caption(study), ""]
    for table in (shares_shown(frame), cells_shown(frame)):
        lines.append("| " + " | ".join(table.columns) + " |")
        lines.append("| :--- |" + " ---: |" * (len(table.columns) - 1))
        lines += ["| " + " | ".join(row) + " |" for row in table.itertuples(index=False, name=None)]
        lines.append("")
    return "\n".join([*lines, *study.caveats]).rstrip() + "\n"


def _with_sign(row: dict[Any, Any]) -> str:
    return with_interval(row["value_percent"], row["low_percent"], row["high_percent"], "+")


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _end(name: str) -> str:
    return f" ({_ENDS[name]})" if name in _ENDS else ""
