"""Figure of robustness: AUC within subjects against how much of the test clips was lost, a line a method."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from physiopipe.report.curves import COLOURS
from physiopipe.results.statistics import MEAN

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 3)))
_MARKERS = "osD^vP*X"
_CLEAN = "clean"


def robustness_plot(table: pd.DataFrame) -> Figure:
    """Three panels: noise (undamaged at the left), EEG channels lost, a modality lost; mean of the labels.

    Args:
        table: robustness.csv, see `physiopipe.results.side_tables`.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    noise, channels, lost = figure.subplots(1, 3, sharey=True)
    mean = table[table["label"] == MEAN]
    methods = list(dict.fromkeys(mean["method"]))
    for place, method in enumerate(methods):
        mine = mean[mean["method"] == method]
        look = _look(place)
        clean = float(mine.loc[mine["condition"] == _CLEAN, "value_percent"].iloc[0])
        name = str(mine["title"].iloc[0])
        of_noise = mine[mine["condition"] == "noise_snr_db"].sort_values("level", ascending=False)
        places = range(len(of_noise) + 1)
        noise.plot(places, [clean, *of_noise["value_percent"]], label=name, **look)
        noise.set_xticks(places, ["none", *(f"{level:g}" for level in of_noise["level"])])
        of_channels = mine[mine["condition"] == "dropped_eeg_channels"].sort_values("level")
        channels.plot([0, *of_channels["level"]], [clean, *of_channels["value_percent"]], **look)
        value = mine.set_index("condition")["value_percent"]
        order = [_CLEAN, *(each for each in ("lost_eeg", "lost_ecg") if each in value.index)]
        shift = 0.05 * (place - (len(methods) - 1) / 2)  # so that equal values stay visible
        lost.plot([i + shift for i in range(len(order))], value[order], **(look | {"linestyle": ""}))
        lost.set_xticks(range(len(order)), ["whole", *(each.removeprefix("lost_").upper() for each in order[1:])])
    for axes, title, label in (
        (noise, "Noise", "signal over noise, dB"),
        (channels, "EEG channels lost", "channels of 14"),
        (lost, "A modality lost", "lost"),
    ):
        _finish(axes, title, label)
    noise.set_ylabel("AUC within subjects, %")
    figure.legend(*noise.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(methods), 4))
    return figure


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.axhline(50, color="#999999", linewidth=0.8)
    axes.set(title=title, xlabel=label)


def _look(place: int) -> dict[str, Any]:
    i = place % len(COLOURS)
    return {"color": COLOURS[i], "linestyle": _DASHES[i], "marker": _MARKERS[i], "markersize": 5, "linewidth": 1.4}
