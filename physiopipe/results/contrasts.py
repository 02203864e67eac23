"""Tables of rows that are each compared with another row: the fusions, and the ablations. Data first, text from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from physiopipe.results.metrics import HEADLINE, LABELS, attainable_share
from physiopipe.results.statistics import MEAN, Comparison, Estimates
from physiopipe.results.table1 import attainable_of

COLUMNS = (
    "cohort", "protocol", "group", "name", "title", "note",
    *(f"{label}_percent" for label in LABELS), "mean_percent", "low_percent", "high_percent", "p_value",
    "attainable_share_percent", "versus", "difference_percent", "difference_low", "difference_high", "difference_p",
    "difference_p_holm",
)  # fmt: skip
_DECIMALS = 4
_WORDS = (
    "AUC within subjects in percent: each label, and the mean of the labels with its {confidence:.0%} interval "
    "(bootstrap over subjects) and p (labels permuted within subject, one-sided). Share: of the attainable excess over "
    "chance, (AUC − 50) / (attainable − 50); only a simulated cohort has one. Difference: from the row named, points "
    "of the mean, paired over subjects, p by sign flips with Holm's correction over this table."
)


@dataclass(frozen=True)
class Contrast:
    """One row: who it is, what was found, and the row it is compared with (empty: none)."""

    name: str
    title: str
    group: str
    note: str
    versus: str
    estimates: Estimates
    p_value: Mapping[str, float]


def contrast_frame(
    rows: Sequence[Contrast],
    comparisons: Sequence[Comparison],
    attainable: Mapping[str, tuple[float, float]] | None,
    cohort: str,
    protocol: str,
) -> pd.DataFrame:
    """The table as data, COLUMNS, a row each in the order given; AUCs and shares in percent."""
    compared = {(one.first, one.second): one for one in comparisons}
    best = attainable_of(attainable, MEAN, HEADLINE)
    content = []
    for row in rows:
        found, one = row.estimates, compared.get((row.name, row.versus))
        value = found.value[MEAN][HEADLINE]
        content.append(
            {
                "cohort": cohort, "protocol": protocol, "group": row.group, "name": row.name, "title": row.title,
                "note": row.note,
                **{f"{label}_percent": _percent(found.value[label][HEADLINE]) for label in LABELS},
                "mean_percent": _percent(value), "low_percent": _percent(found.low[MEAN][HEADLINE]),
                "high_percent": _percent(found.high[MEAN][HEADLINE]), "p_value": round(row.p_value[MEAN], 6),
                "attainable_share_percent": _percent(attainable_share(value, best)) if best > 0.5 else math.nan,
                "versus": row.versus if one else "",
                "difference_percent": _percent(one.difference) if one else math.nan,
                "difference_low": _percent(one.low) if one else math.nan,
                "difference_high": _percent(one.high) if one else math.nan,
                "difference_p": round(one.p_value, 6) if one else math.nan,
                "difference_p_holm": round(one.p_holm, 6) if one else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(content, columns=list(COLUMNS))


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as a reader sees it: text in every cell."""
    title_of = dict(zip(frame["name"], frame["title"], strict=True))
    columns: dict[str, list[str]] = {"": [], **{label.capitalize(): [] for label in LABELS}, "Mean": [], "p": []}
    share = frame["attainable_share_percent"].notna().any()
    columns |= {"Share": []} if share else {}
    columns |= {"Difference": [], "from": [], "p, Holm": []}
    for row in frame.to_dict("records"):
        columns[""].append(str(row["title"]) + ("*" if _text(row["note"]) else ""))
        for label in LABELS:
            columns[label.capitalize()].append(_number(row[f"{label}_percent"]))
        columns["Mean"].append(_with_interval(row["mean_percent"], row["low_percent"], row["high_percent"], ""))
        columns["p"].append(f"{row['p_value']:.2g}")
        if share:
            columns["Share"].append(f"{row['attainable_share_percent']:.0f} %")
        versus = _text(row["versus"])
        difference = _with_interval(row["difference_percent"], row["difference_low"], row["difference_high"], "+")
        columns["Difference"].append(difference if versus else "")
        columns["from"].append(title_of.get(versus, versus))
        columns["p, Holm"].append(f"{row['difference_p_holm']:.2g}" if versus else "")
    return pd.DataFrame(columns)


def notes_of(frame: pd.DataFrame) -> list[str]:
    """Notes on single rows, with the row's title in front."""
    pairs = zip(frame["title"], frame["note"].map(_text), strict=True)
    return [f"{title}: {note}" for title, note in pairs if note]


def caption(frame: pd.DataFrame, what: str, confidence: float) -> str:
    """What the table is, on what cohort, and how its numbers are made."""
    if frame.empty:
        return f"{what} None was run."
    simulated = (frame["cohort"] == "simulated").any()
    cohort = "a SIMULATED cohort (planted effects, no recorded person)" if simulated else "DREAMER"
    protocol = frame["protocol"].iloc[0]
    return f"{what} On {cohort}, protocol {protocol}. {_WORDS.format(confidence=confidence)}"


def as_markdown(frame: pd.DataFrame, title: str, what: str, confidence: float) -> str:
    """The table as Markdown, caption above and notes below."""
    lines = [f"# {title}", "", caption(frame, what, confidence), ""]
    if frame.empty:
        return "\n".join(lines)
    table = shown(frame)
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("| :--- |" + " ---: |" * (len(table.columns) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in table.itertuples(index=False, name=None)]
    lines += ["", *(f"\\* {note}\n" for note in notes_of(frame))]
    return "\n".join(lines).rstrip() + "\n"


def _with_interval(value: float, low: float, high: float, sign: str) -> str:
    if not math.isfinite(value):
        return "–"
    interval = f" [{low:{sign}.1f}, {high:{sign}.1f}]" if math.isfinite(low) else ""
    return f"{value:{sign}.1f}{interval}"


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "–"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _percent(share: float) -> float:
    return round(100 * share, _DECIMALS)
