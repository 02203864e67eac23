import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from made_up_predictions import make_params, write_predictions_of_all, write_side_predictions
from made_up_study import write_training, write_windows

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params
from physiopipe.results.evaluate import evaluate
from physiopipe.results.figures import make_figures
from physiopipe.results.report import write_report
from physiopipe.results.side_tables import write_side_tables

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSERS_OWN = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com", "google-analytics.com")


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


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with tables and figures, made once: tests work on copies."""
    root = tmp_path_factory.mktemp("drawn")
    write_predictions_of_all(root / "results" / "predictions")
    write_side_predictions(root / "results")
    write_training(root / "results")
    write_windows(root / "windows")
    evaluate(root / "results" / "predictions", make_params(), root / "results")
    write_side_tables(root / "results", make_params())
    make_figures(root / "results", root / "windows", make_params())
    return root


@pytest.fixture
def study(drawn: Path, tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(drawn, tmp_path / "study", ignore=shutil.ignore_patterns("c.*"))  # the figures are drawn
    return tmp_path / "study" / "results", tmp_path / "study" / "windows"


def report_of(study: tuple[Path, Path]) -> Path:
    write_report(*study, make_params(), study[0] / "report.html")
    return study[0] / "report.html"


@pytest.fixture
def path(study: tuple[Path, Path]) -> Path:
    return report_of(study)


def test_page_says_what_it_must_and_loads_nothing_from_elsewhere(path: Path) -> None:
    page = Page(path)
    assert page.loads, "the figures are images in the page"
    assert all(load == "" or load.startswith("data:") for load in page.loads)
    source = path.read_text(encoding="utf-8")
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


def test_parameters_on_the_page_are_those_in_force(path: Path) -> None:
    text = "".join(Page(path).text)
    start = text.index("data:\n  challenge:")
    end = text.index("state_folder:", start)
    end = text.index("\n", end)
    assert Params.model_validate(yaml.safe_load(text[start:end])) == make_params()


def test_two_pages_have_the_same_bytes(path: Path, study: tuple[Path, Path], tmp_path: Path) -> None:
    write_report(*study, make_params(), tmp_path / "again.html")
    assert path.read_bytes() == (tmp_path / "again.html").read_bytes()


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
    path = report_of(study)
    path.unlink()
    (study[0] / missing).unlink()
    with pytest.raises(PhysiopipeError, match=re.escape(Path(missing).name)):
        write_report(*study, make_params(), path)
    assert not path.exists()
    assert not list(path.parent.glob(".report*"))  # no half-written page is left


@pytest.fixture
def asked_for() -> Iterator[tuple[int, list[str]]]:
    """A proxy on loopback that answers nothing and keeps what it was asked for."""
    requests: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            requests.append(self.rfile.readline().decode("latin-1").strip())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], requests
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_a_browser_asks_for_nothing(path: Path, tmp_path: Path, asked_for: tuple[int, list[str]]) -> None:
    port, requests = asked_for

    def ask(page: Path) -> list[str]:
        requests.clear()
        subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", f"--proxy-server=http://127.0.0.1:{port}",
                f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000",
                f"--screenshot={tmp_path / 'page.png'}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        return [each for each in requests if not any(own in each for own in BROWSERS_OWN)]

    leaky = tmp_path / "leaky.html"
    leaky.write_text('<html><img src="http://elsewhere.test/x.png"></html>')
    assert any("elsewhere.test" in each for each in ask(leaky)), "the proxy must see what a page loads"
    assert ask(path) == []
    assert (tmp_path / "page.png").stat().st_size > 10_000
