"""What rows cost, as tables print it: medians over fits, the clock of the device, dashes where nothing was noted."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from made_up_predictions import TABLE, make_study
from made_up_study import write_costs

from physiopipe.experiments.fit_cost import write_costs as write_costs_csv
from physiopipe.results.costs import costs_of, fitting_words, rounded, seconds_words
from physiopipe.results.evaluate import write_table1


def fit(**changes: object) -> dict[str, object]:
    return {
        "method": "a", "protocol": "crossval", "seed": 0, "fold": 0, "trained_parameters": 12, "fit_cpu_s": 3.0,
        "fit_wall_s": 9.0, "kept_cpu_s": 2.0, "kept_wall_s": 4.0, "processor": "CPU", "device": "made-up", **changes,
    }  # fmt: skip


def test_a_row_is_the_median_of_its_fits_by_the_clock_of_its_device(tmp_path: Path) -> None:
    on_gpu = {"processor": "GPU", "device": "NVIDIA H200"}
    write_costs_csv(
        tmp_path / "a.csv", [fit(fit_cpu_s=s, trained_parameters=n) for s, n in ((1.23456, 7), (9.0, 9), (2.0, 8))]
    )
    write_costs_csv(tmp_path / "b.csv", [fit(**on_gpu), fit(**on_gpu, fit_wall_s=11.0)])
    write_costs_csv(tmp_path / "c.csv", [fit(fit_cpu_s=None), fit(kept_cpu_s=None, trained_parameters=None)])
    write_costs_csv(tmp_path / "d.csv", [{"method": "d", "protocol": "crossval", "seed": 0, "fold": 0}])
    found = costs_of(tmp_path, [(name, name.upper()) for name in "abcde"]).set_index("method")
    assert list(found.index) == ["a", "b", "c"]  # nothing is known of d's fits, nor of e
    a, b, c = (found.loc[name] for name in "abc")
    assert (a["fit_s"], a["fit_low_s"], a["fit_high_s"], a["kept_s"]) == (2.0, 1.23, 9.0, 2.0)
    assert (a["trained_parameters"], a["folds"], a["clock"], a["device"]) == (8, 3, "CPU", "CPU, made-up")
    assert (b["fit_s"], b["kept_s"], b["clock"], b["device"]) == (10.0, 4.0, "wall", "GPU, NVIDIA H200")
    assert (c["fit_s"], c["folds"]) == (3.0, 1)
    assert math.isnan(c["kept_s"])
    assert pd.isna(c["trained_parameters"])


def test_all_fits_together_are_told_by_their_clocks() -> None:
    rows = [(10, 0.5, "CPU"), (2, 100.0, "CPU"), (3, 2.0, "wall"), (5, math.nan, "CPU")]
    costs = pd.DataFrame(rows, columns=["folds", "fit_s", "clock"]).astype({"folds": "Int64"})
    assert fitting_words(costs) == "about 3 minutes (CPU) and 6 s (wall) to fit every row"
    assert fitting_words(costs[:1]) == "about 5 s (CPU) to fit every row"
    assert fitting_words(costs[3:]) == fitting_words(costs[:0]) == ""


@pytest.mark.parametrize(
    ("seconds", "kept", "words"),
    [(0.00042, 0.0, "<0.001"), (0.012345, 0.012, "0.012"), (1.23456, 1.23, "1.2"), (123.456, 123.0, "123"),
     (98765.0, 98800.0, "98,800"), (0.0, 0.0, "<0.001"), (math.nan, math.nan, "–")],
)  # fmt: skip
def test_seconds_say_no_more_than_they_know(seconds: float, kept: float, words: str) -> None:
    assert rounded(seconds) == pytest.approx(kept, nan_ok=True)
    assert seconds_words(rounded(seconds)) == words


def test_table_1_prints_cost_in_a_part_of_its_own_and_metrics_know_no_second(write_all: Callable[..., Path]) -> None:
    folder = write_all().parent
    write_table1(folder, make_study(), TABLE)
    before = {path.name: path.read_text() for path in folder.glob("*.*")}
    assert "cost of a fold" not in before["table1.md"]
    write_costs(folder / "costs")
    write_table1(folder, make_study(), TABLE)
    after = {path.name: path.read_text() for path in folder.glob("*.*")}
    assert {name for name in after if after[name] != before[name]} == {
        "costs.csv",
        "table1.csv",
        "table1.md",
        "table1.tex",
    }
    block = after["table1.md"].partition("cost of a fold")[2]
    assert "| Method | Trained parameters | Training, s | Shared, s | On |" in block
    (ours,) = [line for line in block.splitlines() if line.startswith("| Ours")]
    assert ours.endswith("| 600 | 5.5 (wall) | 1.0 (wall) | GPU, NVIDIA H200 |")
    (chance,) = [line for line in block.splitlines() if line.startswith("| Chance")]
    assert chance.endswith("| – | – | – | – |")
    assert r"5.5 (wall) & 1.0 (wall) & GPU, NVIDIA H200 \\" in after["table1.tex"]
    table = pd.read_csv(folder / "table1.csv")
    assert set(table[table["method"] == "ours"]["trained_parameters"]) == {600}
    assert not [name for name in table.columns if name.endswith("_s")]
