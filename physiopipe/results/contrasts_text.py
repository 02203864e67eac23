"""Tables of contrasts as text: what a reader sees of fusions and ablations, in Markdown and for the report."""

import math
from collections.abc import Sequence

import pandas as pd

from physiopipe.results.study import Study

FUSIONS_ARE = (
    "Ways to fuse the two encoders, with the same encoders, training and at most as many trainable parameters as "
    "Ours (concatenation); one modality alone beside them."
)
ABLATIONS_ARE = "Ours with one thing changed, and what a leaky split would have claimed."


def shown(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """The table as a reader sees it: text in every cell. One task has no column beside its own mean."""
    title_of = dict(zip(frame["name"], frame["title"], strict=True))
    heads = {task: task.capitalize() for task in tasks} if len(tasks) > 1 else {}
    mean = "Mean" if heads else "AUC"
    columns: dict[str, list[str]] = {"": [], **{head: [] for head in heads.values()}, mean: [], "p": []}
    share = frame["oracle_share_percent"].notna().any()
    columns |= {"Share": []} if share else {}
    columns |= {"Difference": [], "from": [], "p, Holm": []}
    for row in frame.to_dict("records"):
        columns[""].append(str(row["title"]) + ("*" if _text(row["note"]) else ""))
        for task, head in heads.items():
            columns[head].append(_number(row[f"{task}_percent"]))
        columns[mean].append(with_interval(row["mean_percent"], row["low_percent"], row["high_percent"]))
        columns["p"].append(f"{row['p_value']:.2g}")
        if share:
            columns["Share"].append(f"{row['oracle_share_percent']:.0f} %")
        versus = _text(row["versus"])
        difference = with_interval(row["difference_percent"], row["difference_low"], row["difference_high"], "+")
        columns["Difference"].append(difference if versus else "")
        columns["from"].append(title_of.get(versus, versus))
        columns["p, Holm"].append(f"{row['difference_p_holm']:.2g}" if versus else "")
    return pd.DataFrame(columns)


def notes_of(frame: pd.DataFrame) -> list[str]:
    """Notes on single rows, with the row's title in front."""
    pairs = zip(frame["title"], frame["note"].map(_text), strict=True)
    return [f"{title}: {note}" for title, note in pairs if note]


def caption(frame: pd.DataFrame, what: str, study: Study) -> str:
    """What the table is, on what cohort, and how its numbers are made."""
    if frame.empty:
        return f"{what} None was run."
    several = len(study.tasks) > 1
    words = f"{what} On {study.where}, protocol {study.settings.protocol}. {study.headline_words} in percent"
    words += ": each task, and the mean of the tasks" if several else ""
    words += f" with its {study.settings.confidence:.0%} interval (bootstrap over subjects) and p (labels permuted "
    words += "within subject, one-sided). "
    if frame["oracle_share_percent"].notna().any():
        words += (
            "Share: AUC − 50 over that of the oracle, which knows the levels that these clips were simulated from. "
        )
    of = "the mean" if several else "the AUC"
    words += f"Difference: from the row named, points of {of}, paired over subjects, p by sign flips with Holm's "
    if frame["name"].isin(study.planned).any():
        return words + (
            "correction: planned comparisons among themselves, all others among the others. A comparison is planned "
            "for data that nobody had looked at when it was named; docs/statistics.md says of which that is true."
        )
    return words + "correction over this table."


def as_markdown(frame: pd.DataFrame, title: str, what: str, study: Study) -> str:
    """The table as Markdown, caption above and notes below."""
    lines = [f"# {title}", "", caption(frame, what, study), ""]
    if frame.empty:
        return "\n".join(lines)
    table = shown(frame, study.tasks)
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("| :--- |" + "".join(" :--- |" if name == "from" else " ---: |" for name in table.columns[1:]))
    lines += ["| " + " | ".join(row) + " |" for row in table.itertuples(index=False, name=None)]
    lines += ["", *(f"\\* {note}\n" for note in notes_of(frame))]
    return "\n".join([*lines, *study.caveats]).rstrip() + "\n"


def share_of_the_oracle(frame: pd.DataFrame, reference: str, untrained: str) -> list[str]:
    """Lines on the share of the oracle's excess that the reference reaches, with and without its pretraining."""
    shares = frame.set_index("name")["oracle_share_percent"].dropna()
    titles = frame.set_index("name")["title"]
    of = "of the oracle's excess over chance"
    return [f"{titles[name]}: {shares[name]:.0f} % {of}" for name in (reference, untrained) if name in shares.index]


def with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    """A number with its interval as text, one decimal."""
    if not math.isfinite(value):
        return "–"
    interval = f" [{low:{sign}.1f}, {high:{sign}.1f}]" if math.isfinite(low) else ""
    return f"{value:{sign}.1f}{interval}"


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "–"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
