"""The mixtures as a study runs them: the two ends are the rows of the table, with their settings and encoder."""

from pathlib import Path

import pandas as pd
import pytest
from ablation_study import parameters, run
from made_cohort import study_of

from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.gap_cells import CELLS, CLAIM, FACTORS
from physiopipe.experiments.predictions import read_predictions

ENDS = {"ours": frozenset[str](), "handcrafted": frozenset(each.name for each in FACTORS)}


@pytest.mark.parametrize("row", ENDS)
def test_an_end_predicts_what_the_row_does(world: Path, tmp_path: Path, row: str) -> None:
    study = study_of(row, parameters(tmp_path), world / "windows", world / "ecg_encoder.safetensors")
    run_method(study, tmp_path / "row.parquet")
    expected, _ = read_predictions(tmp_path / "row.parquet")
    found, about = run(world, tmp_path, CELLS[ENDS[row]])
    pd.testing.assert_series_equal(pd.Series(found, name="probability"), expected["probability"], check_exact=True)
    assert (about["claim"], about["versus"]) == (CLAIM, "")
