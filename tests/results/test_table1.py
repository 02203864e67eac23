import re
from pathlib import Path

import pandas as pd
import pytest
from made_up_predictions import FROZEN, READS_RAW, make_study

from physiopipe.cohorts.dreamer_reported import REPORTED
from physiopipe.results.typeset import typeset

# What the paper underlines, by row and column.
UNDERLINED = {
    ("MiniRocket", ("dominance", "auc")), ("Wang et al.", ("arousal", "accuracy")), ("Wang et al.", ("arousal", "f1")),
    ("Wang et al.", ("dominance", "accuracy")), ("Wang et al.", ("dominance", "f1")), ("Brant-X", ("valence", "f1")),
    ("Brant-X", ("valence", "auc")), ("Brant-X", ("arousal", "auc")), ("Ours", ("valence", "accuracy")),
    ("Ours", ("dominance", "auc")),
}  # fmt: skip
COLUMNS = [(label, metric) for label in ("valence", "arousal", "dominance") for metric in ("accuracy", "f1", "auc")]


@pytest.fixture
def out(with_tables: Path) -> Path:
    return with_tables


def test_reported_rows_are_the_papers() -> None:
    rows = REPORTED.rows
    assert [row.method for row in rows] == [
        "TF-C", "SimMTM", "OneFitsAll", "Time-LLM", "MiniRocket", "MLF-CapsNet", "EEGConformer", "Lin et al.",
        "Wang et al.", "Brant-X", "Ours",
    ]  # fmt: skip
    assert [rows[-1].value_percent[column] for column in COLUMNS] == [
        "69.44", "81.14", "68.69", "75.00", "84.21", "84.79", "79.63", "88.30", "86.69",
    ]  # fmt: skip
    assert all(re.fullmatch(r"\d\d\.\d\d", row.value_percent[column]) for row in rows for column in COLUMNS)


def block_of(text: str, title: str) -> list[list[str]]:
    """Body rows of the Markdown table under a heading, cells stripped."""
    part = text.split(f"## {title}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_markdown_marks_best_and_second_as_printed(out: Path) -> None:
    rows = block_of((out / "table1.md").read_text(), "Reported in the paper (DREAMER)")
    assert len(rows) == 11
    underlined = {
        (row[0].split("<sup>")[0], column)
        for row in rows
        for column, cell in zip(COLUMNS, row[1:], strict=True)
        if cell.startswith("<u>")
    }
    assert underlined == UNDERLINED
    bold = {
        column: row[0].split("<")[0]
        for row in rows
        for column, cell in zip(COLUMNS, row[1:], strict=True)
        if "**" in cell
    }
    assert bold["arousal", "auc"] == bold["valence", "f1"] == "Ours"
    assert bold["valence", "auc"] == "Time-LLM"
    assert sum(name == "Brant-X" for name in bold.values()) == 6


def test_markdown_keeps_measured_rows_apart_and_names_the_cohort(out: Path) -> None:
    text = (out / "table1.md").read_text()
    rows = block_of(text, "Measured, simulated DREAMER")
    assert [re.sub("<.*", "", row[0]) for row in rows] == [
        "Always high", "Clip prior", "Chance", "Handcrafted", "Ours", "Oracle (true levels)",
    ]  # fmt: skip
    assert not any("**" in cell or "<u>" in cell for row in rows for cell in row)
    headline = block_of(text, "Measured, simulated DREAMER: mean of the AUCs within subjects")
    assert re.fullmatch(r"\d\d\.\d\d \[\d\d\.\d, \d\d\.\d\]", headline[-1][4])
    assert float(headline[-1][4][:5]) > float(headline[-2][4][:5])
    caption = text.splitlines()[2]
    assert "SIMULATED" in caption
    assert "protocol crossval, 2 seeds, 216 test clips of 12 test subjects" in caption
    assert "the oracle: what the true levels of these very clips allow" in caption
    assert headline[-1][5] == "–"  # no p


@pytest.mark.parametrize(
    ("protocol", "seeds", "single"), [("paper", 1, True), ("paper", 20, False), ("crossval", 1, False)]
)
def test_a_single_split_is_called_so(out: Path, protocol: str, seeds: int, single: bool) -> None:
    frame = pd.read_csv(out / "table1.csv")
    frame.loc[frame["kind"] == "measured", ["protocol", "seeds"]] = protocol, seeds
    caption = typeset(frame, make_study()).caption
    assert f"protocol {protocol}, {seeds} seed" in caption
    assert ("The single split of the subjects" in caption) == single
    assert ("13 / 4 / 6 of 23" in caption) == single


def test_every_mark_has_its_note(out: Path) -> None:
    text = (out / "table1.md").read_text()
    notes = re.findall(r"^(\d+)\. (.+)$", text, flags=re.M)
    assert [int(number) for number, _ in notes] == list(range(1, len(notes) + 1))
    called = {int(mark) for marks in re.findall(r"<sup>([\d,]+)</sup>", text) for mark in marks.split(",")}
    assert called <= {int(number) for number, _ in notes}
    time_llm = next(row[0] for row in block_of(text, "Reported in the paper") if row[0].startswith("Time-LLM"))
    marks = re.findall(r"\d+", time_llm)
    assert any("look swapped" in dict(notes)[mark] for mark in marks)


def test_a_row_says_what_it_is_reads_and_was_pretrained_on(out: Path) -> None:
    text = (out / "table1.md").read_text()
    notes = dict(re.findall(r"^(\d+)\. (.+)$", text, flags=re.M))
    note_of = {
        re.sub("<.*", "", row[0]): notes[re.findall(r"<sup>(\d+)</sup>", row[0])[0]]
        for row in block_of(text, "Measured, simulated DREAMER")
    }
    for words in (FROZEN, "EEG encoder: untrained", "312 simulated records, 4,000 steps", "sha256 0123456789ab"):
        assert words in note_of["Ours"]
    assert READS_RAW in note_of["Handcrafted"]
    assert "Reads no signal." in note_of["Always high"]
    assert "z-scored" not in text


def test_latex_is_balanced_and_needs_booktabs_alone(out: Path) -> None:
    text = (out / "table1.tex").read_text()
    assert text.count("{") == text.count("}")
    for environment in set(re.findall(r"\\begin\{(\w+)\}", text)):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\begin{tabular}") == 5
    assert text.count(r"\underline{") == len(UNDERLINED)
    assert text.count(r"\textbf{") == 9
    body = re.sub(r"\\%", "", text.split("\n", 1)[1])
    assert "%" not in body  # an unescaped one would hide the rest of its line
    for row in re.findall(r"^(Ours.*)\\\\$", text, flags=re.M)[:2]:
        assert row.count("&") == 9
