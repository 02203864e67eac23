"""Whose the gap is: Shapley values by hand and by all orders, and the table from predictions of every cell."""

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import make_predictions, make_study

from physiopipe.experiments.ablations import changed_params
from physiopipe.experiments.gap_cells import CELLS, FACTORS, GAP_CELLS
from physiopipe.experiments.predictions import write_predictions
from physiopipe.params import check_params
from physiopipe.results.gap import COLUMNS, gap_frame, shapley_values
from physiopipe.results.gap_text import gap_markdown
from physiopipe.results.study import Study

PLAYERS = [each.name for each in FACTORS]


def test_two_players_by_hand() -> None:
    """Alone 1 and 2, together 5: what is theirs together is halved, (1 + 3) / 2 and (2 + 4) / 2."""
    worth = {"": 10.0, "a": 11.0, "b": 12.0, "ab": 15.0}
    value_of = {frozenset(names): np.array([value, -value]) for names, value in worth.items()}
    found = shapley_values(value_of, ["a", "b"])
    np.testing.assert_allclose(found["a"], [2, -2])
    np.testing.assert_allclose(found["b"], [3, -3])


def test_they_are_means_over_all_orders_and_add_up() -> None:
    generator = np.random.default_rng(0)
    value_of = {changed: generator.normal(size=7) for changed in CELLS}
    for changed in CELLS:  # one that adds nothing to anybody, and one that adds the same to all
        base = value_of[changed - {"unit", "ecg"}]
        value_of[changed] = base + 0.5 * ("ecg" in changed)
    found = shapley_values(value_of, PLAYERS)
    for player in PLAYERS:
        orders = [order[: order.index(player)] for order in permutations(PLAYERS)]
        added = [value_of[frozenset(ahead) | {player}] - value_of[frozenset(ahead)] for ahead in orders]
        np.testing.assert_allclose(found[player], np.mean(added, axis=0), atol=1e-12)
    np.testing.assert_allclose(found["unit"], 0, atol=1e-12)
    np.testing.assert_allclose(found["ecg"], 0.5, atol=1e-12)
    whole = value_of[frozenset(PLAYERS)] - value_of[frozenset()]
    np.testing.assert_allclose(sum(found.values()), whole, atol=1e-12)


def test_cells_are_every_mixture_and_take_the_settings_of_both_rows() -> None:
    assert len(GAP_CELLS) == len(CELLS) == 2 ** len(FACTORS)
    method = {"ours": {"hidden": 31, "epochs": 3}, "handcrafted": {"inverse_regularisation": 0.7}}
    params = check_params({"methods": list(method), "method": method}, "test")
    found = {name: changed_params(spec, params).method["mixed_features"] for name, spec in GAP_CELLS.items()}
    assert all((one.hidden, one.epochs, one.inverse_regularisation) == (31, 3, 0.7) for one in found.values())
    levels = [(one.eeg, one.ecg, one.classifier, one.unit) for one in found.values()]
    expected = product(
        ("embedding", "features"), ("embedding", "features"), ("network", "regression"), ("window", "clip")
    )
    assert sorted(levels) == sorted(expected)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Cells whose signal grows by .6 with band powers and by .2 with the regression, whatever else is changed."""
    about = {"cohort": "dreamer", "simulated": True, "licence": "BSD-3-Clause", "inputs": ["eeg"], "provenance": "x"}
    for changed, name in CELLS.items():
        shift = 0.5 + 0.6 * ("eeg" in changed) + 0.2 * ("classifier" in changed)
        frame = make_predictions("same noise", (0, 1), 12, 18, shift).assign(method=name)
        write_predictions(tmp_path / "ablations" / f"{name}.parquet", frame, about | {"title": GAP_CELLS[name].title})
    return replace(make_study(), ablations=tuple(CELLS.values()))


def test_the_table_shares_the_gap_out(tmp_path: Path, study: Study) -> None:
    table = gap_frame(tmp_path, study).set_index("name")
    value = table["value_percent"]
    cells = table[table["kind"] == "cell"]
    ends = [value[CELLS[changed]] for changed in (frozenset(), frozenset(PLAYERS))]
    assert value["gap"] == pytest.approx(ends[1] - ends[0], abs=1e-3)
    assert value[PLAYERS].sum() == pytest.approx(value["gap"], abs=1e-3)
    assert value["eeg"] > value["classifier"] > 0
    assert (value["ecg"], value["unit"]) == (0, 0)
    assert (table.loc["ecg", ["low_percent", "high_percent"]] == 0).all()
    assert table.loc["eeg", "low_percent"] < value["eeg"] < table.loc["eeg", "high_percent"]
    alone = value[CELLS[frozenset({"eeg"})]] - ends[0]
    assert table.loc["eeg", "first_percent"] == pytest.approx(alone, abs=1e-3)
    assert len(cells) == 16
    text = gap_markdown(table.reset_index(), study)
    assert f"| Handcrafted − Ours | {value['gap']:+.1f} [" in text
    assert "EEG embedding, ECG embedding, network, on windows (Ours)" in text
    assert "EEG band power, ECG beats, logistic, on clips (Handcrafted)" in text


def test_there_is_no_table_without_every_cell(tmp_path: Path, study: Study) -> None:
    found = gap_frame(tmp_path, replace(study, ablations=study.ablations[1:]))
    assert (len(found), list(found.columns)) == (0, list(COLUMNS))
    assert isinstance(found, pd.DataFrame)
    assert "It was not run." in gap_markdown(found, study)
