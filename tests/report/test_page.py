import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from made_up_predictions import make_params

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params
from physiopipe.report.page import write_report


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
    write_report(*study, make_params(), study[0] / "report.html")
    return study[0] / "report.html"


def test_page_says_what_it_must_and_loads_nothing_from_elsewhere(report: Path) -> None:
    page = Page(report)
    assert page.loads, "the figures are images in the page"
    assert all(load == "" or load.startswith("data:") for load in page.loads)
    source = report.read_text(encoding="utf-8")
    assert not re.search(r"@import\s+['\"u]|url\(\s*['\"]?https?:", source)
    assert 'name="viewport"' in source
    for words in (
        "Simulated cohort: planted effects",
        "Measured, simulated cohort",
        "216 test clips of 12 test subjects",
        "Sources without any record here: chapman_shaoxing, cpsc_2018, cpsc_2018_extra, ningbo",
        "12 leads, of 'mV'; <none> usable",
        "zero 1.0000",
        "lead mean 0.7123",
        "train windows 4,321",
        "PTB and PTB-XL have several records of some patients",
        "Reconstructions against the truth: 1000 Hz",
        "limb identities (Einthoven, Goldberger)",
        "one unit of its EEG is taken as 1 µV",
        "Ours − Handcrafted",
        "No window carries: missing, saturated.",
        "filter.challenge.ecg.notch_hz",
        "CC BY 4.0",
        "Katsigiannis",
        "EEG encoder untrained",
        "Cross-attention",
        "ECG encoder pretrained for 3 epochs",
        "LEAKY on purpose",
        "EEG channels drawn for each subject",
    ):
        assert words in page.words, words


def test_parameters_on_the_page_are_those_in_force(report: Path) -> None:
    text = "".join(Page(report).text)
    start = text.index("data:\n  challenge:")
    end = text.index("state_folder:", start)
    end = text.index("\n", end)
    assert Params.model_validate(yaml.safe_load(text[start:end])) == make_params()


def test_two_pages_have_the_same_bytes(report: Path, study: tuple[Path, Path], tmp_path: Path) -> None:
    write_report(*study, make_params(), tmp_path / "again.html")
    assert report.read_bytes() == (tmp_path / "again.html").read_bytes()


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
        write_report(*study, make_params(), path)
    assert not path.exists()
    assert not list(path.parent.glob(".report*"))  # no half-written page is left
