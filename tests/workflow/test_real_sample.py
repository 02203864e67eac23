"""The 166 real records of the shared sample, over HTTP from a server on loopback, through the whole study."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import Study
from test_tiny_study import ran

from physiopipe.files import read_json
from physiopipe.windows.damage import damage_of_cohort
from physiopipe.windows.store import WindowStore

pytestmark = [pytest.mark.workflow, pytest.mark.sample]

QUICK = (
    "pretrain.encoder.layers=1",
    "pretrain.epochs=1",
    "method.ours.epochs=2",
    "shard.challenge.ecg.max_windows_per_record=2",
    "simulate.dreamer.subjects=6",
    "simulate.dreamer.clips=4",
    "evaluate.bootstrap=200",
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(sample_folder: Path) -> Iterator[str]:
    """Base URL of the sample tree, served on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(sample_folder))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/challenge-2021/1.0.3"
        serving.shutdown()
        thread.join()


def test_the_real_sample_over_http_twice(study: Study, server: str, sample_folder: Path) -> None:
    study.preset("sample", f"data.challenge.base_url={server}", *QUICK)
    study.run("dvc", "repro")
    windows = study.folder / "data/windows/challenge"
    manifest = read_json(windows / "manifest.json")
    published = sorted(path.stem for path in (sample_folder / "challenge-2021/1.0.3/training").rglob("*.hea"))
    index = pd.read_parquet(windows / "index.parquet")
    rejected = pd.read_csv(windows / "rejected.csv")
    assert len(published) == 166
    assert sorted({*index["record"], *rejected["record"]}) == published  # nothing is lost without a row
    assert index["source"].nunique() == 7
    assert not manifest["simulated"]
    assert damage_of_cohort(windows) == {}
    ten_seconds = index[(index["record"] == "JS00001")].groupby("rate_hz")["record_windows"].first()
    assert ten_seconds.to_dict() == {100: 1, 200: 1, 500: 2, 1000: 2}  # 3 and 5, held to max_windows_per_record
    page = (study.folder / "results/dreamer/report.html").read_text()
    assert "st_petersburg_incart" in page  # said to be missing
    assert ran(study.run("dvc", "repro")) <= {"inputs"}
    assert "Nothing to be done" in study.run("snakemake", "--cores", "2", "windows")


def test_the_real_sample_from_a_folder_gives_millivolts(study: Study, sample_folder: Path) -> None:
    tree = sample_folder / "challenge-2021/1.0.3"
    study.preset("sample", f"data.challenge.base_url={tree}", "data.challenge.max_records_per_source=3", *QUICK)
    study.run("snakemake", "--cores", "2", "data/windows/challenge/manifest.json")
    store = WindowStore(study.folder / "data/windows/challenge")
    rows = store.rows("ecg", (500,))
    windows, scale, valid = store.gather(rows)
    assert np.allclose(scale, 0.001)  # 1 µV
    spread = (windows * scale[:, None, None, None]).std(axis=(2, 3))
    assert 0.02 < np.median(spread) < 1.0  # millivolt, as ECG is
    assert set(store.index["source"]) == {
        "chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl"
    }  # fmt: skip
    assert valid.min() >= 4


def test_a_missing_source_is_an_error_where_it_is_not_allowed(study: Study, sample_folder: Path) -> None:
    tree = sample_folder / "challenge-2021/1.0.3"
    study.preset("sample", f"data.challenge.base_url={tree}", "data.challenge.allow_missing_sources=false")
    output = study.run("snakemake", "--cores", "2", "data/windows/challenge/manifest.json", expect=1)
    assert "st_petersburg_incart" in output
    assert "allow_missing_sources" in output
    assert "Traceback" not in output
