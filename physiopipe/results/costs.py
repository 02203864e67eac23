"""What each row cost, from what was kept of its fits: trained parameters, seconds of a fold, on which device."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = (
    "method", "title", "folds", "trained_parameters", "fit_s", "fit_low_s", "fit_high_s", "kept_s", "clock", "device",
)  # fmt: skip
CPU_CLOCK, WALL_CLOCK = "CPU", "wall"
_DIGITS = 3  # significant ones: seconds say no more


def costs_of(folder: Path, titles: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """COLUMNS, a row a method: medians over the fits of every seed and fold, seconds rounded to three digits.

    Seconds are of CPU time where a row was fitted on a CPU, on the wall where it was on a GPU. `fit_s` holds every
    stage of a fit, `kept_s` what it stands on that is computed once without labels, whichever row was first. What was
    not told is empty; a method none of whose fits was told of has no row.

    Args:
        folder: results/<cohort>/costs, which holds <method>.csv.
        titles: names of methods, in order, and how tables call them.
    """
    rows = []
    for name, title in titles:
        path = folder / f"{name}.csv"
        if not path.is_file():
            continue  # predictions of an earlier version, or published without their seconds
        fits = pd.read_csv(path)
        fits = fits[fits["fit_cpu_s"].notna()]
        if len(fits):
            rows.append({"method": name, "title": title, **_row(fits)})
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"folds": "Int64", "trained_parameters": "Int64"})


def _row(fits: pd.DataFrame) -> dict[str, Any]:
    on_gpu = (fits["processor"] == "GPU").any()
    clock = WALL_CLOCK if on_gpu else CPU_CLOCK
    seconds, kept = (fits[f"{what}_{clock.lower()}_s"] for what in ("fit", "kept"))
    told = fits["trained_parameters"].dropna()
    places = dict.fromkeys(f"{processor}, {device}" for processor, device in zip(fits["processor"], fits["device"],
                                                                                  strict=True))  # fmt: skip
    return {
        "folds": len(fits),
        "trained_parameters": round(float(told.median())) if len(told) else None,
        "fit_s": rounded(float(seconds.median())),
        "fit_low_s": rounded(float(seconds.min())),
        "fit_high_s": rounded(float(seconds.max())),
        "kept_s": rounded(float(kept.median())) if kept.notna().any() else math.nan,
        "clock": clock,
        "device": "; ".join(places),
    }


def rounded(seconds: float) -> float:
    """Three significant digits, and none below a millisecond; NaN stays."""
    if not math.isfinite(seconds) or seconds <= 0:
        return seconds
    return round(seconds, min(3, _DIGITS - 1 - math.floor(math.log10(seconds))))


def seconds_words(seconds: float) -> str:
    """As a table shows it."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 0.001:
        return "<0.001"
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"


def fitting_words(costs: pd.DataFrame) -> str:
    """How long all fits of a table took together, by the clock of their device; empty where nothing was noted."""
    known = costs[costs["fit_s"].notna()]
    together = (known["folds"] * known["fit_s"]).groupby(known["clock"]).sum()
    told = [f"{_rough(float(seconds))} ({clock})" for clock, seconds in together.items()]
    return f"about {' and '.join(told)} to fit every row" if told else ""


def _rough(seconds: float) -> str:
    return f"{seconds / 60:,.0f} minutes" if seconds >= 120 else f"{seconds:,.0f} s"
