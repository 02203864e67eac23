"""The report's words and tables on pretraining: held-out losses beside reconstructions without learning."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from physiopipe.files import read_json
from physiopipe.report.html_table import as_table
from physiopipe.report.parts import paragraph

_SPLIT_NOTE = (
    "The split is by record: no window of a held-out record was trained on. It is not by patient: where a source has "
    "several records of a patient and names none, held-out records may be of patients whose other records were trained "
    "on."
)
_BASELINES_NOTE = (
    "Without learning: zero; the mean of a lead's visible patches; a straight line across each gap. The limb "
    "identities (Einthoven, Goldberger) compute a hidden limb lead, in millivolt, from the limb leads visible in the "
    "same patch, and scale it as the truth is scaled, which the encoder cannot know; hidden chest leads, and patches "
    "with fewer than two visible limb leads, count as zero. Interpolation and identities leave visible patches as "
    "they are."
)
_ENCODER = "trained encoder"


def pretraining(path: Path) -> str:
    """Held-out loss of the encoder beside reconstructions without learning; whole, by rate and by source."""
    metrics = read_json(path)
    losses = {_ENCODER: metrics["held_out"], **metrics["baselines"]}
    whole = {name: {term: v for term, v in one.items() if not isinstance(v, dict)} for name, one in losses.items()}
    warning = worse_than_zero(metrics)
    parts = [f'<p class="warning">{html.escape(warning)}</p>'] if warning else []
    parts.append(f"<p>Mean squared error on held-out records, the same masks for every row.</p>{_losses(whole)}")
    parts += [paragraph(_SPLIT_NOTE), paragraph(_BASELINES_NOTE)]
    for group, unit in (("by_rate_hz", " Hz"), ("by_source", "")):
        rows = {name: {f"{key}{unit}": v for key, v in one.get(group, {}).items()} for name, one in losses.items()}
        if any(rows.values()):
            parts.append(f"<p>Total loss {group.removesuffix('_hz').replace('_', ' ')}:</p>{_losses(rows)}")
    numbers = [(key.replace("_", " "), f"{value:,}") for key, value in metrics.items() if isinstance(value, int)]
    return "".join(parts) + as_table(pd.DataFrame(numbers, columns=["Quantity", "Number"]))


def worse_than_zero(metrics: Mapping[str, Any]) -> str:
    """A sentence where the encoder's held-out loss is above that of predicting zero, whole or at some rate or source;
    else empty.
    """
    encoder, zero = metrics["held_out"], metrics["baselines"].get("zero", {})
    found = []
    if "total" in zero and encoder["total"] > zero["total"]:
        found.append(f"as a whole ({encoder['total']:.2f} against {zero['total']:.2f})")
    for group, unit in (("by_rate_hz", " Hz"), ("by_source", "")):
        losses, nothing = encoder.get(group, {}), zero.get(group, {})
        worse = sorted((key for key in losses if key in nothing and losses[key] > nothing[key]), key=_loss_order)
        found += [f"{key}{unit} ({losses[key]:.2f} against {nothing[key]:.2f})" for key in worse]
    return f"On held-out records the encoder is worse than predicting zero: {'; '.join(found)}." if found else ""


def _losses(rows: Mapping[str, Mapping[str, float]]) -> str:
    frame = pd.DataFrame.from_dict({name.replace("_", " "): dict(one) for name, one in rows.items()}, orient="index")
    frame = frame[sorted(frame.columns, key=_loss_order)].map("{:.4f}".format)
    frame = frame.rename(columns=lambda name: str(name).replace("_", " "))
    return as_table(frame.rename_axis("Reconstruction").reset_index())


def _loss_order(name: object) -> tuple[bool, float, str]:
    """The total first, rates by number, the rest by name: JSON keys come sorted as text."""
    column = str(name)
    number = column.partition(" ")[0]
    return column != "total", float(number) if number.isdigit() else 0.0, column
