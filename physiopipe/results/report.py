"""results/report.html: the whole study on one page that loads nothing from elsewhere."""

import html
import platform
import re
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mne
import pandas as pd
import yaml

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, read_json
from physiopipe.params import Params
from physiopipe.results.composition import by_source, clip_table, flags_by_source
from physiopipe.results.evaluate import read_test_set
from physiopipe.results.figures import read_table
from physiopipe.results.table1 import title_of
from physiopipe.results.typeset import as_html, typeset

SHOWN_REJECTS = 300  # a page for reading; all of them are in rejected.csv
_LIBRARIES = (
    "physiopipe", "torch", "numpy", "scipy", "pandas", "scikit-learn", "zarr", "mne", "wfdb", "matplotlib", "pyarrow",
    "snakemake", "dvc",
)  # fmt: skip
_CITATIONS = (
    ("The paper", "Ghallab Y., Iraqy O., Kandil M., et al. Leveraging Foundational Models and Simple Fusion for "
     "Multi-modal Physiological Signal Analysis.", ""),
    ("DREAMER", "Katsigiannis S., Ramzan N. IEEE J. Biomed. Health Inform. 22(1):98–107, 2018. "
     "doi:10.1109/JBHI.2017.2688239; Zenodo 546113.", "on request, not to be passed on"),
    ("Challenge 2021", "Reyna M. A., et al. Will Two Do? Varying Dimensions in Electrocardiography: The "
     "PhysioNet/Computing in Cardiology Challenge 2021. CinC 48, 2021. doi:10.22489/CinC.2021.109; "
     "PhysioNet challenge-2021/1.0.3.", "CC BY 4.0"),
    ("CBraMod", "Wang J., Zhao S., Luo Z., et al. CBraMod: A Criss-Cross Brain Foundation Model for EEG Decoding. "
     "ICLR 2025.", "code MIT, weights Apache-2.0"),
    ("MNE-Python", "Gramfort A., et al. MEG and EEG data analysis with MNE-Python. Front. Neurosci. 7:267, 2013. "
     "doi:10.3389/fnins.2013.00267.", "BSD-3-Clause"),
)  # fmt: skip
_BANNER = "Simulated cohort: planted effects, no recorded person. These numbers say nothing about people."
_CSS = """
h4 { font-size: 1.05rem; margin-top: 1rem; }
table { border-collapse: collapse; font-size: .85rem; margin-bottom: .75rem; }
th, td { padding: .15rem .5rem; border-bottom: 1px solid #ddd; text-align: right; }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
table.words td, table.words th { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
table.table1 thead th { text-align: center; }
.wide { overflow-x: auto; max-width: 100%; }
.simulated { background: #ffe9a8; color: #3d2e00; border: 2px solid #b98900; padding: .5rem .75rem; font-weight: 600; }
pre { max-width: 100%; overflow-x: auto; }
img { max-width: 100%; height: auto; }
.badge, #filter-by-tags-dropdown-menu { display: none; }
@media (max-width: 800px) {
  #toc { display: none; }
  #content { width: 100%; margin-left: 0; padding: 0 .25rem; }
  .accordion-body { padding: .5rem .25rem; overflow-x: auto; }
  .accordion-body img { max-width: none; min-width: 36rem; }
}
"""
_VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'  # without it a phone shows 980 px


def write_report(results_folder: Path, windows_root: Path, params: Params, out: Path) -> None:
    """Write the page to `out`.

    Args:
        results_folder: holds table1.csv, comparisons.csv, metrics.json, predictions/, pretrain/metrics.json, figures/.
        windows_root: holds challenge/ and dreamer/ with index.parquet, rejected.csv and manifest.json.

    Raises:
        PhysiopipeError: an input is missing; it says which step writes it.
    """
    report = mne.Report(title="physiopipe: simulated cohort" if params.simulated else "physiopipe", verbose="error")
    report.add_custom_css(_CSS)
    add = _adder(report, params)
    frame = read_table(results_folder / "table1.csv")
    add(
        "Result",
        "Table 1",
        _summary(results_folder, params) + as_html(typeset(frame, params.evaluate.confidence)),
    )
    add("Result", "Comparisons", _comparisons(read_table(results_folder / "comparisons.csv"), params))
    for section, title, name, caption in _FIGURES:
        _add_figure(report, section, title, results_folder / "figures" / f"{name}.png", caption)
    add("Pretraining", "Pretraining: numbers", _pretraining(results_folder / "pretrain" / "metrics.json"))
    for cohort in ("challenge", "dreamer"):
        index = read_table(windows_root / cohort / "index.parquet")
        add("Data", f"Data: {cohort}", _composition(cohort, index, params))
        add("Data", f"Quality flags: {cohort}", _quality(index))
        add("Data", f"Rejected: {cohort}", _rejected(windows_root / cohort / "rejected.csv"))
    add("Data", "Clips left out", _left_out(results_folder / "predictions", params))
    report.add_code(
        yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, width=100), "Parameters", language="yaml"
    )
    add("How", "Versions", _versions())
    add(
        "How",
        "How to cite, and licences",
        _table(pd.DataFrame(_CITATIONS, columns=["What", "Cite", "Licence"]), "words"),
    )
    _save(report, out)


_FIGURES = (
    ("Result", "AUC within subjects", "subject_auc",
     "Dots: subjects (seeds averaged). Diamond and bar: their mean and its interval. Grey: chance."),
    ("Result", "ROC curves", "roc", "Clips pooled within a seed, vertical mean over seeds."),
    ("Result", "Confusion", "confusion", "Clips, mean over seeds."),
    ("Training", "Fine-tuning loss (figure 3)", "finetuning_loss", "Thin lines: seeds and folds."),
    ("Pretraining", "Pretraining loss (figure 2)", "pretraining_loss", "Mean squared error of equations 4 and 5."),
    ("Data", "Records and windows", "challenge_composition", "Records by source; windows by source and rate."),
    ("Data", "Length of records", "challenge_lengths", "As covered by windows."),
    ("Data", "Length of clips", "dreamer_lengths", "As covered by windows."),
    ("Data", "Ratings", "dreamer_ratings", "Each subject's rating of each clip."),
)  # fmt: skip


def _save(report: Any, out: Path) -> None:
    with atomic_file(out) as temporary:
        page = temporary.with_suffix(".html")  # mne.Report chooses the format by the suffix
        try:
            report.save(page, open_browser=False, overwrite=True, verbose="error")
            text = page.read_text(encoding="utf-8")
        finally:
            page.unlink(missing_ok=True)
        text = text.replace("<head>", f"<head>\n  {_VIEWPORT}", 1)
        text = re.sub(r"Created on [-\d: ]+ via", "Made with", text)  # a date would make equal results differ
        temporary.write_text(text, encoding="utf-8")


def _adder(report: Any, params: Params) -> Callable[[str, str, str], None]:
    """Adds a part to the page; on a simulated cohort each part on results says so."""
    banner = f'<p class="simulated">{_BANNER}</p>' if params.simulated else ""

    def add(section: str, title: str, body: str) -> None:
        report.add_html((banner if section == "Result" else "") + body, title, section=section)

    return add


def _add_figure(report: Any, section: str, title: str, path: Path, caption: str) -> None:
    if path.exists():
        report.add_image(path, title, caption=caption, section=section)
    elif path.stem != "finetuning_loss":  # absent where no method is trained in epochs
        raise PhysiopipeError(f"{path} is missing: draw the figures first (`physiopipe report` does both).")


def _summary(results_folder: Path, params: Params) -> str:
    metrics = read_json(results_folder / "metrics.json")
    rows = []
    for method in params.methods:
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
    return _table(pd.DataFrame(rows)) + high


def _interval(numbers: dict[str, float]) -> str:
    if "subject_auc_low" not in numbers:
        return "–"
    return f"{100 * numbers['subject_auc_low']:.1f} to {100 * numbers['subject_auc_high']:.1f}"


def _comparisons(rows: pd.DataFrame, params: Params) -> str:
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
    return f"<p>{words}</p>{_table(shown)}"


def _pretraining(path: Path) -> str:
    rows = list(_leaves(read_json(path)))
    return _table(pd.DataFrame(rows, columns=["Quantity", "Value"]))


def _leaves(content: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{where} › {key}" if where else str(key))
    else:
        yield where.replace("_", " "), f"{content:.4g}" if isinstance(content, float) else str(content)


def _composition(cohort: str, index: pd.DataFrame, params: Params) -> str:
    if cohort == "dreamer":
        origin = "simulated" if params.simulated else "the file from its authors"
        unit = params.data.dreamer.eeg_unit_uv
        words = (
            f"Origin: {origin}. {index['subject'].nunique()} subjects, {len(clip_table(index))} clips. "
            f"The file documents no units: one unit of its EEG is taken as {unit:g} µV, its ECG is only ever z-scored."
        )
        return f"<p>{html.escape(words)}</p>{_table(by_source(index, ['dreamer']))}"
    challenge = params.data.challenge
    table = by_source(index, challenge.sources)
    missing = list(table.loc[table["records"] == 0, "source"])
    origin = "simulated" if challenge.origin == "simulated" else challenge.base_url
    notes = f"<p>Origin: {html.escape(origin)}.</p>"
    if missing:
        allowed = " (data.challenge.allow_missing_sources is on)" if challenge.allow_missing_sources else ""
        notes += f"<p><b>Sources without any record here: {html.escape(', '.join(missing))}</b>{allowed}.</p>"
    return notes + _table(table)


def _quality(index: pd.DataFrame) -> str:
    words = "Share of windows with each flag, percent. A flag marks a window; it never drops one from a test set."
    return f"<p>{words}</p>{_table(flags_by_source(index))}"


def _rejected(path: Path) -> str:
    rows = read_table(path)
    if rows.empty:
        return "<p>None.</p>"
    more = f" The first {SHOWN_REJECTS} are shown, rejected.csv holds all." if len(rows) > SHOWN_REJECTS else ""
    return f"<p>Recordings that were not used: {len(rows)}.{more}</p>{_table(rows.head(SHOWN_REJECTS), 'words')}"


def _left_out(predictions: Path, params: Params) -> str:
    about = read_test_set(predictions, params).about
    rows = {tuple(map(str, row)) for each in about.values() for row in each.get("left_out", ())}
    if not rows:
        return "<p>None: every clip of the windows was used.</p>"
    return _table(pd.DataFrame(sorted(rows), columns=["Subject", "Clip", "Reason"]), "words")


def _versions() -> str:
    found = [("Python", platform.python_version())]
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return _table(pd.DataFrame(found, columns=["Software", "Version"]), "words")


def _table(frame: pd.DataFrame, kind: str = "numbers") -> str:
    body = frame.to_html(index=False, border=0, classes=kind, justify="left", na_rep="–", float_format="{:.2f}".format)
    return f'<div class="wide">{body}</div>'
