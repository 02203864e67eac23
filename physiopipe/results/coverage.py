"""How far the intervals of the tables can be trusted: their true coverage without any effect, as it was measured.

The numbers are those of coverage.csv, which `benchmarks/interval_coverage.py --write` writes; nothing else has them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from physiopipe.results.metrics import Headline

COVERAGE = Path(__file__).with_name("coverage.csv")
COLUMNS = (
    "protocol", "subjects", "clips", "case", "quantity", "cohorts", "coverage", "standard_error", "mean_value",
)  # fmt: skip
CASES = ("own", "clip", "prior")
QUANTITIES: dict[str, tuple[Headline, Literal["mean", "each"]]] = {  # the metric, and of which labels it is asked
    "per-subject AUC, mean of labels": ("subject_auc", "mean"),
    "per-subject AUC, a label": ("subject_auc", "each"),
    "pooled AUC, a label": ("auc", "each"),
}
P_QUANTITY = "p of .05 or more, mean of labels"  # of the per-subject AUC; nominally 95 % of cohorts
_CASES_ARE = {
    "own": "subjects alone differ",
    "clip": "a clip moves all subjects' scores alike",
    "prior": "the training subjects' share alone",
}


def coverage_note(protocol: str, subjects: int, headline: Headline, tasks: Sequence[str]) -> str:
    """A sentence or two on what 95 % intervals over this many test subjects cover when there is nothing to find.

    Of the cohorts that were simulated (of three tasks), that of the protocol with the number of test subjects nearest
    to `subjects`; of a cohort of one task, what holds for one.
    """
    frame = pd.read_csv(COVERAGE)
    of_protocol = frame[frame["protocol"] == protocol]
    nearest = min(of_protocol["subjects"].unique(), key=lambda number: abs(number - subjects))
    mine = of_protocol[of_protocol["subjects"] == nearest]
    share = mine.set_index(["case", "quantity"])["coverage"]
    mean, one, pooled = QUANTITIES
    if len(tasks) == 1:
        shown = {pooled: "pooled AUC"} if headline == "auc" else {one: "per-subject AUC", pooled: "pooled AUC"}
    else:
        shown = {mean: "per-subject AUC, mean of the tasks", one: "of one task", pooled: "pooled AUC"}
    (first, words), *others = shown.items()
    own, clip = (
        {quantity: f"{100 * share[case, quantity]:.0f} %" for quantity in QUANTITIES} for case in ("own", "clip")
    )
    more = "; " + ", ".join(f"{name} {own[quantity]}" for quantity, name in others) if others else ""
    of_clips = " (" + ", ".join(clip[quantity] for quantity, _ in others) + ")" if others else ""
    text = (
        f"True coverage without any effect: in {mine['cohorts'].iloc[0]:,} simulations ({nearest} test subjects "
        f"of {mine['clips'].iloc[0]} clips) 95 % intervals held 50 in {own[first]} ({words}{more}); where a clip moves "
        f"the scores of all subjects alike, in {clip[first]}{of_clips}, so that an interval without 50 is no proof of "
        "an effect."
    )
    if len(tasks) > 1 and headline == "subject_auc":
        alarms = [f"{100 * (1 - share[case, P_QUANTITY]):.0f} %" for case in ("own", "clip")]
        permuted = mine.loc[mine["quantity"] == P_QUANTITY, "cohorts"].iloc[0]
        text += f" p was under .05 in {alarms[0]} and, with such clips, {alarms[1]} of {permuted:,} simulations."
    return f"{text} Measured by benchmarks/interval_coverage.py."


def as_markdown(frame: pd.DataFrame) -> str:
    """The measured coverage as a table, a row each size and case."""
    lines = [
        "| test subjects × clips | scores: | " + " | ".join((*QUANTITIES, P_QUANTITY)) + " |",
        "| --- | --- |" + " ---: |" * (len(QUANTITIES) + 1),
    ]
    for key, rows in frame.groupby(["protocol", "subjects", "clips", "case"], sort=False):
        protocol, subjects, clips, case = key
        found = rows.set_index("quantity").to_dict()
        cells = [
            f"{100 * found['coverage'][name]:.1f} % (mean value {found['mean_value'][name]:.3f})" for name in QUANTITIES
        ]
        cells.append(f"{100 * found['coverage'][P_QUANTITY]:.1f} %")
        lines.append(f"| {subjects} × {clips}, {protocol} | {_CASES_ARE[str(case)]} | {' | '.join(cells)} |")
    return "\n".join(lines)
