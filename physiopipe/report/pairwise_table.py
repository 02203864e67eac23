"""All rows against each other as one compact table: differences above the diagonal, p below it."""

import html
import math

import pandas as pd

from physiopipe.report.critical_difference import p_matrix
from physiopipe.results.contrasts_text import with_interval
from physiopipe.results.study import Study

_LEVEL = 0.05


def pairwise_matrix(ranks: pd.DataFrame, pairs: pd.DataFrame, study: Study) -> str:
    """Rows in the order of their mean rank, numbered; each with its AUC and interval.

    Args:
        ranks, pairs: ranks.csv and pairwise.csv.
    """
    ordered = ranks.sort_values(["mean_rank", "value_percent"], ascending=[True, False], kind="stable")
    titles = list(ordered["title"])
    p_of, difference = p_matrix(ranks, pairs), {}
    for one in pairs.to_dict("records"):
        difference[one["first_title"], one["second_title"]] = float(one["difference_percent"])
        difference[one["second_title"], one["first_title"]] = -float(one["difference_percent"])
    heads = ["", "Rank", f"AUC [{study.settings.confidence:.0%} interval]", *map(str, range(1, len(titles) + 1))]
    parts = [
        '<div class="wide"><table class="table1"><thead><tr>',
        *(f"<th>{html.escape(head)}</th>" for head in heads),
    ]
    parts.append("</tr></thead><tbody>")
    for place, row in enumerate(ordered.to_dict("records")):
        auc = with_interval(row["value_percent"], row["low_percent"], row["high_percent"])
        rank = "–" if math.isnan(row["mean_rank"]) else f"{row['mean_rank']:.2f}"
        cells = [rank, html.escape(auc)]
        for column, other in enumerate(titles):
            p_value = float(p_of.loc[row["title"], other])
            text = f"{difference[row['title'], other]:+.1f}" if column > place else f"{p_value:.2g}"
            text = "" if column == place else text
            cells.append(f"<b>{text}</b>" if text and p_value < _LEVEL else text)
        body = "".join(f"<td>{cell}</td>" for cell in cells)
        parts.append(f"<tr><th>{place + 1} {html.escape(str(row['title']))}</th>{body}</tr>")
    parts.append("</tbody></table></div>")
    return f"<p>{_words(ordered, study)}</p>{''.join(parts)}"


def _words(ranks: pd.DataFrame, study: Study) -> str:
    first = ranks.iloc[0]
    of = ", mean of the tasks," if len(study.tasks) > 1 else ""
    words = (
        f"Above the diagonal: AUC{of} of the row minus that of the column, points. Below it: p of the same two, signs "
        "of the people's differences flipped, two-sided, with Holm's correction over all pairs; bold: under .05. "
        "Intervals of the differences, and Wilcoxon's signed ranks, are in pairwise.csv. Rank: mean over people and "
        "tasks, 1 the best, by what a person adds to the AUC, seeds averaged"
    )
    if study.headline == "auc":
        words += (
            " (how far apart their clips of the two classes stand among those of all people; ranks by plain "
            "differences of probability, which favour rows that are sure of themselves, are in ranks.csv)"
        )
    if pd.notna(first["friedman_p"]):
        words += (
            f". Friedman's test of all rows over {int(first['people'])} people: χ² = {first['friedman_chi2']:.1f}, "
            f"p = {first['friedman_p']:.2g}"
        )
    return words + "."
