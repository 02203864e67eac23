"""Figure of robustness: the headline AUC against how much of the test clips was lost, a line a method."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from physiopipe.report.style import look
from physiopipe.results.intervals import MEAN
from physiopipe.results.metrics import HEADLINE_WORDS, Headline

_CLEAN = "clean"
_CHANCE = 50.0
_LOST = "lost_"
_STEP = 0.07  # between methods along the axis, in places: intervals of all stay visible


def robustness_plot(table: pd.DataFrame, headline: Headline) -> Figure:
    """Three panels: noise (undamaged at the left), EEG channels lost, a modality lost; mean of the tasks, intervals.

    The axis holds every interval and chance.

    Args:
        table: robustness.csv, see `physiopipe.results.robustness_table`.
    """
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    noise, channels, lost = figure.subplots(1, 3, sharey=True)
    mean = table[table["label"] == MEAN]
    methods = list(dict.fromkeys(mean["method"]))
    snr = _levels(mean, "noise_snr_db")[::-1]
    dropped = _levels(mean, "dropped_eeg_channels")
    modalities = [name for name in dict.fromkeys(mean["condition"]) if str(name).startswith(_LOST)]
    for place, method in enumerate(methods):
        mine = mean[mean["method"] == method].set_index(["condition", "level"])
        shift = _STEP * (place - (len(methods) - 1) / 2)
        name = str(mine["title"].iloc[0])
        _line(noise, mine, [(_CLEAN, 0.0), *(("noise_snr_db", level) for level in snr)], shift, place, label=name)
        _line(channels, mine, [(_CLEAN, 0.0), *(("dropped_eeg_channels", level) for level in dropped)], shift, place)
        _line(lost, mine, [(_CLEAN, 0.0), *((each, 0.0) for each in modalities)], shift, place, linestyle="")
    for axes, ticks, title, label in (
        (noise, ["none", *(f"{level:g}" for level in snr)], "Noise", "signal over noise, dB"),
        (channels, ["0", *(f"{level:g}" for level in dropped)], "EEG channels lost", "channels lost"),
        (lost, ["none", *(name.removeprefix(_LOST).upper() for name in modalities)], "A modality lost", "lost"),
    ):
        axes.axhline(_CHANCE, color="#999999", linewidth=0.8)
        axes.set(title=title, xlabel=label)
        axes.set_xticks(range(len(ticks)), ticks)
    low, high = mean["low_percent"].min(), mean["high_percent"].max()
    bottom, top = np.nanmin([low, _CHANCE]), np.nanmax([high, _CHANCE])
    noise.set_ylim(bottom - 2, min(top + 2, 101))
    noise.set_ylabel(f"{HEADLINE_WORDS[headline]}, % (line: chance)")
    if methods:
        handles, labels = noise.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(methods), 4))
    return figure


def _line(
    axes: Axes, mine: pd.DataFrame, keys: list[tuple[str, float]], shift: float, place: int, **changes: Any
) -> None:  # fmt: skip
    """A method's values with intervals at places 0, 1, …; conditions that it was not tested on are left out."""
    at = [i for i, key in enumerate(keys) if key in mine.index]
    rows = mine.reindex([keys[i] for i in at])
    value, low, high = (rows[f"{end}_percent"].to_numpy(dtype=np.float64) for end in ("value", "low", "high"))
    ends = np.clip(np.nan_to_num(np.stack([value - low, high - value])), 0, None)
    axes.errorbar([i + shift for i in at], value, yerr=ends, elinewidth=0.8, capsize=2, **(look(place) | changes))


def _levels(table: pd.DataFrame, condition: str) -> list[float]:
    return sorted(table.loc[table["condition"] == condition, "level"].unique().tolist())
