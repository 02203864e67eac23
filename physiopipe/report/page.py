"""results/report.html: the whole study on one page that loads nothing from elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, sha256_file
from physiopipe.params import Params
from physiopipe.report import quality_page, quality_strips, reconstructions
from physiopipe.report import sections as report_parts
from physiopipe.report.figures import read_table
from physiopipe.results.side_tables import ABLATIONS_ARE, FUSIONS_ARE
from physiopipe.results.typeset import as_html, typeset
from physiopipe.windows.store import WindowStore

_BANNER = "Simulated cohort: planted effects, no recorded person. These numbers say nothing about people."
_CSS = """
h4 { font-size: 1.05rem; margin-top: 1rem; }
table { border-collapse: collapse; font-size: .85rem; margin-bottom: .75rem; }
th, td { padding: .15rem .4rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
thead th { vertical-align: bottom; }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead tr + tr th:first-child { position: static; text-align: right; }  /* its column is not the table's first */
tbody th { font-weight: normal; white-space: nowrap; }
table.words td, table.words th { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 6rem; }
table.words td:first-child { white-space: nowrap; min-width: 0; }
table.table1 thead th { text-align: center; }
/* Scrolls sideways; a shadow at an edge says that there is more */
.wide { overflow-x: auto; max-width: 100%; background:
  linear-gradient(to right, #fff 40%, transparent) left / 2rem 100% local no-repeat,
  linear-gradient(to left, #fff 40%, transparent) right / 2rem 100% local no-repeat,
  linear-gradient(to right, #0003, transparent) left / .6rem 100% scroll no-repeat,
  linear-gradient(to left, #0003, transparent) right / .6rem 100% scroll no-repeat; }
.simulated { background: #ffe9a8; color: #3d2e00; border: 2px solid #b98900; padding: .5rem .75rem; font-weight: 600; }
figure { margin: 0 0 .75rem; }
figure img { display: block; margin: auto; width: 100%; max-width: var(--drawn); height: auto; }
figcaption { text-align: center; font-size: .875rem; color: #555; }
pre { max-width: 100%; overflow-x: auto; }
code { overflow-wrap: anywhere; }
.navbar-brand img, .badge, #filter-by-tags-dropdown-menu { display: none !important; }
footer .navbar { position: static; }
@media (max-width: 800px) {
  .navbar-brand .fs-3 { font-size: 1.1rem !important; margin: 0 !important; }
  #toc { position: static !important; width: 100%; height: auto !important; padding-bottom: 0 !important; }
  #toc h5 { display: none; }
  #toc-navbar { flex-direction: row !important; }
  #toc-navbar a { width: auto; padding: .5rem .6rem; }
  #content { width: 100%; margin: 0 !important; padding: 0 .25rem; }
  .accordion-body { padding: .5rem .25rem; }
  table:not(.words) tbody th, table:not(.words) td:first-child { white-space: normal; min-width: 6.5rem; }
  table.words td:nth-child(2):not(:last-child) { min-width: 13rem; }
  figure img { min-width: calc(.72 * var(--drawn)); }
}
"""
_VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1">'  # without it a phone shows 980 px
_ALONE = (  # a browser refuses whatever is not in the page itself
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; font-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)


def write_report(results_folder: Path, windows_root: Path, params: Params, out: Path) -> None:
    """Write the page to `out`.

    Args:
        results_folder: holds table1.csv, comparisons.csv, fusions.csv, ablations.csv, metrics.json, predictions/,
            figures/, pretrain/{metrics.json, reconstructions.npz}.
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
        report_parts.summary(results_folder, params) + as_html(typeset(frame, params.evaluate.confidence)),
    )
    add("Result", "Comparisons", report_parts.comparisons(read_table(results_folder / "comparisons.csv"), params))
    for name, title, what in (("fusions", "Fusions", FUSIONS_ARE), ("ablations", "Ablations", ABLATIONS_ARE)):
        add("Result", title, report_parts.contrasts(read_table(results_folder / f"{name}.csv"), what, params))
    for section, title, name, caption in _FIGURES:
        _add_figure(report, section, title, results_folder / "figures" / f"{name}.png", caption)
    add("Pretraining", "Pretraining: numbers", report_parts.pretraining(results_folder / "pretrain" / "metrics.json"))
    for window in reconstructions.read_reconstructions(results_folder / "pretrain" / "reconstructions.npz"):
        title = f"Reconstructions against the truth: {window.rate_hz} Hz"
        path = results_folder / "figures" / f"{window.name}.png"
        _add_figure(report, "Pretraining", title, path, reconstructions.CAPTION)
    for cohort in ("challenge", "dreamer"):
        index = read_table(windows_root / cohort / "index.parquet")
        digest = sha256_file(windows_root / cohort / "manifest.json")
        manifest = f"<p>sha256 of manifest.json: <code>{digest}</code></p>"
        add("Data", f"Data: {cohort}", report_parts.composition(cohort, index, params) + manifest)
        store = WindowStore(windows_root / cohort)
        add("Data", f"Quality flags: {cohort}", quality_page.quality(store, cohort, params))
        for modality in quality_strips.units_of(store):
            name = f"quality_{cohort}_{modality}"
            title = f"Examples of the quality flags: {cohort}, {modality}"
            _add_figure(report, "Data", title, results_folder / "figures" / f"{name}.png", quality_page.CAPTION)
        add("Data", f"Rejected: {cohort}", report_parts.rejected(windows_root / cohort / "rejected.csv"))
    add("Data", "Clips left out", report_parts.left_out(results_folder / "predictions", params))
    add("Parameters", "Parameters in force", report_parts.parameters(params))
    add("Versions and citation", "Versions", report_parts.versions())
    add("Versions and citation", "How to cite, and licences", report_parts.citations(params))
    _save(report, out)


_FIGURES = (
    ("Result", "AUC within subjects", "subject_auc",
     "Dots: subjects (seeds averaged). Diamond and bar: their mean and its interval. Grey: chance."),
    ("Result", "ROC curves", "roc", "Clips pooled within a seed, vertical mean over seeds."),
    ("Result", "Robustness", "robustness",
     "Mean of the labels. Trained on undamaged clips, tested on damaged ones: white noise on every channel of both "
     "modalities; EEG channels drawn for each subject; one modality absent. Intervals are in robustness.csv."),
    ("Result", "Confusion", "confusion", "Clips, mean over seeds."),
    ("Training", "Fine-tuning loss (figure 3)", "finetuning_loss", "Thin lines: seeds and folds."),
    ("Pretraining", "Pretraining loss (figure 2)", "pretraining_loss", "Mean squared error of equations 4 and 5. "
     "Grey lines: held-out loss of reconstructions without learning."),
    ("Data", "Records and windows", "challenge_composition", "Records by source; windows by source and rate."),
    ("Data", "Length of records", "challenge_lengths", "As covered by windows."),
    ("Data", "Length of clips", "dreamer_lengths", "As covered by windows."),
    ("Data", "Ratings", "dreamer_ratings", "Each subject's rating of each clip."),
)  # fmt: skip


_MENDED = (
    # What is resized before it has loaded has no parts to measure yet
    ("window.onresize = () => {", "window.onresize = () => {\n  if (document.readyState !== 'complete') return;"),
    # MNE's menu of tags is hidden, and its key T, which hides the whole page, is out of place without it
    ("  enableGlobalKeyHandler();\n  propagateScrollSpyURL();", "  propagateScrollSpyURL();"),
)


def _save(report: Any, out: Path) -> None:
    with atomic_file(out) as temporary:
        page = temporary.with_suffix(".html")  # mne.Report chooses the format by the suffix
        try:
            report.save(page, open_browser=False, overwrite=True, verbose="error")
            text = page.read_text(encoding="utf-8")
        finally:
            page.unlink(missing_ok=True)
        text = text.replace("<head>", f"<head>\n  {_VIEWPORT}\n  {_ALONE}", 1)
        for theirs, ours in _MENDED:
            text = text.replace(theirs, ours)
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
        report.add_html(report_parts.figure(path, title, caption), title, section=section)
    elif path.stem != "finetuning_loss":  # absent where no method is trained in epochs
        raise PhysiopipeError(f"{path} is missing: draw the figures first (`physiopipe report` does both).")
