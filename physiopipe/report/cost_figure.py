"""Accuracy against cost: each row's AUC with its interval over the seconds that a fold took."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

from physiopipe.report.style import COLOURS
from physiopipe.results.costs import CPU_CLOCK
from physiopipe.results.intervals import MEAN
from physiopipe.results.metrics import F64, HEADLINE_WORDS
from physiopipe.results.study import REFERENCE, Study

CHANCE = 0.5
LEAST_S = 0.001  # on a log axis nothing stands at 0
_GAP = 3.0  # points between a label and all else
_FONT_SIZE = 9


def cost_plot(costs: pd.DataFrame, metrics: Mapping[str, Any], study: Study) -> Figure:
    """AUC (mean of the tasks) with its interval against training seconds of a fold on a log axis, a label a row.

    Rows on a CPU are filled, those on a GPU, whose seconds are on the wall, hollow.

    Args:
        costs: see `physiopipe.results.costs`.
        metrics: metrics.json.
    """
    figure = Figure(figsize=(8.2, 5.2))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.12, 0.89, 0.84))
    axes.set_xscale("log")
    axes.axhline(CHANCE, color="#999999", linewidth=0.8)
    places, bars = [], []
    for row in costs.to_dict("records"):
        found = metrics[row["method"]][MEAN]
        if study.headline not in found:
            continue
        x, y = max(float(row["fit_s"]), LEAST_S), found[study.headline]
        low, high = (found.get(f"{study.headline}_{end}", y) for end in ("low", "high"))
        colour = COLOURS[0] if row["method"] == REFERENCE else "#000000"
        axes.plot([x, x], [low, high], color=colour, linewidth=1.2)
        fill = colour if row["clock"] == CPU_CLOCK else "#ffffff"
        axes.plot(x, y, "D", color=colour, markerfacecolor=fill, markersize=6)
        places.append((str(row["title"]), row["method"] == REFERENCE, x, y))
        bars.append((x, low, high))
    all_cpu = (costs["clock"] == CPU_CLOCK).all()
    clock = "CPU seconds" if all_cpu else "seconds (filled: CPU time; hollow: GPU, on the wall)"
    axes.set(xlabel=f"training, {clock} a fold, log scale", ylabel=HEADLINE_WORDS[study.headline])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if places:
        xs = [x for *_, x, _ in places]
        axes.set_xlim(min(xs) / 4, max(xs) * 6)
        axes.set_ylim(min(0.45, *(low for _, low, _ in bars)) - 0.04, min(max(high for *_, high in bars) + 0.06, 1.05))
    _label(figure, axes, places, bars)
    return figure


def _label(
    figure: Figure, axes: Axes, places: list[tuple[str, bool, float, float]], bars: list[tuple[float, float, float]]
) -> None:
    """Put each label at the nearest free place around its point; one further away has a line to it."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    dot = figure.dpi / 72
    inside = axes.get_window_extent(renderer).padded(-2 * dot)
    pixels, data = axes.transData.transform, axes.transData.inverted().transform
    taken = [Bbox([pixels((x, low)), pixels((x, high))]).padded(2 * dot) for x, low, high in bars]
    taken += [Bbox([pixels((x, y)), pixels((x, y))]).padded(5 * dot) for *_, x, y in places]
    chance = pixels((places[0][2], CHANCE))[1] if places else 0.0
    taken.append(Bbox([(inside.x0, chance), (inside.x1, chance)]).padded(dot))
    for title, bold, x, y in sorted(places, key=lambda one: (-one[3], one[2])):
        at = np.asarray(pixels((x, y)))
        text = axes.text(x, y, title, fontsize=_FONT_SIZE, fontweight="bold" if bold else "normal")
        size = text.get_window_extent(renderer)
        box, away = _free_place(at, size, taken, inside, dot)
        taken.append(box)
        left, baseline = data((box.x0, box.y0 + at[1] - size.y0))
        text.set_position((float(left), float(baseline)))
        if away:
            near = (np.clip(at[0], box.x0, box.x1), np.clip(at[1], box.y0, box.y1))
            axes.plot(*zip(data(at), data(near), strict=True), color="#888888", linewidth=0.6, zorder=1)


def _free_place(at: F64, size: Bbox, taken: list[Bbox], inside: Bbox, dot: float) -> tuple[Bbox, bool]:
    """The nearest box of this size around a point that touches nothing, and whether it is further away; the first one
    where all are taken. `dot` is a point of type in pixels.
    """
    first: Bbox | None = None
    for away, right, up in _offsets():
        side = 0.0 if right > 0 else 1.0 if right < 0 else 0.5
        left, bottom = at[0] + right * dot - side * size.width, at[1] + up * dot - size.height / 2
        box = Bbox.from_bounds(left, bottom, size.width, size.height)
        first = first or box
        within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        if within and not any(box.padded(_GAP * dot).overlaps(other) for other in taken):
            return box, away
    assert first is not None
    return first, False


def _offsets() -> Iterator[tuple[bool, float, float]]:
    """Places around a point, nearest first: whether a line to it is wanted, and points to the right and up."""
    yield from ((False, right, up) for right, up in ((9, 0), (-9, 0), (9, 9), (9, -9), (-9, 9), (-9, -9)))
    for radius in range(16, 240, 8):
        for turn in range(16):
            right, up = (radius * float(each(2 * np.pi * turn / 16)) for each in (np.cos, np.sin))
            yield True, right if abs(right) > 1 else 0.0, up
