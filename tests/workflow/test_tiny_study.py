"""The whole study on the tiny preset: what it makes, and what it does not make again."""

import base64
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from studies import Study

from physiopipe.files import read_json, write_json

pytestmark = pytest.mark.workflow


SIDE_TABLES = ("fusions.csv", "fusions.md", "ablations.csv", "ablations.md", "gap.csv", "gap.md", "robustness.csv")


def ran(output: str) -> set[str]:
    """Stages that a `dvc repro` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def jobs(output: str) -> dict[str, int]:
    """Jobs that Snakemake ran (or would run), by rule, from its `Job stats` table."""
    counted: dict[str, int] = {}
    for table in re.findall(r"Job stats:\n(.*?)\n\n", output, flags=re.DOTALL):
        for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE):
            counted[name] = max(counted.get(name, 0), int(count))
    counted.pop("total", None)
    return counted


def test_everything_is_made_and_says_simulated(tiny: Study) -> None:
    results = tiny.folder / "results"
    for name in (
        "metrics.json",
        "summary.json",
        "table1.csv",
        "table1.md",
        "table1.tex",
        "report.html",
        *SIDE_TABLES,
    ):
        assert (results / "dreamer" / name).stat().st_size > 0, name
    assert (results / "pretrain/loss.csv").stat().st_size > 0
    results /= "dreamer"
    assert "simulated DREAMER" in (results / "table1.md").read_text()
    assert "simulated" in (results / "table1.tex").read_text().lower()
    page = (results / "report.html").read_text()
    assert "SIMULATED cohort" in page
    assert "preset tiny" in page
    table = pd.read_csv(results / "table1.csv")
    assert set(table["kind"]) == {"reported", "measured", "oracle"}
    assert table[table["kind"] == "reported"]["method"].nunique() == 11
    for cohort in ("challenge", "dreamer"):
        assert read_json(tiny.folder / f"data/windows/{cohort}/manifest.json")["simulated"]


def test_reconstructions_are_drawn_and_the_encoder_is_exported(tiny: Study) -> None:
    figures = {path.name for path in (tiny.folder / "results/dreamer/figures").glob("reconstruction_*.png")}
    assert figures == {f"reconstruction_{rate}hz.png" for rate in (100, 200, 500, 1000)}
    baselines = read_json(tiny.folder / "results/pretrain/metrics.json")["baselines"]
    assert baselines["limb_identities"]["total"] < baselines["zero"]["total"]  # simulated leads obey them too
    tiny.run("physiopipe", "export")
    card = (tiny.folder / "models/export/README.md").read_text()
    assert "SIMULATED data" in card
    assert "limb identities" in card


def test_windows_have_the_papers_shape_at_every_rate(tiny: Study) -> None:
    index = pd.read_parquet(tiny.folder / "data/windows/challenge/index.parquet")
    assert set(index["rate_hz"]) == {100, 200, 500, 1000}
    for modality, channels in (("eeg", 14), ("ecg", 2)):
        arrays = list((tiny.folder / f"data/windows/dreamer/{modality}-200hz").glob("*.zarr/windows/zarr.json"))
        assert [json.loads(path.read_text())["shape"][1:] for path in arrays] == [[channels, 10, 200]]


def test_a_second_run_does_nothing(tiny: Study) -> None:
    assert ran(tiny.run("dvc", "repro")) <= {"inputs"}
    assert "Nothing to be done" in tiny.run("snakemake", "--cores", "2", "windows")
    assert tiny.run("git", "status", "--porcelain") == ""


def test_a_learning_rate_reruns_no_job_and_no_windows(tiny: Study) -> None:
    try:
        tiny.preset("tiny", "pretrain.learning_rate=0.002")
        assert "Nothing to be done" in tiny.run("snakemake", "--cores", "2", "windows")
        stages = ran(tiny.run("dvc", "repro", "--dry"))
        assert "pretrain" in stages
        assert not any("windows" in stage for stage in stages)
        assert "pretrain.learning_rate" in tiny.run("dvc", "params", "diff")
    finally:
        tiny.preset("tiny")


def test_an_eeg_filter_remakes_no_ecg_part_and_reverting_it_remakes_none(tiny: Study) -> None:
    before = tiny.parts()
    try:
        tiny.preset("tiny", "filter.dreamer.eeg.lowpass_hz=45")
        done = jobs(tiny.run("snakemake", "--cores", "2", "windows"))
        assert done == {"windows": 1, "filter": 1, "resample": 1, "shard": 1, "collect": 1}
        after = tiny.parts()
        assert {path: after[path] for path in before} == before
        assert [path.split("/")[2] for path in after.keys() - before.keys()] == ["dreamer-eeg"]
    finally:
        tiny.preset("tiny")
    assert jobs(tiny.run("snakemake", "--cores", "2", "windows")) == {"windows": 1, "collect": 1}
    assert tiny.parts() == after
    assert ran(tiny.run("dvc", "repro")) <= {"inputs"}


def test_what_run_holds_changes_no_result(tiny: Study) -> None:
    try:
        tiny.preset("tiny", "run.connections=2", "run.threads=1")
        assert "Nothing to be done" in tiny.run("snakemake", "--cores", "2", "windows")
        assert ran(tiny.run("dvc", "repro", "--dry")) <= {"inputs"}
    finally:
        tiny.preset("tiny")


def test_snakemakes_own_report_holds_figures_and_tables_of_the_windows_that_are_here(tiny: Study) -> None:
    overviews = [tiny.folder / f"data/overview/{name}" for name in ("challenge-ecg", "dreamer-ecg", "dreamer-eeg")]
    tiny.run("snakemake", "--cores", "2")
    tiny.run("snakemake", "--report", "overview.html")
    page = (tiny.folder / "overview.html").read_text()
    for folder in overviews:
        for figure in ("quality.png", "lengths.png"):
            assert base64.b64encode((folder / figure).read_bytes()).decode() in page, (folder, figure)
    assert "DREAMER (simulated)" in page
    assert "A flag marks a window; it never drops one" in page
    flags = pd.read_csv(overviews[0] / "flags.csv")
    index = pd.read_parquet(tiny.folder / "data/windows/challenge/index.parquet")
    assert flags["windows"].iloc[-1] == len(index)
    # Windows of other content and older time, as `dvc checkout` leaves them: the overview of old ones is not kept
    made_from = overviews[0] / "made_from.json"
    write_json(made_from, {"windows": "others"})
    output = tiny.run("snakemake", "--cores", "2")
    assert jobs(output) == {"all": 1, "overview": 1}
    assert "Nothing to be done" in tiny.run("snakemake", "--cores", "2")
    (tiny.folder / "overview.html").unlink()


def test_a_second_cohort_is_made_beside_the_first(tiny: Study) -> None:
    """One encoder, two tables. Of the first cohort nothing is prepared or fitted again: its stages find their folds."""
    rows = ["chance", "handcrafted"]
    try:
        tiny.preset(
            "tiny", "cohorts.downstream=[dreamer,eegmat]", "data.eegmat.origin=simulated", f"methods={rows}",
            "simulate.eegmat.subjects=5", "simulate.eegmat.rest_s=25", "simulate.eegmat.arithmetic_s=20",
            "simulate.eegmat.change_s=20", "clips.eegmat.last_s=20", "ablations.variants=[]", "robustness.methods=[]",
        )  # fmt: skip
        output = tiny.run("dvc", "repro")
        finetuned = {f"finetune@{cohort}-{row}" for cohort in ("dreamer", "eegmat") for row in rows}
        tables = {f"{verb}@{cohort}" for cohort in ("dreamer", "eegmat") for verb in ("evaluate", "report")}
        assert ran(output) <= {"inputs", "windows@eegmat", *finetuned, *tables}
        fitted = {text.partition("'")[0] for text in output.split("Running stage '") if "fold 0 done" in text}
        assert fitted == {f"finetune@eegmat-{row}" for row in rows}
        summaries = json.loads(tiny.run("dvc", "metrics", "show", "--json"))[""]["data"]
        for cohort, title, tasks in (("dreamer", "DREAMER", 3), ("eegmat", "EEGMAT", 1)):
            results = tiny.folder / "results" / cohort
            table = pd.read_csv(results / "table1.csv")
            assert set(table.loc[table["kind"] == "measured", "method"]) == set(rows)
            assert len(read_json(results / "metrics.json")["handcrafted"]) >= tasks
            assert summaries[f"results/{cohort}/summary.json"]["data"]["seeds"] == 1
            assert f"physiopipe: simulated {title}" in (results / "report.html").read_text()
        assert ran(tiny.run("dvc", "repro")) <= {"inputs"}
    finally:
        tiny.run("git", "checkout", "-q", ".")
        tiny.run("git", "clean", "-fdq", "results")
        tiny.run("dvc", "checkout", "-q")


def _leaves(content: object) -> list[list[object]]:
    if not isinstance(content, dict):
        return [[content]]
    return [leaf for inner in content.values() for leaf in _leaves(inner)]


def test_dvc_shows_metrics_and_its_graph(tiny: Study) -> None:
    shown = tiny.run("dvc", "metrics", "show", "--json")
    assert sum(len(numbers) for numbers in _leaves(json.loads(shown))) < 40  # a person reads them
    graph = tiny.run("dvc", "dag")
    for stage in (
        "pretraining_windows",
        "windows@dreamer",
        "pretrain",
        "finetune@dreamer-ours",
        "ablate@dreamer-ecg_untrained",
        "robustness@dreamer-ours",
        "report@dreamer",
    ):
        assert stage in graph


def without_seconds(path: Path) -> bytes:
    """A file's bytes; of a table, those without the rows that print seconds."""
    content = path.read_bytes()
    if path.suffix not in (".md", ".tex"):
        return content
    return b"\n".join(line for line in content.splitlines() if b"CPU, " not in line and b"GPU, " not in line)


def test_equal_seeds_are_equal_bytes(tiny: Study, study: Study) -> None:
    study.preset("tiny")
    study.run("dvc", "repro")
    made = [
        *(path.relative_to(tiny.folder) for path in tiny.folder.glob("data/windows/*/manifest.json")),
        *(path.relative_to(tiny.folder) for path in tiny.folder.glob("data/windows/*/index.parquet")),
        *(path.relative_to(tiny.folder) for path in tiny.folder.glob("results/dreamer/predictions/*.parquet")),
        *(path.relative_to(tiny.folder) for path in tiny.folder.glob("models/*.safetensors")),
        *(path.relative_to(tiny.folder) for path in tiny.folder.glob("results/dreamer/figures/*")),
    ]
    names = [
        "metrics.json",
        "table1.csv",
        "table1.md",
        "table1.tex",
        "comparisons.csv",
        "pairwise.csv",
        "ranks.csv",
        *SIDE_TABLES,
    ]
    made += [Path("results/pretrain/loss.csv"), *(Path("results/dreamer") / name for name in names)]
    assert len(made) > 15
    made = [path for path in made if path.stem != "cost"]  # a picture of seconds, which are never the same twice
    differing = [
        str(path) for path in made if without_seconds(tiny.folder / path) != without_seconds(study.folder / path)
    ]
    assert differing == []


def test_an_experiment_changes_metrics_as_dvc_users_expect(tiny: Study) -> None:
    try:
        before = (tiny.folder / "params.yaml").read_text().splitlines()
        tiny.run("dvc", "exp", "run", "-S", "pretrain.learning_rate=0.005")
        after = (tiny.folder / "params.yaml").read_text().splitlines()
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1  # one line, and its comment stays
        assert "learning_rate: 0.005" in (tiny.folder / "params.yaml").read_text()
        assert "held_out_loss" in tiny.run("dvc", "metrics", "diff")
        assert "0.005" in tiny.run("dvc", "exp", "show", "--csv")
    finally:
        tiny.run("git", "checkout", "-q", ".")
        tiny.run("dvc", "checkout", "-q")
