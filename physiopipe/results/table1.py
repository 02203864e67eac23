"""Table 1 as data: the paper's printed rows and the measured ones, in one tidy frame.

One row a method, label and metric; values in percent. Text forms of the table are set from this frame alone
(`physiopipe.results.typeset`), so csv, md, tex and the report always agree.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from physiopipe.results.metrics import LABELS, METRICS
from physiopipe.results.statistics import MEAN, Estimates

PRINTED_METRICS = ("accuracy", "f1", "auc")
COLUMNS = (
    "kind", "cohort", "method", "title", "reference", "inputs", "provenance", "licence", "protocol", "seeds",
    "subjects", "clips", "label", "metric", "value_percent", "low_percent", "high_percent", "p_value",
    "attainable_percent", "notes",
)  # fmt: skip
NOTE_SEPARATOR = " | "

_NOTES = {
    "copied": "Seems copied from the table of Brant-X (arXiv:2409.00122), whose protocol text, code and weights are "
    "not public: this row's split need not be that of Ours.",
    "swapped": "Valence F1 and AUC (72.22, 80.83) look swapped in print; shown as printed.",
    "same_auc": "MiniRocket and Ours print the same dominance AUC (86.69).",
    "pooled": "Accuracy and F1 fit whole counts of 108 clips pooled (6 test subjects, one prediction a clip): valence "
    "75 right (TP 71, TN 4), arousal 81 (TP 72, TN 9), dominance 86 (TP 83, TN 3); the paper says mean across "
    "subjects.",
}

_TITLES = {
    "always_high": ("Always high", "Says high for every clip."),
    "clip_prior": (
        "Clip prior",
        "Mean label of the same film clip among the training subjects: knows nothing of physiology.",
    ),
    "chance": ("Chance", "Random probabilities around the training subjects' share of high."),
    "handcrafted": ("Handcrafted", "Logistic regression on EEG band power, heart rate and ECG wave amplitudes."),
    "eeg_only": ("EEG only", "Ours without its ECG encoder."),
    "ecg_only": ("ECG only", "Ours without its EEG encoder."),
    "nearest_neighbours": ("Nearest neighbours", "5 nearest windows by the handcrafted features: a canary for leaks."),
    "transductive": (
        "Ours, transductive",
        "TRANSDUCTIVE: embeddings standardised by subject, for which a test subject's unlabelled clips are used.",
    ),
    "gated": ("Gated fusion", "Ours with a gate in place of concatenation."),
    "cross_attention": ("Cross-attention", "Ours with attention between the two sequences of patches."),
    "mixture": ("Mixture", "Ours with three experts and a learned token for an absent modality."),
    "ours": ("Ours", "The paper's method: two encoders, embeddings averaged and concatenated, three heads."),
}


@dataclass(frozen=True)
class Measured:
    """A method that was run: who it is, and what was found. `p_value` is that of the per-subject AUC, by label."""

    method: str
    inputs: str
    provenance: str
    licence: str
    estimates: Estimates
    p_value: Mapping[str, float]


@dataclass(frozen=True)
class Setting:
    """What the measured rows were measured on; `attainable` holds each label's best AUC, (pooled, per subject)."""

    cohort: str
    protocol: str
    seeds: int
    subjects: int
    clips: int
    attainable: Mapping[str, tuple[float, float]] | None


def assemble(measured: Sequence[Measured], setting: Setting) -> pd.DataFrame:
    """The tidy frame of Table 1: reported rows as printed, then measured rows in the order given."""
    rows = [*_reported_rows(), *(row for each in measured for row in _measured_rows(each, setting))]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(("seeds", "subjects", "clips"), "Int64"))  # empty for reported rows, yet whole


def reported() -> list[dict[str, str]]:
    """The eleven rows that the paper prints, in its order, as text; `notes` holds keys of the doubts about them."""
    text = files("physiopipe.results").joinpath("reported.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def title_of(method: str) -> str:
    """How a measured method is called in tables and figures."""
    return _TITLES.get(method, (method.replace("_", " ").capitalize(), ""))[0]


def note_of(method: str, inputs: str, provenance: str, licence: str) -> str:
    """One sentence or two on a measured row: what it is, what it reads, where its code is from."""
    return f"{_TITLES.get(method, ('', ''))[1]} Reads {inputs or 'no signal'}; {provenance}; licence {licence}.".strip()


def _reported_rows() -> list[dict[str, Any]]:
    return [
        {
            "kind": "reported", "cohort": "DREAMER", "method": printed["method"], "title": printed["method"],
            "reference": printed["reference"], "protocol": "paper", "label": label, "metric": metric,
            "value_percent": float(printed[f"{label}_{metric}"]),
            "notes": NOTE_SEPARATOR.join(_NOTES[key] for key in printed["notes"].split()),
        }
        for printed in reported()
        for label in LABELS
        for metric in PRINTED_METRICS
    ]  # fmt: skip


def _measured_rows(one: Measured, setting: Setting) -> list[dict[str, Any]]:
    return [
        {
            "kind": "measured", "cohort": setting.cohort, "method": one.method, "title": title_of(one.method),
            "inputs": one.inputs, "provenance": one.provenance, "licence": one.licence,
            "protocol": setting.protocol, "seeds": setting.seeds, "subjects": setting.subjects,
            "clips": setting.clips, "label": label, "metric": metric,
            "value_percent": _percent(one.estimates.value[label][metric]),
            "low_percent": _percent(one.estimates.low[label][metric]),
            "high_percent": _percent(one.estimates.high[label][metric]),
            "p_value": round(one.p_value[label], 6) if metric == "subject_auc" else math.nan,
            "attainable_percent": _percent(attainable_of(setting.attainable, label, metric)),
            "notes": note_of(one.method, one.inputs, one.provenance, one.licence),
        }
        for label in (*LABELS, MEAN)
        for metric in METRICS
    ]  # fmt: skip


def attainable_of(attainable: Mapping[str, tuple[float, float]] | None, label: str, metric: str) -> float:
    """Best AUC that the simulation allows for a label (or their mean); NaN for other metrics and real cohorts."""
    if attainable is None or metric not in ("auc", "subject_auc"):
        return math.nan
    values = [attainable[each][metric == "subject_auc"] for each in ([label] if label != MEAN else LABELS)]
    return sum(values) / len(values)


def _percent(share: float) -> float:
    return round(100 * share, 4)
