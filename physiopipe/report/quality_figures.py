"""Example windows of each quality flag as strips of all leads: what a threshold lets through and what it marks.

They are drawn as they were recorded, for that is what most flags are judged on; as stored where the files are gone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from physiopipe.params import PATCH_SAMPLES
from physiopipe.recordings.recording import LongRecording, Recording
from physiopipe.report.data_facts import DataFacts
from physiopipe.signals.windowing import LARGEST_INT16
from physiopipe.windows.part import QUALITY_FLAGS
from physiopipe.windows.store import WindowStore

FLAGS = (*QUALITY_FLAGS, "saturated")
NO_FLAG = "no flag"
EXAMPLES = 2  # strips of a flag, side by side
Recordings = Mapping[str, Recording | LongRecording]  # by record
# `(cohort, modality, {record: batch}) → those of these recordings whose files are still here`
RawReader = Callable[[str, str, Mapping[str, str]], Recordings]
UNIT_NAMES = {"uV": "µV", "mV": "mV", "unspecified": "stored units"}

_WIDTH_INCHES = 10.4
TRACE, MARKED = "#333333", "#B2182B"
_KEY = (
    "Time from the start of the recording.\n"
    "Dotted: a lead that is missing or flat in this window.\n"
    "Bold label, red: the lead that raised the flag\n(missing, flat, amplitude, saturated).\n"
    "Shaded: past the valid patches."
)


@dataclass(frozen=True)
class Strip:
    """One window, as it is drawn.

    Attributes:
        title: what it is an example of, where it comes from, and whether this is the raw signal.
        samples: float (channel, time) in the stored unit: of the raw signal, about each lead's median; or as stored.
        live: bool (channel,), there and not flat;  marked: bool (channel,), raised the flag.
        start_s: where it starts in the recording;  valid_s: how much of it is valid;  window_s: its length.
    """

    title: str
    samples: npt.NDArray[np.float64]
    live: npt.NDArray[np.bool_]
    marked: npt.NDArray[np.bool_]
    start_s: float
    valid_s: float
    window_s: float
    rate_hz: float


def flag_columns(index: pd.DataFrame) -> pd.DataFrame:
    """Bool column for each of FLAGS; one row a window."""
    return index[list(QUALITY_FLAGS)].assign(saturated=index["saturated"] > 0)


def example_rows(index: pd.DataFrame, modality: str) -> dict[str, list[int]]:
    """Rows of the index to show for each flag that some window carries, and under NO_FLAG for a window with none.

    Windows whose every patch is valid go before others, else the index's order decides; examples of a flag are of
    different records.
    """
    mine = (index["modality"] == modality).to_numpy()
    whole = (index["valid_patches"] == index["valid_patches"][mine].max()).to_numpy()
    flags = flag_columns(index)
    records = index["record"].to_numpy()
    found = {}
    for name in (*FLAGS, NO_FLAG):
        carried = ~flags.to_numpy().any(axis=1) if name == NO_FLAG else flags[name].to_numpy()
        rows = np.concatenate([np.flatnonzero(mine & carried & whole), np.flatnonzero(mine & carried & ~whole)])
        if len(rows):
            _, first = np.unique(records[rows].astype(str), return_index=True)
            found[name] = rows[np.sort(first)[: 1 if name == NO_FLAG else EXAMPLES]].tolist()
    return found


def quality_plots(store: WindowStore, facts: DataFacts, raw: RawReader | None = None) -> dict[str, Figure]:
    """The strips of each modality of a cohort."""
    return {modality: quality_plot(store, facts, modality, raw) for modality in units_of(store)}


def quality_plot(store: WindowStore, facts: DataFacts, modality: str, raw: RawReader | None = None) -> Figure:
    """The strips of one modality of a cohort."""
    rows = {row for of_flag in example_rows(store.index, modality).values() for row in of_flag}
    shown = store.index.iloc[sorted(rows)]
    batches = dict(zip(shown["record"].astype(str), shown["part"].astype(str), strict=True))
    recordings = {} if raw is None else raw(facts.cohort, modality, batches)
    examples = strips(store, modality, facts.quality[modality].amplitude_limit, recordings)
    channels = tuple(_attributes(store, modality)["channels"])
    return strips_plot(examples, channels, units_of(store)[modality])


def units_of(store: WindowStore) -> dict[str, str]:
    """Unit of each modality's stored windows, by modality."""
    names = sorted(map(str, store.index["modality"].unique()))
    return {modality: UNIT_NAMES.get(unit := _attributes(store, modality)["unit"], unit) for modality in names}


def _attributes(store: WindowStore, modality: str) -> dict[str, Any]:
    rates = store.index["rate_hz"][store.index["modality"] == modality]
    return store.attributes(modality, int(rates.iloc[0]))


def strips(store: WindowStore, modality: str, amplitude_limit: float, recordings: Recordings) -> dict[str, list[Strip]]:
    """The windows of `example_rows`, from the recordings that are here, else from the store."""
    flags = flag_columns(store.index)
    return {
        name: [_strip(store, row, name, flags.iloc[row], amplitude_limit, recordings) for row in rows]
        for name, rows in example_rows(store.index, modality).items()
    }


def strips_plot(examples: Mapping[str, list[Strip]], channels: tuple[str, ...], unit: str) -> Figure:
    """A row of strips for each flag, the window without a flag last."""
    # Placed by hand, in inches: an automatic layout of so many panels takes longer than drawing them.
    rows, tall, gap, bottom, top = len(examples), 0.2 + 0.12 * max(len(channels), 6), 0.5, 0.6, 0.25
    height = rows * tall + (rows - 1) * gap + bottom + top
    figure = Figure(figsize=(_WIDTH_INCHES, height))
    panels = figure.subplots(rows, EXAMPLES, squeeze=False)
    figure.subplots_adjust(
        left=0.04, right=0.965, bottom=bottom / height, top=1 - top / height, wspace=0.14, hspace=gap / tall
    )
    free = []
    for row, shown in zip(panels, examples.values(), strict=True):
        for axes, strip in zip(row, shown, strict=False):
            _draw(axes, strip, channels, unit)
        for axes in row[len(shown) :]:
            axes.set_axis_off()
            free.append(axes)
    if free:
        free[-1].text(0.0, 0.5, _KEY, fontsize=8, va="center", linespacing=1.6, transform=free[-1].transAxes)
    return figure


def _strip(
    store: WindowStore,
    row: int,
    name: str,
    flags: "pd.Series[bool]",
    amplitude_limit: float,
    recordings: Recordings,
) -> Strip:
    about = store.index.iloc[row]
    counts, scale, valid = store.gather(np.array([row]))
    whole = counts[0].reshape(counts.shape[1], -1)
    samples = whole * float(scale[0])
    live = np.array([bool(int(about["channel_mask"]) >> channel & 1) for channel in range(len(samples))])
    saturated = (np.abs(whole.astype(np.int32)).max(axis=1) >= LARGEST_INT16) & bool(about["saturated"] > 0)
    marked = {
        "missing": ~live,
        "flat": ~live,
        "amplitude": (np.abs(samples).max(axis=1) > amplitude_limit) | saturated,
        "saturated": saturated,
    }.get(name, np.zeros(len(samples), dtype=np.bool_))
    others = [other for other in FLAGS if flags[other] and other != name]
    rate_hz, start_s = float(about["rate_hz"]), float(about["start_s"])
    window_s, valid_s = samples.shape[1] / rate_hz, int(valid[0]) * PATCH_SAMPLES / rate_hz
    recording, drawn = recordings.get(str(about["record"])), "as stored"
    if recording is not None:
        samples, rate_hz, drawn = _raw_stretch(recording, start_s, window_s), float(recording.rate_hz), "raw"
    title = f"{name}: {about['record']} ({about['source']}), {drawn}, {rate_hz:g} Hz"
    if others:
        title += f"; also {', '.join(others)}"
    return Strip(title, samples, live, marked, start_s, valid_s, window_s, rate_hz)


def _raw_stretch(recording: Recording | LongRecording, start_s: float, window_s: float) -> npt.NDArray[np.float64]:
    """A stretch as it was recorded, about each lead's median in it, (channel, time); it may end before the window."""
    first, count = round(start_s * recording.rate_hz), round(window_s * recording.rate_hz)
    if isinstance(recording, Recording):
        stretch = recording.signal[:, first : first + count]
    else:
        stretch = recording.signal.read(first, min(first + count, recording.signal.shape[1]))
    found: npt.NDArray[np.float64] = stretch - np.median(stretch.astype(np.float64), axis=1, keepdims=True)
    return found


def _draw(axes: Axes, strip: Strip, channels: tuple[str, ...], unit: str) -> None:
    samples = strip.samples
    seconds = strip.start_s + np.arange(samples.shape[1]) / strip.rate_hz
    end_s = strip.start_s + strip.window_s
    step = _spacing(samples[strip.live])
    places = step * np.arange(len(samples) - 1, -1, -1)
    for values, place, live, marked in zip(samples, places, strip.live, strip.marked, strict=True):
        colour = MARKED if marked else TRACE
        axes.plot(seconds, place + values, color=colour, linewidth=0.5, linestyle="-" if live else (0, (1, 3)))
    axes.set_yticks(places, channels, fontsize=5.5)
    for label, marked in zip(axes.get_yticklabels(), strip.marked, strict=True):
        label.set(color=MARKED if marked else TRACE, fontweight="bold" if marked else "normal")
    if strip.start_s + strip.valid_s < end_s:
        axes.axvspan(strip.start_s + strip.valid_s, end_s, color="#E8E8E8", linewidth=0, zorder=0)
    drawn = places[:, None] + samples  # room for a large outer lead, but no more than two leads' worth
    bottom = max(min(-0.7 * step, drawn.min() - 0.2 * step), -2 * step)
    top = min(max(places[0] + 0.7 * step, drawn.max() + 0.2 * step), places[0] + 2 * step)
    axes.set(xlim=(strip.start_s, end_s), ylim=(bottom, top))
    axes.tick_params(axis="y", length=0, pad=2)
    axes.tick_params(axis="x", labelsize=6.5, length=2)
    axes.set_xlabel("s", fontsize=7, labelpad=0)
    axes.set_title(strip.title, fontsize=8, loc="left", pad=3, parse_math=False)
    if not strip.live.any():
        return  # no scale to show
    bar, middle = _round_down(2 * step), (bottom + top) / 2
    edge = axes.get_yaxis_transform()  # x as a share of the axes, y in the stored unit
    axes.plot(
        [1.012, 1.012],
        [middle - bar / 2, middle + bar / 2],
        color="black",
        linewidth=1.5,
        transform=edge,
        clip_on=False,
    )
    axes.text(1.02, middle, f"{bar:g} {unit}", fontsize=6.5, va="center", rotation=90, transform=edge)


def _spacing(live: npt.NDArray[np.float64]) -> float:
    """Distance between leads, stored unit: a usual lead's range; wider where one lead is far larger than the rest."""
    if not live.size:
        return 1.0
    ranges = np.percentile(live, 99.8, axis=1) - np.percentile(live, 0.2, axis=1)
    return max(0.9 * float(np.median(ranges)), 0.4 * float(ranges.max()), 1e-6)


def _round_down(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20, … (and their tenths) that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)) * power)
