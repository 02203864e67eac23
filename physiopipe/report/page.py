"""results/<cohort>/report.html: the whole study of a cohort on one page that loads nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from physiopipe.files import atomic_file, read_json, sha256_file
from physiopipe.params import Params
from physiopipe.report import data_parts, quality_figures, quality_tables, reconstruction_figures, result_parts
from physiopipe.report.critical_difference import has_ranks
from physiopipe.report.data_facts import DataFacts, facts_of
from physiopipe.report.pairwise_table import pairwise_matrix
from physiopipe.report.parts import Part, Section, figure, slug
from physiopipe.report.pretraining_parts import pretraining as pretraining_numbers
from physiopipe.report.read_table import read_table
from physiopipe.results.contrasts_text import ABLATIONS_ARE, FUSIONS_ARE
from physiopipe.results.evaluate import families, without_meaning
from physiopipe.results.study import Study, study_of
from physiopipe.results.test_set import read_test_set
from physiopipe.results.typeset import typeset
from physiopipe.results.without_beats import clips_of
from physiopipe.windows.store import WindowStore

_TEMPLATE = Path(__file__).with_name("page.html")
_SCRIPT = """
function unfold() {
  const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part && part.tagName === 'DETAILS') { part.open = true; part.scrollIntoView(); }
}
addEventListener('hashchange', unfold);
unfold();
"""


@dataclass(frozen=True)
class Origin:
    """What made the page, as far as it is known: told by who calls, since a page must not depend on a clock."""

    preset: str = ""
    commit: str = ""
    date: str = ""
    duration: str = ""

    def words(self) -> list[str]:
        commit = " of ".join(each for each in (self.commit, self.date) if each)
        told = {"preset {}": self.preset, "commit {}": commit, "took {}": self.duration}
        return [words.format(value) for words, value in told.items() if value]


def write_report(
    folder: Path, pretrain_folder: Path, windows_root: Path, params: Params, cohort: str, origin: Origin
) -> Path:
    """Write `folder`/report.html and return its path.

    Args:
        folder: results/<cohort> with its tables, predictions/ and figures/.
        pretrain_folder: holds metrics.json and reconstructions.npz of pretraining.
        windows_root: holds a folder of each of the two cohorts with index.parquet, rejected.csv and manifest.json.
        cohort: the downstream one.

    Raises:
        PhysiopipeError: an input is missing; it says which step writes it.
    """
    study = study_of(params, cohort)
    pretraining, downstream = facts_of(params, params.cohorts.pretraining), facts_of(params, cohort)
    table1, ablations = read_table(folder / "table1.csv"), read_table(folder / "ablations.csv")
    metrics = read_json(folder / "metrics.json")
    figures = folder / "figures"
    sections = [
        _result(folder, study),
        *_training(figures),
        _pretraining(figures, pretrain_folder),
        *(_data(windows_root / facts.cohort, figures, facts) for facts in (pretraining, downstream)),
        _study(folder, params, study, (pretraining, downstream)),
    ]
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode("ascii")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_TEMPLATE.read_text("utf-8"))
    text = template.render(
        title=f"physiopipe: {study.measured}",
        simulated=study.simulated,
        sentence=result_parts.sentence(table1, ablations, study),
        counted=result_parts.what_is_counted(study),
        caveats=study.caveats,
        summary=result_parts.summary_table(table1, metrics, study),
        picture=figure(figures / "headline.png", "AUC of every row", _picture_words(study)),
        origin=origin.words(),
        sections=sections,
        slug=slug,
        script=_SCRIPT,
        script_digest=f"sha256-{digest}",
    )
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / "report.html"


def _picture_words(study: Study) -> str:
    dots = "Dots: subjects, seeds averaged. " if study.headline == "subject_auc" else ""
    planted = " Dotted: the oracle, from the clips' true levels." if study.latents is not None else ""
    return f"{dots}Diamond and bar: the row's AUC and its interval. Grey line: chance.{planted} Bold: Ours, best row."


def _result(folder: Path, study: Study) -> Section:
    rows, _ = families(folder / "predictions", study)
    test = read_test_set(folder / "predictions", study, rows)
    costs = read_table(folder / "costs.csv")
    table = typeset(read_table(folder / "table1.csv"), study, without_meaning(test), costs)
    figures, several = folder / "figures", len(study.tasks) > 1
    parts = result_parts.table1_parts(table)
    if len(costs):
        parts.append(_figure_part(figures, "Accuracy against cost", "cost", _COST))
    parts.append(Part("Comparisons", result_parts.comparisons(read_table(folder / "comparisons.csv"), study)))
    ranks, pairs = read_table(folder / "ranks.csv"), read_table(folder / "pairwise.csv")
    if len(pairs) > 1:
        parts.append(Part("All pairs", pairwise_matrix(ranks, pairs, study)))
    if has_ranks(ranks):
        parts.append(_figure_part(figures, "Critical difference", "critical_difference", _RANKS))
    beats = read_table(folder / "without_beats.csv")
    parts.append(Part("ECG without heartbeats", result_parts.without_beats(beats, clips_of(test)), folded=True))
    changed, fused = (read_table(folder / f"{name}.csv") for name in ("ablations", "fusions"))
    parts.append(Part("Ablations", result_parts.contrasts(changed, ABLATIONS_ARE, study)))
    gap = read_table(folder / "gap.csv")
    if len(gap):
        parts.append(Part("The gap to Handcrafted", result_parts.gap(gap, study)))
    parts.append(Part("Fusions", result_parts.contrasts(fused, FUSIONS_ARE, study, explained=changed.empty)))
    parts.append(
        _figure_part(figures, "Robustness", "robustness", ("Mean of the tasks. " if several else "") + _ROBUSTNESS)
    )
    if several:
        parts.append(_figure_part(figures, "AUC by task", "auc_by_task", _picture_words(study)))
    parts.append(
        _figure_part(figures, "ROC curves", "roc", "Clips pooled within a seed, mean over seeds.", folded=True)
    )
    parts.append(_figure_part(figures, "Confusion", "confusion", _CONFUSION, folded=True))
    return Section("Result", tuple(parts))


def _training(figures: Path) -> list[Section]:
    """Nothing where no method is trained in epochs."""
    if not (figures / "finetuning_loss.png").exists():
        return []
    return [Section("Training", (_figure_part(figures, "Fine-tuning loss (figure 3)", "finetuning_loss", _CURVES),))]


def _pretraining(figures: Path, folder: Path) -> Section:
    parts = [
        _figure_part(figures, "Pretraining loss (figure 2)", "pretraining_loss", _LOSS),
        Part("Held-out losses", pretraining_numbers(folder / "metrics.json")),
    ]
    for place, window in enumerate(reconstruction_figures.read_reconstructions(folder / "reconstructions.npz")):
        title = f"Reconstructions: {window.rate_hz} Hz"
        part = _figure_part(figures, title, window.name, reconstruction_figures.CAPTION, folded=place > 0)
        parts.append(part)
    return Section("Pretraining", tuple(parts))


def _data(windows: Path, figures: Path, facts: DataFacts) -> Section:
    index = read_table(windows / "index.parquet")
    manifest = f"<p>sha256 of manifest.json: <code>{sha256_file(windows / 'manifest.json')}</code></p>"
    parts = [Part("Records and windows", data_parts.composition(index, facts) + manifest)]
    for title, name, caption in (
        ("Records by source", "composition", "Records by source; windows by source and rate."),
        ("Lengths", "lengths", "As covered by windows."),
        ("Labels", "values", "Each subject's value of each clip."),
    ):
        if (figures / f"{facts.cohort}_{name}.png").exists():
            parts.append(_figure_part(figures, title, f"{facts.cohort}_{name}", caption, folded=True))
    store = WindowStore(windows)
    parts.append(Part("Quality flags", quality_tables.quality(store, facts), folded=True))
    for modality in quality_figures.units_of(store):
        title = f"Examples of the quality flags: {modality}"
        name = f"{facts.cohort}_quality_{modality}"
        parts.append(_figure_part(figures, title, name, quality_tables.CAPTION, folded=True))
    parts.append(Part("Rejected", data_parts.rejected(windows / "rejected.csv"), folded=True))
    return Section(f"Data: {facts.title}", tuple(parts))


def _study(folder: Path, params: Params, study: Study, cohorts: Sequence[DataFacts]) -> Section:
    about = read_test_set(folder / "predictions", study, families(folder / "predictions", study)[0]).about
    return Section(
        "Study",
        (
            Part("Clips left out", data_parts.left_out(about.values()), folded=True),
            Part("Artefacts", data_parts.artefacts(about.values()), folded=True),
            Part("Parameters in force", data_parts.parameters(params), folded=True),
            Part("Versions", data_parts.versions(), folded=True),
            Part("How to cite, and licences", data_parts.citations(cohorts), folded=True),
        ),
    )


def _figure_part(figures: Path, title: str, name: str, caption: str, *, folded: bool = False) -> Part:
    return Part(title, figure(figures / f"{name}.png", title, caption), folded)


_ROBUSTNESS = (
    "Intervals over subjects. Trained on undamaged clips, tested on damaged ones: white noise on "
    "every channel of all modalities; EEG channels drawn for each subject; one modality absent."
)
_COST = (
    "Diamond and bar: a row's AUC and its interval. Seconds: median over seeds and folds of fitting a row, as in Table "
    "1; what is computed once for every fold is not in it. Rows of less than a millisecond stand at one. Grey line: "
    "chance."
)
_RANKS = (
    "Mean ranks over people and tasks. A bar joins rows that no paired test over people tells apart: p of .05 or more "
    "after Holm's correction over all pairs. Beside each row: its AUC and interval, and its mean rank. Not told apart "
    "is not equal."
)
_CONFUSION = "Clips by truth and prediction at .5, summed over seeds."
_CURVES = "Thin lines: seeds and folds. Rings: the epoch whose weights are used, that of best validation AUC."
_LOSS = "Mean squared error of equations 4 and 5. Grey lines: held-out loss of reconstructions without learning."
