"""benchmarks/methods.py on two cheap rows: its tables, its JSON, and what it says of settings and of plain ways."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")  # of the comparison with Time-LLM's plain form

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "methods.py"
SMALL = ("--subjects", "5", "--windows-per-clip", "1", "--series", "48", "--prompted", "1", "--rounds", "3")
ROWS = ("handcrafted", "lin_style")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARK), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed() -> str:
    done = run("--methods", *ROWS, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found(printed: str) -> Any:
    return json.loads(printed.splitlines()[-1])


def tables(text: str) -> list[list[list[str]]]:
    """Cells of each Markdown table."""
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("\n\n")]
    return [[[cell.strip() for cell in line.strip("|").split(" | ")] for line in block] for block in blocks if block]


def test_the_table_has_a_row_a_method_and_its_columns(printed: str, found: Any) -> None:
    head, _, *rows = tables(printed)[0]
    assert head == [
        "method", "prepare, CPU s", "fit, CPU s", "predict, CPU s", "peak (before), MiB", "trained", "settings",
    ]  # fmt: skip
    assert [row[0] for row in rows] == list(ROWS)
    for cells, row in zip(rows, found["rows"], strict=True):
        assert len(cells) == len(head)
        assert cells[1:3] == [f"{row['prepare_cpu_s']:.2f}", f"{row['fit_cpu_s']:.2f}"]
        assert cells[6] == row["changed"]


def test_costs_are_measured(found: Any) -> None:
    for row in found["rows"]:
        assert row["fit_cpu_s"] > 0.01
        assert row["windows"] == [6, 2, 2]  # five people: three, one and one, two clips of one window each
        assert row["peak_mib"] >= row["before_mib"] > 50
    handcrafted, lin_style = found["rows"]
    assert handcrafted["trained_parameters"] > 10
    assert lin_style["trained_parameters"] > 1000


def test_settings_in_force_are_those_of_the_preset(found: Any) -> None:
    handcrafted, lin_style = found["rows"]
    assert handcrafted["changed"] == "defaults"
    assert lin_style["changed"] == "epochs=16"
    assert lin_style["settings"]["epochs"] == 16


def test_plain_ways_come_to_the_same_and_are_timed_in_rounds(printed: str, found: Any) -> None:
    assert [row[0] for row in tables(printed)[1][2:]] == [each["what"] for each in found["plain"]]
    assert [each["what"].split(",")[0] for each in found["plain"]] == ["TF-C", "TF-C", "Time-LLM"]
    for each in found["plain"]:
        assert len(each["rounds"]) == 3
        assert each["apart"] < 1e-3
        assert each["plain_cpu_s"] > 0
        assert each["ours_cpu_s"] > 0
        assert each["ratio"] > 1.2  # the goal, twice the rate, is for the sizes of a study


def test_an_unknown_row_is_told() -> None:
    done = run("--methods", "handcraftd")
    assert done.returncode == 1
    assert "handcrafted" in done.stderr
    assert "Traceback" not in done.stderr
