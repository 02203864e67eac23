"""The parts of the report that are words and tables, each as a piece of HTML."""

import base64
import html
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.files import read_json
from physiopipe.params import Params
from physiopipe.report.composition import by_source, clip_table
from physiopipe.report.figures import DPI, read_table
from physiopipe.results.contrasts import caption, notes_of, shown
from physiopipe.results.evaluate import read_test_set
from physiopipe.results.table1 import title_of

_CSS_DPI = 96  # what a browser calls an inch
SHOWN_REJECTS = 300  # a page for reading; all of them are in rejected.csv
_LIBRARIES = (
    "physiopipe", "torch", "numpy", "scipy", "pandas", "scikit-learn", "zarr", "mne", "wfdb", "matplotlib", "pyarrow",
    "snakemake", "dvc",
)  # fmt: skip
_CITATIONS = (
    ("The paper", "Ghallab Y., Iraqy O., Kandil M., et al. Leveraging Foundational Models and Simple Fusion for "
     "Multi-modal Physiological Signal Analysis.", ""),
    ("MNE-Python", "Gramfort A., et al. MEG and EEG data analysis with MNE-Python. Front. Neurosci. 7:267, 2013. "
     "doi:10.3389/fnins.2013.00267.", "BSD-3-Clause"),
)  # fmt: skip

_SPLIT_NOTE = (
    "The split is by record: no window of a held-out record was trained on. It is not by patient: PTB and PTB-XL have "
    "several records of some patients, and the Challenge's headers name no patient, so held-out records of these "
    "sources may be of patients whose other records were trained on."
)
_BASELINES_NOTE = (
    "Without learning: zero; the mean of a lead's visible patches; a straight line across each gap. The limb "
    "identities (Einthoven, Goldberger) compute a hidden limb lead, in millivolt, from the limb leads visible in the "
    "same patch, and scale it as the truth is scaled, which the encoder cannot know; hidden chest leads, and patches "
    "with fewer than two visible limb leads, count as zero. Interpolation and identities leave visible patches as "
    "they are."
)


def summary(results_folder: Path, params: Params) -> str:
    metrics = read_json(results_folder / "metrics.json")
    rows = []
    for method in params.table_methods:
        mean = metrics[method]["mean"]
        if "subject_auc" not in mean:
            continue
        row: dict[str, Any] = {
            "Method": title_of(method),
            "AUC within subjects, mean of labels": f"{100 * mean['subject_auc']:.1f}",
            f"{params.evaluate.confidence:.0%} interval": _interval(mean),
            "p": f"{mean['subject_auc_p']:.2g}",
        }
        if "attainable_share" in mean:
            row["Share of the attainable excess over chance"] = f"{mean['attainable_share']:.0%}"
        rows.append(row)
    high = f"<p>High is a rating of {params.finetune.high_from} or more.</p>"
    return as_table(pd.DataFrame(rows)) + high


def _interval(numbers: dict[str, float]) -> str:
    if "subject_auc_low" not in numbers:
        return "–"
    return f"{100 * numbers['subject_auc_low']:.1f} to {100 * numbers['subject_auc_high']:.1f}"


def comparisons(rows: pd.DataFrame, params: Params) -> str:
    shown = pd.DataFrame(
        {
            "Difference": [
                f"{title_of(a)} − {title_of(b)}" for a, b in zip(rows["first"], rows["second"], strict=True)
            ],
            "Points": rows["difference_percent"].map("{:+.1f}".format),
            f"{params.evaluate.confidence:.0%} interval": [
                f"{low:+.1f} to {high:+.1f}"
                for low, high in zip(rows["low_percent"], rows["high_percent"], strict=True)
            ],
            "p": rows["p_value"].map("{:.2g}".format),
            "p, Holm": rows["p_holm"].map("{:.2g}".format),
        }
    )
    words = (
        "AUC within subjects, mean of the labels, percentage points. Paired over subjects: signs of the subjects' "
        "differences flipped, two-sided; Holm's correction for the number of comparisons. With n subjects no p can be "
        "under 2 / 2<sup>n</sup>."
    )
    return f"<p>{words}</p>{as_table(shown)}"


def contrasts(frame: pd.DataFrame, what: str, params: Params) -> str:
    """A table of rows that are each compared with another, with its caption and notes."""
    words = f"<p>{html.escape(caption(frame, what, params.evaluate.confidence))}</p>"
    if frame.empty:
        return words
    notes = "".join(f"<p>* {html.escape(note)}</p>" for note in notes_of(frame))
    return words + as_table(shown(frame)) + notes


def pretraining(path: Path) -> str:
    """Held-out loss of the encoder beside reconstructions without learning; whole, by rate and by source."""
    metrics = read_json(path)
    losses = {"trained encoder": metrics["held_out"], **metrics["baselines"]}
    whole = {name: {term: v for term, v in one.items() if not isinstance(v, dict)} for name, one in losses.items()}
    parts = [f"<p>Mean squared error on held-out records, the same masks for every row.</p>{_losses(whole)}"]
    parts += [f"<p>{html.escape(_SPLIT_NOTE)}</p>", f"<p>{html.escape(_BASELINES_NOTE)}</p>"]
    for group, unit in (("by_rate_hz", " Hz"), ("by_source", "")):
        rows = {name: {f"{key}{unit}": v for key, v in one.get(group, {}).items()} for name, one in losses.items()}
        if any(rows.values()):
            parts.append(f"<p>Total loss {group.removesuffix('_hz').replace('_', ' ')}:</p>{_losses(rows)}")
    numbers = [(key.replace("_", " "), f"{value:,}") for key, value in metrics.items() if isinstance(value, int)]
    return "".join(parts) + as_table(pd.DataFrame(numbers, columns=["Quantity", "Number"]))


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


def composition(cohort: str, index: pd.DataFrame, params: Params) -> str:
    if cohort == "dreamer":
        origin = "simulated" if params.simulated else "the file from its authors"
        unit = params.data.dreamer.eeg_unit_uv
        words = (
            f"Origin: {origin}. {index['subject'].nunique()} subjects, {len(clip_table(index))} clips. "
            f"The file documents no units: one unit of its EEG is taken as {unit:g} µV, its ECG is only ever z-scored."
        )
        return f"<p>{html.escape(words)}</p>{as_table(by_source(index, ['dreamer']))}"
    challenge = params.data.challenge
    table = by_source(index, challenge.sources)
    missing = list(table.loc[table["records"] == 0, "source"])
    origin = "simulated" if challenge.origin == "simulated" else challenge.base_url
    notes = f"<p>Origin: {html.escape(origin)}.</p>"
    if missing:
        allowed = " (data.challenge.allow_missing_sources is on)" if challenge.allow_missing_sources else ""
        notes += f"<p><b>Sources without any record here: {html.escape(', '.join(missing))}</b>{allowed}.</p>"
    return notes + as_table(table)


def rejected(path: Path) -> str:
    rows = read_table(path)
    if rows.empty:
        return "<p>None.</p>"
    more = f" The first {SHOWN_REJECTS} are shown, rejected.csv holds all." if len(rows) > SHOWN_REJECTS else ""
    return f"<p>Recordings that were not used: {len(rows)}.{more}</p>{as_table(rows.head(SHOWN_REJECTS), 'words')}"


def left_out(predictions: Path, params: Params) -> str:
    about = read_test_set(predictions, params).about
    rows = {tuple(map(str, row)) for each in about.values() for row in each.get("left_out", ())}
    if not rows:
        return "<p>None: every clip of the windows was used.</p>"
    return as_table(pd.DataFrame(sorted(rows), columns=["Subject", "Clip", "Reason"]), "words")


def citations(params: Params) -> str:
    names = (*params.data.challenge.sources, "dreamer", "cbramod_weights")
    sources = [
        (info.name, info.citation, f"{info.licence} ({info.access})") for info in (SOURCE_INFO[name] for name in names)
    ]
    simulated = [
        name
        for name, origin in (("challenge", params.data.challenge.origin), ("dreamer", params.data.dreamer.origin))
        if origin == "simulated"
    ]
    words = f"<p>Simulated here, cited for their layout alone: {', '.join(simulated)}.</p>" if simulated else ""
    return words + as_table(pd.DataFrame([*_CITATIONS, *sources], columns=["What", "Cite", "Licence"]), "words")


def parameters(params: Params) -> str:
    """All of params.yaml, folded."""
    text = yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, width=100)
    code = f'<pre><code class="language-yaml">{html.escape(text)}</code></pre>'
    return f"<details><summary>All of params.yaml, {len(text.splitlines())} lines</summary>{code}</details>"


def versions() -> str:
    found = [("Python", platform.python_version())]
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return as_table(pd.DataFrame(found, columns=["Software", "Version"]), "words")


def as_table(frame: pd.DataFrame, kind: str = "numbers") -> str:
    body = frame.to_html(index=False, border=0, classes=kind, justify="left", na_rep="–", float_format="{:.2f}".format)
    return f'<div class="wide">{body}</div>'


def figure(path: Path, title: str, caption: str) -> str:
    """A PNG inside the page, no larger than it was drawn; a narrow screen scrolls it before it gets too small."""
    content = path.read_bytes()
    width_px = int.from_bytes(content[16:20], "big")  # of the header chunk, which is the first
    data = base64.b64encode(content).decode("ascii")
    image = f'<img alt="{html.escape(title)}" style="--drawn: {width_px * _CSS_DPI / DPI:.0f}px" '
    image += f'src="data:image/png;base64,{data}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{html.escape(caption)}</figcaption></figure>'
