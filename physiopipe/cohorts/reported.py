"""Rows that a paper printed on a cohort, and what is to be said of them; a cohort names them in `Cohort.reported`."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRINTED_METRICS = ("accuracy", "f1", "auc")


@dataclass(frozen=True)
class ReportedRow:
    """A printed row: `value_percent` by task and metric as text, as printed; `notes` are doubts about it."""

    method: str
    reference: str
    value_percent: Mapping[tuple[str, str], str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reported:
    """The printed rows of a cohort.

    Attributes:
        title: of their block of Table 1.
        rows: in print's order.
        footnotes: `clip rule → sentences` under the table, on what the cohort's counts mean for its metrics.
    """

    title: str
    rows: tuple[ReportedRow, ...]
    footnotes: Callable[[Any], tuple[str, ...]] = field(default=lambda _: ())


def read_reported(path: Path, notes: Mapping[str, str]) -> tuple[ReportedRow, ...]:
    """Rows of a csv with the columns method, reference, `<task>_<metric>` (percent) and notes (keys of `notes`)."""
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(
            ReportedRow(
                method=row.pop("method"),
                reference=row.pop("reference"),
                notes=tuple(notes[key] for key in row.pop("notes").split()),
                value_percent={
                    (column.removesuffix(f"_{metric}"), metric): value
                    for column, value in row.items()
                    for metric in PRINTED_METRICS
                    if column.endswith(f"_{metric}")
                },
            )
            for row in csv.DictReader(handle)
        )
