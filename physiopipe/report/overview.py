"""What was stored of one modality of a cohort, as figures and tables: what `snakemake --report` shows."""

from pathlib import Path

import pandas as pd

from physiopipe.files import atomic_file, write_json
from physiopipe.report import data_figures, quality_figures, quality_tables
from physiopipe.report.data_facts import DataFacts
from physiopipe.report.figures import save, to_palette
from physiopipe.report.read_table import read_table
from physiopipe.report.style import styled
from physiopipe.windows.store import WindowStore

CONTENT = "made_from.json"


def write_overview(
    windows: Path,
    out: Path,
    facts: DataFacts,
    modality: str,
    raw: quality_figures.RawReader | None = None,
) -> None:
    """Write records.csv, flags.csv, thresholds.csv, rejected.csv, lengths.png and quality.png into `out`.

    `CONTENT`, with the digest of the windows that they were made from, comes last.

    Args:
        windows: data/windows/<cohort>.
        modality: one that the cohort records.
        raw: gives the recordings that are still here, for the examples of the quality flags.

    Raises:
        PhysiopipeError: the windows are missing or damaged.
    """
    store = WindowStore(windows)
    index = store.index[store.index["modality"] == modality]
    tables = {
        "records": data_figures.by_source(index, facts.sources),
        "flags": quality_tables.flags_by_source(index),
        "thresholds": quality_tables.thresholds(facts, modality, quality_figures.units_of(store)[modality]),
        "rejected": read_table(windows / "rejected.csv"),  # of all modalities: a record may hold several
    }
    for name, table in tables.items():
        _write_csv(table, out / f"{name}.csv")
    with styled():
        unit = "clips" if facts.tasks else "records"
        save(data_figures.lengths_plot(index, unit), out / "lengths", simulated=facts.simulated)
        figure = quality_figures.quality_plot(store, facts, modality, raw)
        save(figure, out / "quality", simulated=facts.simulated)
        to_palette(out / "quality.png")
    for drawing in out.glob("*.svg"):  # the page of a workflow embeds each file: the small ones
        drawing.unlink()
    write_json(out / CONTENT, {"windows": store.manifest["content_sha256"]})


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False)
