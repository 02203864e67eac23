"""Table 1 as data: the rows that a paper printed, if any, and the measured ones, in one tidy frame.

One row a method, task and metric; values in percent. Text forms of the table are set from this frame alone
(`physiopipe.results.typeset`), so csv, md, tex and the report always agree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from physiopipe.cohorts.reported import PRINTED_METRICS
from physiopipe.results.intervals import MEAN, Estimates
from physiopipe.results.oracle import ORACLE, TITLE, note
from physiopipe.results.study import Study
from physiopipe.results.test_set import TestSet, title_of

COLUMNS = (
    "kind", "cohort", "simulated", "method", "title", "reference", "inputs", "provenance", "licence", "protocol",
    "seeds", "subjects", "clips", "label", "metric", "value_percent", "low_percent", "high_percent", "p_value",
    "mean_rank", "trained_parameters", "notes",
)  # fmt: skip
NOTE_SEPARATOR = " | "


@dataclass(frozen=True)
class Measured:
    """What was found of a method that was run.

    `p_value` is that of the headline metric, by task; `mean_rank` that over people and tasks, 1 the best (NaN where
    there are too few rows); `trained_parameters` the median over folds, None where it is not known.
    """

    method: str
    estimates: Estimates
    p_value: Mapping[str, float]
    mean_rank: float = math.nan
    trained_parameters: int | None = None


def assemble(
    measured: Sequence[Measured], test: TestSet, study: Study, oracle: Estimates | None = None
) -> pd.DataFrame:
    """The whole table, COLUMNS; cells that do not apply are empty. The oracle's rows, of their own kind, come last."""
    rows = _reported_rows(study)
    for one in measured:
        rows += _measured_rows(one, test, study)
    if oracle is not None and study.latents is not None:
        about = {"title": TITLE, "provenance": "the simulation", "licence": ""}
        no_p = dict.fromkeys((*study.tasks, MEAN), math.nan)
        rows += _estimated_rows("oracle", Measured(ORACLE, oracle, no_p), about, note(study.latents), test, study)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = ("seeds", "subjects", "clips", "trained_parameters")
    return frame.astype(dict.fromkeys(whole, "Int64"))  # empty for reported rows


def note_of(about: Mapping[str, Any]) -> str:
    """What a measured row is, what it reads, what its encoders were trained on, and where its code is from.

    Args:
        about: what the row's predictions file says of itself: note, details, reads (else inputs), encoders,
            provenance, licence.
    """
    sentences = [
        str(about.get("note", "")),
        str(about.get("details", "")),
        str(about.get("reads", "")) or f"Reads {inputs_of(about) or 'no signal'}.",
        *encoders_of(about),
        f"Code: {about.get('provenance', 'unknown')}; licence {about.get('licence', 'unknown')}.",
    ]
    return " ".join(each.strip().rstrip(".") + "." for each in sentences if each.strip())


def encoders_of(about: Mapping[str, Any]) -> list[str]:
    """A sentence on what each encoder of a row was trained on."""
    told = about.get("encoders") or {}
    if isinstance(told, str):
        return [told]
    if isinstance(told, Mapping):
        return [f"{modality.upper()} encoder: {words}" for modality, words in told.items()]
    return [str(words) for words in told]


def inputs_of(about: Mapping[str, Any]) -> str:
    """The modalities that a row reads, as words; empty where it reads none."""
    return " + ".join(each.upper() for each in about.get("inputs", ()))


def _reported_rows(study: Study) -> list[dict[str, Any]]:
    if study.reported is None:
        return []
    return [
        {
            "kind": "reported", "cohort": study.cohort, "simulated": False, "method": row.method, "title": row.method,
            "reference": row.reference, "protocol": "paper", "label": task, "metric": metric,
            "value_percent": float(row.value_percent[task, metric]), "notes": NOTE_SEPARATOR.join(row.notes),
        }
        for row in study.reported.rows
        for task in study.tasks
        for metric in PRINTED_METRICS
    ]  # fmt: skip


def _measured_rows(one: Measured, test: TestSet, study: Study) -> list[dict[str, Any]]:
    about = test.about[one.method]
    return _estimated_rows("measured", one, about, note_of(about), test, study)


def _estimated_rows(
    kind: str, one: Measured, about: Mapping[str, Any], notes: str, test: TestSet, study: Study
) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind, "cohort": study.cohort, "simulated": study.simulated, "method": one.method,
            "title": title_of(one.method, about), "inputs": inputs_of(about),
            "provenance": str(about.get("provenance", "unknown")), "licence": str(about.get("licence", "unknown")),
            "protocol": study.settings.protocol, "seeds": len(study.settings.seeds), "subjects": len(test.subjects),
            "clips": test.clips, "label": task, "metric": metric,
            "value_percent": _percent(one.estimates.value[task][metric]),
            "low_percent": _percent(one.estimates.low[task][metric]),
            "high_percent": _percent(one.estimates.high[task][metric]),
            "p_value": round(one.p_value[task], 6) if metric == study.headline else math.nan,
            "mean_rank": round(one.mean_rank, 4) if (task, metric) == (MEAN, study.headline) else math.nan,
            "trained_parameters": one.trained_parameters, "notes": notes,
        }
        for task in (*study.tasks, MEAN)
        for metric in study.metrics
    ]  # fmt: skip


def _percent(share: float) -> float:
    return round(100 * share, 4)
