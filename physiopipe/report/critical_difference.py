"""The critical-difference picture: mean ranks on a line, and a bar over the rows that no test tells apart.

Drawn by scikit-posthocs, which takes any matrix of p-values: here those of the paired tests over people that the other
tables print, with Holm's correction (Demšar, JMLR 7:1, 2006, for the picture; Benavoli et al., JMLR 17(5), 2016, why
not by mean ranks, whose test of two rows depends on which others are there).
"""

import pandas as pd
from matplotlib.figure import Figure

from physiopipe.results.contrasts_text import with_interval
from physiopipe.results.pairwise import FEWEST

_LEVEL = 0.05


def has_ranks(ranks: pd.DataFrame) -> bool:
    """Whether there is anything to draw: enough rows that have ranks."""
    return len(ranks) >= FEWEST and bool(ranks["mean_rank"].notna().all())


def critical_difference_plot(ranks: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Best on the left, each with its AUC and interval; bars join rows whose differences all have p of .05 or more
    after Holm's correction.

    Args:
        ranks, pairs: ranks.csv and pairwise.csv.
    """
    from scikit_posthocs import critical_difference_diagram

    rows = ranks.to_dict("records")
    labels = [
        f"{row['title']}: {with_interval(row['value_percent'], row['low_percent'], row['high_percent'])}"
        for row in rows
    ]
    place = dict(enumerate(ranks["mean_rank"]))  # numbers: the library keeps them in sets, whose order names would vary
    figure = Figure(figsize=(11, 1.6 + 0.24 * len(place)), layout="constrained")
    axes = figure.subplots()
    axes.spines["top"].set_visible(True)  # the line of ranks
    p_values = p_matrix(ranks, pairs).set_axis(list(place), axis=0).set_axis(list(place), axis=1)
    critical_difference_diagram(
        place, p_values, alpha=_LEVEL, ax=axes, label_fmt_left="left {label}", label_fmt_right="right {label}",
        label_props={"fontsize": 9}, elbow_props={"linewidth": 0.8}, marker_props={"s": 18},
        color_palette=dict.fromkeys(place, "#000000"),
        crossbar_props={"color": "#000000", "linewidth": 3, "marker": "o", "markersize": 4}, text_h_margin=0.03,
    )  # fmt: skip
    for text in axes.texts:
        side, _, number = text.get_text().partition(" ")
        name, rank = labels[int(number)], f"({place[int(number)]:.2f})"
        text.set_text(f"{name} {rank}" if side == "left" else f"{rank} {name}")
    axes.set_xlabel("mean rank, 1 the best")
    axes.xaxis.set_label_position("top")
    return figure


def p_matrix(ranks: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """p after Holm's correction of every two rows, by title; 1 of each with itself."""
    titles = list(ranks["title"])
    matrix = pd.DataFrame(1.0, index=titles, columns=titles)
    for one in pairs.to_dict("records"):
        first, second = one["first_title"], one["second_title"]
        matrix.loc[first, second] = matrix.loc[second, first] = float(one["p_holm"])
    return matrix
