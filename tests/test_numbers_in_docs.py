"""Numbers in README.md and docs/ are those of committed results, or of a command that is here."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = ROOT / "docs" / "results"
# `72.8 [65.1, 80.6]`, as tables of results print percent; benchmarks of AUC (`.670 [.628, .713]`) name their command
_INTERVAL = re.compile(r"([+−-]?\d+\.\d) \[([−-]?\d+(?:\.\d)?), ([−-]?\d+(?:\.\d)?)\]")
_COLUMNS = (
    ("value_percent", "low_percent", "high_percent"),
    ("mean_percent", "low_percent", "high_percent"),
    ("difference_percent", "low_percent", "high_percent"),
    ("difference_percent", "difference_low", "difference_high"),
)
_COMMAND = re.compile(r"`[^`]*(?:python benchmarks/|pytest |make |dvc repro|bash \.ci/run)[^`]*`")
_ROWS = {  # of the README's table, by how they begin
    "Handcrafted": "handcrafted", "MiniRocket": "minirocket", "Single lead": "single_lead", "**Ours**": "ours",
    "EEG Conformer": "eeg_conformer", "ECG encoder": "ecg_only", "MLF-CapsNet": "mlf_capsnet",
    "EEG encoder": "eeg_only", "TF-C": "tfc", "Nearest": "nearest_neighbours", "Brant-X": "brant_x_style",
    "SimMTM": "simmtm", "Time-LLM": "time_llm", "Lin-style": "lin_style", "OneFitsAll": "one_fits_all",
    "Always high": "always_high",
}  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def rounded(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.1f}".replace("-0.0", "0.0") for value in values)


def published_intervals() -> Iterator[tuple[str, ...]]:
    for path in sorted(RESULTS.glob("*/*.csv")):
        for row in rows_of(path):
            for names in _COLUMNS:
                if all(row.get(name) for name in names):
                    value, low, high = (float(row[name]) for name in names)
                    yield rounded(value, low, high)
                    yield rounded(-value, -high, -low)  # of a difference the other way round


def test_every_interval_is_that_of_a_published_table() -> None:
    known, found = set(published_intervals()), []
    for page in PAGES:
        for match in _INTERVAL.finditer(page.read_text(encoding="utf-8")):
            numbers = rounded(*(float(number.replace("−", "-").lstrip("+")) for number in match.groups()))
            found.append(numbers)
            assert numbers in known, f"{page.relative_to(ROOT)}: {match[0]} is in no docs/results/*/*.csv"
    assert len(found) > 20


def test_the_first_table_is_the_published_one() -> None:
    table = {
        (row["method"], row["metric"]): row
        for row in rows_of(RESULTS / "eegmat" / "table1.csv")
        if row["label"] == "mean" or row["label"] == "arithmetic"
    }
    costs = {row["method"]: row for row in rows_of(RESULTS / "eegmat" / "costs.csv")}
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = lines.index(next(line for line in lines if line.startswith("| Handcrafted")))
    last = next(number for number, line in enumerate(lines[first:], first) if not line.startswith("|"))
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first:last]]
    assert len(shown) == len(_ROWS)
    for name, _, auc, within, trained, seconds in shown:
        (method,) = [method for begins, method in _ROWS.items() if name.startswith(begins)]
        mine = table[method, "auc"]
        printed = re.findall(r"\d+\.\d", auc)
        assert tuple(printed) == rounded(*(float(mine[f"{end}_percent"]) for end in ("value", "low", "high"))), name
        assert within == f"{float(table[method, 'subject_auc']['value_percent']):.0f} %", name
        assert int(trained.replace(",", "")) == int(float(costs[method]["trained_parameters"] or 0)), name
        assert float(seconds) == pytest.approx(float(costs[method]["fit_s"]), rel=0.02, abs=6e-4), name


def test_each_benchmark_names_a_command_that_is_here() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    head, *sections = text.split("\n## ")
    for section in sections:
        assert _COMMAND.search(section), section.partition("\n")[0]
    tables = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") >= 4]
    commanded = [line for line in tables if "`" in line.split("|")[2]]
    assert len(commanded) > 12
    assert "by hand" not in text
    for script in re.findall(r"`(?:python |pytest )?((?:benchmarks|tests)/[\w/]+\.py)", text):
        assert (ROOT / script).is_file(), script
    assert _COMMAND.search(head)


def test_what_is_said_of_intervals_is_what_was_measured() -> None:
    kept = {
        (int(row["subjects"]), row["case"]): 100 * float(row["coverage"])
        for row in rows_of(ROOT / "physiopipe" / "results" / "coverage.csv")
        if row["quantity"] == "per-subject AUC, mean of labels"
    }
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    held = [f"{kept[people, 'own']:.0f}" for people in (23, 12, 6)]
    assert f"held the truth in {held[0]}, {held[1]} and {held[2]} % of cohorts" in text
    assert f"coverage falls to {kept[23, 'clip']:.0f} %" in text
