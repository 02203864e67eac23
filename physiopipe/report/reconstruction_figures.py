"""Held-out windows with hidden patches: the truth, what the encoder made of them, and interpolation."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from physiopipe.errors import PhysiopipeError
from physiopipe.params import PATCH_SAMPLES

UNIT_NAMES = {"lead_zscore": "SD of the lead", "record_zscore": "SD of the window", "millivolt": "mV"}
CAPTION = (
    "A window of a record that the encoder was not trained on. Shaded: patches hidden from it; leads hidden whole are "
    "bold. The encoder's reconstruction and linear interpolation are drawn where patches were hidden; a lead hidden "
    "whole gives interpolation nothing to go by, so it is 0 there."
)
_TRUTH, _ENCODER, _LINE, _HIDDEN = "#000000", "#D55E00", "#0072B2", "#E3E3E3"
_COLUMNS = 2
_REACH = 99.7  # percentile of the truth that a lead's axis reaches to, so that one spike does not flatten the rest


class Reconstruction(NamedTuple):
    """One window. truth, encoder, interpolation: (C, P, 200), in `unit`; replaced, valid: bool (C, P)."""

    truth: npt.NDArray[np.float32]
    encoder: npt.NDArray[np.float32]
    interpolation: npt.NDArray[np.float32]
    replaced: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]
    rate_hz: int
    source: str
    leads: tuple[str, ...]
    unit: str

    @property
    def name(self) -> str:
        """Stem of the figure's file."""
        return f"reconstruction_{self.rate_hz}hz"


def read_reconstructions(path: Path) -> list[Reconstruction]:
    """The windows that pretraining kept in `path` (an .npz of plain arrays), one a rate."""
    if not path.exists():
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (`dvc repro` does).")
    with np.load(path, allow_pickle=False) as file:
        arrays: dict[str, npt.NDArray[Any]] = dict(file)
    leads, unit = tuple(arrays["leads"].tolist()), UNIT_NAMES[str(arrays["normalisation"])]
    return [
        Reconstruction(
            arrays["truth"][i],
            arrays["encoder"][i],
            arrays["interpolation"][i],
            arrays["replaced"][i],
            arrays["valid"][i],
            int(rate),
            str(arrays["source"][i]),
            leads,
            unit,
        )
        for i, rate in enumerate(arrays["rate_hz"])
    ]


def reconstruction_plot(window: Reconstruction) -> Figure:
    """A panel a lead, in two columns, over seconds."""
    count = len(window.leads)
    rows = -(-count // _COLUMNS)
    figure = Figure(figsize=(11, 0.95 * rows + 1.3), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False)
    for place, axes in enumerate(panels.T.flat):  # down the first column, then the second
        if place < count:
            _draw(axes, window, place)
        else:
            axes.set_axis_off()
    for axes in panels[-1]:
        axes.set_xlabel("s")
    figure.supylabel(window.unit, fontsize=9)
    figure.suptitle(f"{window.source}, {window.rate_hz} Hz", fontsize=11)
    keys = [
        Line2D([], [], color=_TRUTH, linewidth=0.9, label="truth"),
        Line2D([], [], color=_ENCODER, linewidth=1.3, label="encoder"),
        Line2D([], [], color=_LINE, linewidth=1.1, linestyle="--", label="interpolation"),
        Patch(facecolor=_HIDDEN, label="hidden from the encoder"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=9)
    return figure


def _draw(axes: Axes, window: Reconstruction, lead: int) -> None:
    patch_s = PATCH_SAMPLES / window.rate_hz
    seconds = np.arange(window.truth[lead].size) / window.rate_hz
    hidden, valid = (np.repeat(mask[lead], PATCH_SAMPLES) for mask in (window.replaced, window.valid))
    for patch in np.flatnonzero(window.replaced[lead]):
        axes.axvspan(patch * patch_s, (patch + 1) * patch_s, color=_HIDDEN, linewidth=0, zorder=0)
    truth = np.where(valid, window.truth[lead].ravel(), np.nan)
    axes.plot(seconds, truth, color=_TRUTH, linewidth=0.7)
    axes.plot(
        seconds,
        np.where(hidden, window.interpolation[lead].ravel(), np.nan),
        color=_LINE,
        linewidth=1.0,
        linestyle="--",
    )
    axes.plot(seconds, np.where(hidden, window.encoder[lead].ravel(), np.nan), color=_ENCODER, linewidth=1.1)
    if valid.any():
        low, high = np.nanpercentile(truth, (100 - _REACH, _REACH))
        room = 0.25 * max(high - low, 1e-6)
        axes.set_ylim(low - room, high + room)
    whole = valid.any() and bool(hidden[valid].all())
    missing = "" if valid.any() else " (missing)"
    axes.set_ylabel(f"{window.leads[lead]}{missing}", rotation=0, ha="right", va="center",
                    fontweight="bold" if whole else "normal")  # fmt: skip
    axes.set_xlim(0, window.truth[lead].size / window.rate_hz)
    axes.tick_params(labelsize=7)
