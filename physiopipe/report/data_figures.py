"""What the windows are made of: records, lengths, rates and labels, as tables and figures."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from physiopipe.params import PATCH_SAMPLES

_HATCHES = ("", "//", "..", "xx", "\\\\", "++")


def by_source(index: pd.DataFrame, expected: Sequence[str]) -> pd.DataFrame:
    """Records, hours and windows of each rate by modality and source; `expected` sources without records show 0."""
    keys = ["modality", "source"]
    groups = index.groupby(keys, observed=True, sort=True)
    table = groups["record"].nunique().to_frame("records")
    table["hours"] = [round(_hours(part), 2) for _, part in groups]
    for rate, part in index.groupby("rate_hz", sort=True):
        table[f"windows, {rate:g} Hz"] = part.groupby(keys, observed=True).size()
    table = table.reset_index().astype(dict.fromkeys(keys, str))
    absent = [source for source in expected if source not in set(index["source"])]
    modality = str(index["modality"].iloc[0]) if len(index) else ""
    if absent:
        rows = pd.DataFrame([{"modality": modality, "source": source} for source in absent])
        table = pd.concat([table, rows], ignore_index=True)
    whole = table.fillna(0)
    return whole.astype({column: int for column in whole.columns if column == "records" or "windows" in column})


def covered_s(index: pd.DataFrame) -> "pd.Series[float]":
    """Seconds from a record's start to the end of its last window, by record."""
    end = index["start_s"] + index["valid_patches"] * PATCH_SAMPLES / index["rate_hz"]
    return end.groupby(index["record"], observed=True).max()


def clip_table(index: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """One row a subject and clip with the value of each task; baselines, whose clip is negative, are none."""
    return index[index["clip"] >= 0].drop_duplicates(["subject", "clip"])[["subject", "clip", *tasks]]


def windows_by_source_plot(index: pd.DataFrame) -> Figure:
    """Records by source, and windows by source and rate."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    records = index.groupby("source", observed=True)["record"].nunique()
    records = records.rename(index=str).sort_index(ascending=False)
    left.barh(records.index, records, color="#56B4E9")
    for place, value in enumerate(records):
        left.text(value, place, f" {value:,}", va="center", fontsize=8)
    left.set(title="Records", xlim=(0, records.max() * 1.18))
    start = np.zeros(len(records))
    for i, (rate, part) in enumerate(index.groupby("rate_hz")):
        windows = part.groupby("source", observed=True).size().rename(index=str)
        width = windows.reindex(records.index, fill_value=0).to_numpy(dtype=float)
        right.barh(records.index, width, left=start, label=f"{rate:g} Hz", hatch=_HATCHES[i % len(_HATCHES)],
                   edgecolor="white", linewidth=0.4)  # fmt: skip
        start += width
    right.set(title="Windows by rate")
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 0.95), fontsize=8)
    return figure


def lengths_plot(index: pd.DataFrame, unit: str) -> Figure:
    """Histogram of the seconds that windows cover, in records or clips."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    lengths = covered_s(index).to_numpy(dtype=np.float64)
    low, high = 0.95 * float(lengths.min()), 1.05 * float(lengths.max())
    wide = high > 20 * max(float(np.median(lengths)), 1.0)  # a few half-hour records among ten-second ones
    bins = [float(edge) for edge in (np.geomspace(max(low, 1.0), high, 31) if wide else np.linspace(low, high, 21))]
    axes.hist(lengths, bins=bins, color="#56B4E9", edgecolor="#333333", linewidth=0.4)
    axes.set(
        xlabel="from start to end of the last window, s", ylabel=unit, yscale="log" if unit == "records" else "linear"
    )
    if wide:
        axes.set_xscale("log")
    if unit == "records":
        axes.set_ylim(bottom=0.8)
    axes.set_title(f"Length of {unit}")
    return figure


def values_plot(index: pd.DataFrame, tasks: Sequence[str], thresholds: Mapping[str, float]) -> Figure:
    """How often each value of each task was given; dark bars are high."""
    figure = Figure(figsize=(2.6 * len(tasks) + 0.4, 3), layout="constrained")
    clips = clip_table(index, tasks)
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        values = clips[task].dropna()
        high_from = thresholds[task]
        edges = _edges(values, high_from)
        count, _ = np.histogram(values, bins=edges)
        middle = edges[:-1] + np.diff(edges) / 2
        colours = ["#0072B2" if each >= high_from else "#B5D9EE" for each in middle]
        axes.bar(edges[:-1], count, width=np.diff(edges), align="edge", color=colours, edgecolor="#333333",
                 linewidth=0.4)  # fmt: skip
        axes.set(title=f"{task.capitalize()}: {(values >= high_from).mean():.0%} high", xlabel="value (dark: high)")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=bool((values % 1 == 0).all())))
    panels[0].set_ylabel("clips")
    return figure


def _edges(values: "pd.Series[float]", high_from: float) -> npt.NDArray[np.float64]:
    """Edges of the bars: one bar a whole number where there are few, else 20 bars, with the threshold at an edge."""
    low, high = min(float(values.min()), high_from), max(float(values.max()), high_from)
    if (values % 1 == 0).all() and high - low <= 12:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    width = max((high - low) / 20, 1e-9)
    below, above = np.ceil((high_from - low) / width), np.ceil((high - high_from) / width) + 1
    return high_from + width * np.arange(-below, above + 1)


def _hours(part: pd.DataFrame) -> float:
    return float(covered_s(part).sum() / 3600)
