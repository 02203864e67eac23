"""The picture of accuracy against cost: no label touches another, a point or an interval."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import make_study
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from physiopipe.report.cost_figure import cost_plot
from physiopipe.report.critical_difference import critical_difference_plot, has_ranks, p_matrix
from physiopipe.report.style import styled
from physiopipe.results.study import REFERENCE

TITLES = (
    "Always high", "Chance", "Handcrafted", "Ours", "TF-C", "SimMTM", "OneFitsAll", "Time-LLM", "MiniRocket",
    "MLF-CapsNet", "EEGConformer", "Graph network with channel selection (stand-in)", "Brant-X-style alignment",
)  # fmt: skip


def rows(seed: int, crowded: bool) -> tuple[pd.DataFrame, dict[str, dict[str, dict[str, float]]]]:
    rng = np.random.default_rng(seed)
    metrics, costs = {}, []
    for title in TITLES:
        name = REFERENCE if title == "Ours" else title
        auc = float(rng.uniform(0.6, 0.65) if crowded else rng.uniform(0.45, 0.9))
        metrics[name] = {"mean": {"subject_auc": auc, "subject_auc_low": auc - 0.06, "subject_auc_high": auc + 0.06}}
        seconds = float(rng.uniform(20, 60) if crowded else 10 ** rng.uniform(-4, 2))
        costs.append({"method": name, "title": title, "fit_s": seconds, "clock": "CPU"})
    return pd.DataFrame(costs), metrics


def boxes(figure: Figure) -> dict[str, Bbox]:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return {text.get_text(): text.get_window_extent(renderer) for text in figure.axes[0].texts}


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_do_not_touch(seed: int, crowded: bool) -> None:
    costs, metrics = rows(seed, crowded)
    with styled():
        figure = cost_plot(costs, metrics, make_study())
    found = boxes(figure)
    assert set(found) == set(TITLES)
    assert not [(one, other) for one, other in combinations(found, 2) if found[one].overlaps(found[other])]
    axes = figure.axes[0]
    bars = [line.get_window_extent() for line in axes.lines if line.get_linewidth() == 1.2]
    assert len(bars) == len(TITLES)
    assert not [title for title, box in found.items() for bar in bars if box.overlaps(bar.padded(0.5))]
    inside = axes.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in found.values())


def test_bars_join_the_rows_that_no_test_tells_apart() -> None:
    names = ["A", "B", "C", "D"]
    interval = {"value_percent": 60.0, "low_percent": 50.0, "high_percent": 70.0}
    ranks = pd.DataFrame([{"title": name, "mean_rank": float(i + 1), **interval} for i, name in enumerate(names)])
    p_holm = {("A", "B"): 0.3, ("A", "C"): 0.04, ("A", "D"): 0.001, ("B", "C"): 0.2, ("B", "D"): 0.01, ("C", "D"): 0.05}
    pairs = pd.DataFrame([{"first_title": a, "second_title": b, "p_holm": p} for (a, b), p in p_holm.items()])
    matrix = p_matrix(ranks, pairs)
    assert (matrix == matrix.T).all().all()
    with styled():
        axes = critical_difference_plot(ranks, pairs).axes[0]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 3]
    assert sorted(tuple(sorted(bar)) for bar in bars) == [(1, 2), (2, 3), (3, 4)]
    assert {text.get_text() for text in axes.texts} >= {"A: 60.0 [50.0, 70.0] (1.00)", "(4.00) D: 60.0 [50.0, 70.0]"}
    assert has_ranks(ranks)
    assert not has_ranks(ranks.head(2))
