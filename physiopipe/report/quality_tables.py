"""The report's words on quality flags: how many windows carry each, and the thresholds behind them."""

from html import escape

import pandas as pd

from physiopipe.report.data_facts import DataFacts
from physiopipe.report.html_table import as_table
from physiopipe.report.quality_figures import EXAMPLES, FLAGS, flag_columns, units_of
from physiopipe.signals.quality import WANDER_HZ
from physiopipe.signals.windowing import LARGEST_INT16, MILLIVOLT_STEP
from physiopipe.windows.store import WindowStore

CAPTION = (
    f"Up to {EXAMPLES} windows of each flag, of different records, and one without a flag: the first of the index, "
    "windows recorded throughout before others. They are drawn as they were recorded, each lead about its median; as "
    "stored, which is filtered and resampled, where the recording is no longer in data/raw: the title says which. "
    "Missing, flat, clipping, wander and mains are judged on the raw signal, the others on what is stored. The bar at "
    "the right is in the stored unit."
)


def quality(store: WindowStore, facts: DataFacts) -> str:
    """Windows with each flag by source, thresholds, and flags that no window carries, for each modality of a cohort."""
    parts = ["<p>A flag marks a window; it never drops one. A window may carry several.</p>"]
    for modality, unit in units_of(store).items():
        index = store.index[store.index["modality"] == modality]
        parts += [
            f"<h4>{escape(modality)}: windows with each flag, by source</h4>",
            as_table(_as_text(flags_by_source(index))),
            f"<p>{_absent(index)}</p>",
            f"<h4>{escape(modality)}: thresholds (<code>shard.{facts.cohort}.{escape(modality)}.quality</code>)</h4>",
            as_table(thresholds(facts, modality, unit)),
        ]
    return "".join(parts)


def flags_by_source(index: pd.DataFrame) -> pd.DataFrame:
    """Windows of each source, how many carry each flag, and how many any; the last of several rows is their sum."""
    flags = flag_columns(index)
    counted = flags.assign(**{"any flag": flags.any(axis=1)}).astype("int64")
    counted.insert(0, "windows", 1)
    table = counted.groupby(index["source"].astype(str), sort=True).sum()
    if len(table) > 1:
        table.loc["all sources"] = table.sum()
    return table.rename_axis("source").reset_index()


def thresholds(facts: DataFacts, modality: str, unit: str) -> pd.DataFrame:
    """What raises each flag, with the values in force and their units, and the parameter that holds them."""
    limits, filtering = facts.quality[modality], facts.filters[modality]
    default = filtering.notch_of("default")
    mains = [
        "none is named" if default is None else f"{default:g} Hz",
        *(f"{source} {hertz:g} Hz" for source, hertz in sorted(filtering.notch_hz.items()) if source != "default"),
    ]
    if unit == "mV":
        largest = f"a sample past ±{LARGEST_INT16 * MILLIVOLT_STEP:g} mV, the range of int16 in steps of 1 µV"
    else:
        largest = "cannot occur: every window is stored on its own scale"
    kept = "which nothing takes away"
    if filtering.highpass_hz is not None:
        kept = f"as the high-pass of {filtering.highpass_hz:g} Hz leaves it"
    above = f"the lead's raw power above {WANDER_HZ:g} Hz"
    no_beats = "no lead shows heartbeats (steepest moments against the calmest quarter of 10 s or more)"
    if modality != "ecg":
        no_beats = "cannot occur: no ECG"
    rows = {
        "missing": ("a lead was not recorded and does not follow from others", "raw", "–"),
        "flat": (f"a lead's range is under {limits.flat_peak_to_peak:g} {unit}", "raw", "flat_peak_to_peak"),
        "clipping": (
            f"more than {100 * limits.clipping_share:g}% of a lead's samples are at its "
            "highest or lowest value in the recording", "raw", "clipping_share",
        ),
        "amplitude": (
            f"a sample is past ±{limits.amplitude_limit:g} {unit}" + ", or saturated" * (unit == "mV"),
            "stored", "amplitude_limit",
        ),
        "wander": (
            f"the baseline under {WANDER_HZ:g} Hz, {kept}, has "
            f"more than {100 * limits.wander_share:g}% of {above}",
            "raw", "wander_share",
        ),
        "mains": (
            f"more than {100 * limits.mains_share:g}% of {above} is within 1 Hz of the mains "
            f"({', '.join(mains)})", "raw", f"mains_share; filter.{facts.cohort}.{modality}.notch_hz",
        ),
        "no_beats": (no_beats, "stored", "–"),
        "saturated": (largest, "stored", "–"),
    }  # fmt: skip
    columns = ["Flag", "Raised when", "Judged on the signal", "Parameter"]
    return pd.DataFrame([(flag, *row) for flag, row in rows.items()], columns=columns)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.copy()
    shown["windows"] = table["windows"].map("{:,}".format)
    for name in (*FLAGS, "any flag"):
        shown[name] = [_count(n, of) for n, of in zip(table[name], table["windows"], strict=True)]
    return shown


def _count(number: int, of: int) -> str:
    if number == 0:
        return "0"
    share = f"{number / of:.1%}" if number / of >= 0.0005 else "<0.1%"
    return f"{number:,} ({share})"


def _absent(index: pd.DataFrame) -> str:
    flags = flag_columns(index)
    absent = [name for name in FLAGS if not flags[name].any()]
    words = f"No window carries: {', '.join(absent)}." if absent else "Each flag is carried by some window."
    return words + (" No window is without a flag." if flags.any(axis=1).all() else "")
