import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from made_up_predictions import LABELS, make_latents, make_params
from made_up_study import write_page

from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.params import check_params
from physiopipe.report.figures import make_figures
from physiopipe.report.html_table import as_table
from physiopipe.report.page import Origin, write_report
from physiopipe.report.pretraining_parts import worse_than_zero
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of
from physiopipe.windows.part import index_schema, write_index


class Page(HTMLParser):
    """What a page would load, its visible text and its tables' cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.text: list[str] = []
        self._hidden = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.loads.append(named.get("src") or "")
        if tag in ("link", "object", "image", "use"):
            self.loads += [named.get("href") or "", named.get("data") or "", named.get("xlink:href") or ""]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def study(drawn: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the study, without its page."""
    shutil.copytree(drawn, tmp_path / "study", ignore=shutil.ignore_patterns("c.*", "report.html"))
    return tmp_path / "study" / "results", tmp_path / "study" / "windows"


def report_of(study: tuple[Path, Path]) -> Path:
    return write_page(*study)


def test_page_says_what_it_must_and_loads_nothing_from_elsewhere(report: Path) -> None:
    page = Page(report)
    assert page.loads, "the figures are images in the page"
    assert all(load == "" or load.startswith("data:") for load in page.loads)
    source = report.read_text(encoding="utf-8")
    assert not re.search(r"@import\s+['\"u]|url\(\s*['\"]?https?:", source)
    assert 'name="viewport"' in source
    assert source.count('class="simulated"') == page.words.count("SIMULATED cohort") == 1
    assert "only ever z-scored" not in page.words
    assert "ttainable" not in page.words
    for words in (
        "SIMULATED cohort: planted effects",
        "Measured, simulated DREAMER",
        "preset demo · commit 0a1b2c3 of 2026-11-30 · took 7 minutes",
        "216 test clips of 12 test subjects",
        "Sources without any record here: chapman_shaoxing, cpsc_2018, cpsc_2018_extra, ningbo",
        "12 leads, of 'mV'; <none> usable",
        "zero 1.0000",
        "lead mean 0.7123",
        "train windows 4,321",
        "PTB and PTB-XL have several records of some patients",
        "Reconstructions: 1000 Hz",
        "limb identities (Einthoven, Goldberger)",
        "one unit of its EEG is taken as 1 µV",
        "Ours − Handcrafted",
        "Table 1: cost",
        "5.5 (wall)",
        "GPU, NVIDIA H200",
        "Friedman's test of all rows over 12 people",
        "Critical difference",
        "No window carries: missing, saturated.",
        "filter.challenge.ecg.notch_hz",
        "CC BY 4.0",
        "Katsigiannis",
        "EEG encoder: untrained (no weights given)",
        "312 simulated records, 4,000 steps",
        "raw ECG's QRS and T amplitudes",
        "Cross-attention",
        "ECG encoder pretrained for 3 epochs",
        "LEAKY on purpose",
        "EEG channels drawn for each subject",
    ):
        assert words in page.words, words


def test_parameters_on_the_page_are_those_in_force(report: Path) -> None:
    text = "".join(Page(report).text)
    start = text.index("cohorts:\n  pretraining:")
    end = text.index("state_folder:", start)
    end = text.index("\n", end)
    assert check_params(yaml.safe_load(text[start:end]), "page") == make_params()


def test_two_pages_have_the_same_bytes(report: Path, study: tuple[Path, Path]) -> None:
    assert report.read_bytes() == write_page(*study).read_bytes()


def test_left_out_clips_and_long_lists_of_rejects_are_shown(study: tuple[Path, Path]) -> None:
    rejected = study[1] / "challenge" / "rejected.csv"
    pd.DataFrame({"record": [f"R{i:04d}" for i in range(500)], "reason": "flat"}).to_csv(rejected, index=False)
    words = Page(report_of(study)).words
    assert "not used: 500. The first 300 are shown" in words
    assert "R0299" in words
    assert "R0300" not in words


@pytest.mark.parametrize(
    "missing",
    [
        "comparisons.csv",
        "ablations.csv",
        "fusions.csv",
        "figures/headline.png",
        "figures/roc.png",
        "figures/robustness.png",
        "pretrain/metrics.json",
        "pretrain/reconstructions.npz",
    ],
)
def test_a_missing_input_is_a_plain_error(study: tuple[Path, Path], missing: str) -> None:
    path = study[0] / "report.html"
    (study[0] / missing).unlink()
    with pytest.raises(PhysiopipeError, match=re.escape(Path(missing).name)):
        write_page(*study)
    assert not path.exists()
    assert not list(path.parent.glob(".report*"))  # no half-written page is left


def test_the_first_sentence_is_the_result(report: Path, with_tables: Path) -> None:
    metrics = json.loads((with_tables / "metrics.json").read_text())
    changed = pd.read_csv(with_tables / "ablations.csv").set_index("name").loc["ecg_untrained"]
    (sentence,) = re.findall(r'<p class="result">(.*?)</p>', report.read_text(encoding="utf-8"))
    titles = {"ours": "Ours", "handcrafted": "Handcrafted", "clip_prior": "Clip prior (reads no signal)"}
    shown = []
    for name, title in titles.items():
        value, low, high = (100 * metrics[name]["mean"][f"subject_auc{end}"] for end in ("", "_low", "_high"))
        shown.append(f"{title} {value:.1f} [{low:.1f}, {high:.1f}]")
    p_value = changed["difference_p_holm"]
    verdict = f"p = {p_value:.2g}" if p_value < 0.05 else f"not significant, p = {p_value:.2g}"
    gain, low, high = (-changed[f"difference_{end}"] for end in ("percent", "high", "low"))
    shown.append(f"pretraining {gain:+.1f} [{low:+.1f}, {high:+.1f}] ({verdict}).")
    assert sentence == "; ".join(shown)


def test_best_row_and_ours_are_marked_and_the_papers_table_is_folded(report: Path) -> None:
    source = report.read_text(encoding="utf-8")
    assert re.findall(r'<tr class="best"><td[^>]*>([^<]+)', source) == ["Handcrafted (best)"]
    assert re.findall(r'<tr class="ours"><td[^>]*>([^<]+)', source) == ["Ours"]
    folded = dict(re.findall(r'<details id="([^"]+)">(.*?)</details>', source, flags=re.S))
    assert "Brant-X" in folded["result-table-1-reported-in-the-paper-dreamer"]
    assert "Saying high for every clip" in folded["result-notes-to-table-1"]
    assert source.index("</header>") < source.index("Brant-X")


def test_contents_have_two_levels_and_lead_somewhere(report: Path) -> None:
    source = report.read_text(encoding="utf-8")
    contents = source[source.index("<nav") : source.index("</nav>")]
    targets = re.findall(r'href="#([^"]+)"', contents)
    ids = re.findall(r' id="([^"]+)"', source)
    assert len(set(ids)) == len(ids)
    assert set(targets) <= set(ids)
    assert len(re.findall(r"<ol>", contents)) == 1 + source.count("<h2 ")


def test_a_page_of_unknown_origin_says_nothing_of_it(study: tuple[Path, Path]) -> None:
    source = write_page(*study, Origin()).read_text(encoding="utf-8")
    assert 'class="origin"' not in source


def test_an_encoder_worse_than_predicting_zero_is_told() -> None:
    zero = {"total": 1.0, "by_rate_hz": {"100": 1.0, "1000": 1.0}, "by_source": {"ptb": 1.0}}
    bad = {"total": 1.25, "by_rate_hz": {"100": 0.9, "1000": 1.5}, "by_source": {"ptb": 1.0}}
    words = worse_than_zero({"held_out": bad, "baselines": {"zero": zero}})
    assert words.endswith("worse than predicting zero: as a whole (1.25 against 1.00); 1000 Hz (1.50 against 1.00).")
    assert worse_than_zero({"held_out": zero, "baselines": {"zero": zero}}) == ""


def test_numbers_stand_right_and_words_left() -> None:
    numbers = {"AUC": ["62.6 [55.5, 68.8]", "–"], "n": [3, 4], "p": ["0.0005", "1e-05"]}
    frame = pd.DataFrame({"who": ["Ours", "<b>"], **numbers, "long": "a reason that is longer than a word or two"})
    table = as_table(frame)
    assert re.findall(r'<th(?: class="(.)")?>', table) == ["t", "n", "n", "n", ""]
    assert "&lt;b&gt;" in table


@pytest.mark.slow
def test_a_cohort_of_one_task_led_by_the_pooled_auc_has_its_own_page(made: Path, tmp_path: Path) -> None:
    """Files of the made-up study renamed to another registered cohort: nothing of the first one is on its page."""
    name, task = "eegmat", "arithmetic"
    assert cohort(name).task_names == (task,)
    results, windows = tmp_path / "results" / name, tmp_path / "windows"
    shutil.copytree(made / "results", results)
    shutil.copytree(made / "data" / "windows" / "challenge", windows / "challenge")
    shutil.copytree(made / "data" / "windows" / "dreamer", windows / name)
    index = pd.read_parquet(windows / name / "index.parquet")
    high = (index["valence"] >= 3).astype("float32")
    index = index.drop(columns=list(LABELS)).assign(**{task: high}, source=name, cohort=name)
    schema = index_schema((task,))
    write_index(windows / name / "index.parquet", pa.Table.from_pandas(index[schema.names], schema=schema))
    for path in results.glob("*/*.parquet"):
        frame, about = read_predictions(path)
        one = frame[frame["label"] == "valence"].assign(label=task)
        write_predictions(path, one, about | {"cohort": name, "cohort_title": "EEGMAT"})
    content = make_params().model_dump(mode="json", include={"methods", "evaluate", "ablations", "robustness"})
    content |= {"cohorts": {"downstream": [name]}, "data": {name: {"origin": "simulated"}}}
    params = check_params(content, "test")
    drawn = make_latents()
    valence = replace(
        drawn, tasks=(task,), value=drawn.moved[:, :1].astype(float), moved=drawn.moved[:, :1],
        level=drawn.level[:, :1], effect=drawn.effect[:1],
    )  # fmt: skip
    evaluate(results, replace(study_of(params, name), latents=valence))
    make_figures(results, results / "pretrain", windows, params, name)
    page = Page(write_report(results, results / "pretrain", windows, params, name, Origin()))
    for words in ("DREAMER", "valence", "dominance", "Brant-X", "film clip", "ean of the tasks"):
        assert words not in page.words, words
    for words in (
        *cohort(name).caveats,
        "Oracle (true levels)",
        "cannot tell how rows rank on people",
        "AUC of all clips pooled, arithmetic",
        "Measured, simulated",
    ):
        assert words in page.words, words
    assert not (results / "figures" / f"{name}_composition.png").exists()
    assert (results / "figures" / f"{name}_values.png").exists()
