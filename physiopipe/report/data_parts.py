"""The report's words and tables on data, parameters, versions and sources."""

import html
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.params import Params
from physiopipe.report.data_facts import DataFacts
from physiopipe.report.data_figures import by_source, clip_table
from physiopipe.report.html_table import as_table
from physiopipe.report.parts import paragraph
from physiopipe.report.read_table import read_table

SHOWN_REJECTS = 300  # a page for reading; all of them are in rejected.csv
_LIBRARIES = (
    "physiopipe", "torch", "numpy", "scipy", "pandas", "scikit-learn", "zarr", "mne", "wfdb", "matplotlib", "pyarrow",
    "snakemake", "dvc",
)  # fmt: skip
_PAPER = (
    "The paper", "Ghallab Y., Iraqy O., Kandil M., et al. Leveraging Foundational Models and Simple Fusion for "
    "Multi-modal Physiological Signal Analysis.", "",
)  # fmt: skip


def composition(index: pd.DataFrame, facts: DataFacts) -> str:
    """Where a cohort's recordings come from, and records, hours and windows by source."""
    words = list(facts.notes)
    if facts.tasks:
        subjects = index["subject"].nunique()
        words.append(f"{subjects} subjects, {len(clip_table(index, facts.tasks))} clips.")
    table = by_source(index, facts.sources)
    missing = list(table.loc[table["records"] == 0, "source"])
    notes = paragraph(" ".join(words))
    if missing:
        allowed = f" (data.{facts.cohort}.allow_missing_sources is on)" if facts.allow_missing else ""
        notes += f"<p><b>Sources without any record here: {html.escape(', '.join(missing))}</b>{allowed}.</p>"
    return notes + as_table(table)


def rejected(path: Path) -> str:
    """Recordings that were not used, with the reason."""
    rows = read_table(path)
    if rows.empty:
        return "<p>None.</p>"
    more = f" The first {SHOWN_REJECTS} are shown, rejected.csv holds all." if len(rows) > SHOWN_REJECTS else ""
    return paragraph(f"Recordings that were not used: {len(rows)}.{more}") + as_table(rows.head(SHOWN_REJECTS))


def left_out(about: Iterable[Mapping[str, Any]]) -> str:
    """Clips that no method was given, with the reason."""
    rows = {tuple(map(str, row)) for each in about for row in each.get("left_out", ())}
    if not rows:
        return "<p>None: every clip of the windows was used.</p>"
    return as_table(pd.DataFrame(sorted(rows), columns=["Subject", "Clip", "Reason"]))


def artefacts(about: Iterable[Mapping[str, Any]]) -> str:
    """How many samples of the clips were beyond a limit, and what became of them."""
    found = list(dict.fromkeys(str(line) for each in about for line in each.get("artefacts", ())))
    return "".join(paragraph(line) for line in found) or "<p>No limit was asked for.</p>"


def citations(cohorts: Sequence[DataFacts]) -> str:
    """What to cite, with licences."""
    weights = SOURCE_INFO["cbramod_weights"]
    rows = [
        _PAPER,
        *(row for facts in cohorts for row in facts.citations),
        (weights.name, weights.citation, f"{weights.licence} ({weights.access})"),
    ]
    simulated = [facts.title for facts in cohorts if facts.simulated]
    words = f"Simulated here, cited for their layout alone: {', '.join(simulated)}."
    return (paragraph(words) if simulated else "") + as_table(pd.DataFrame(rows, columns=["What", "Cite", "Licence"]))


def parameters(params: Params) -> str:
    """All of params.yaml."""
    text = yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, width=100)
    return f'<pre><code class="language-yaml">{html.escape(text)}</code></pre>'


def versions() -> str:
    """Software that this page was made with."""
    found = [("Python", platform.python_version())]
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return as_table(pd.DataFrame(found, columns=["Software", "Version"]))
