"""What a fold cost is told of every fit, whoever asks first, and changes nothing that is compared."""

from pathlib import Path

import pandas as pd
import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from small_methods import parameters

from physiopipe.experiments.cross_validation import CrossValidation, run_method
from physiopipe.experiments.fit_cost import COST_COLUMNS


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = planted_clips(subjects=6, clips=3, windows=1, patches=4, channels=(3, 2))
    return store_cohort(tmp_path_factory.mktemp("cohort"), clips)


def test_costs_are_a_row_a_fold_and_outlive_the_fit(tmp_path: Path, cohort: Path) -> None:
    study, path = study_of("ours", parameters(tmp_path, epochs=2), cohort), tmp_path / "costs.csv"
    run_method(study, tmp_path / "a.parquet", None, path)
    first = pd.read_csv(path)
    assert tuple(first.columns) == COST_COLUMNS
    assert len(first) == len(CrossValidation(study).runs())
    assert (first["fit_cpu_s"] > 0.001).all()
    assert (first["kept_cpu_s"] > 0.001).all()
    assert set(first["processor"]) == {"CPU"}
    assert first["device"].str.len().min() > 2
    method = CrossValidation(study).method
    run = CrossValidation(study).runs()[0]
    known = CrossValidation(study).kept.fitted(run.fitted)
    assert known is not None
    assert set(first["trained_parameters"]) == {method.restore(*known).trained_parameters}
    run_method(study, tmp_path / "b.parquet", None, path)  # nothing is fitted again, and the fits' own seconds stay
    pd.testing.assert_frame_equal(pd.read_csv(path), first)


def test_a_row_that_finds_embeddings_tells_what_they_cost(tmp_path: Path, cohort: Path) -> None:
    params = parameters(tmp_path, epochs=1)
    found = {}
    for name in ("ours", "ecg_only", "gated"):
        run_method(study_of(name, params, cohort), tmp_path / "a.parquet", None, tmp_path / f"{name}.csv")
        found[name] = pd.read_csv(tmp_path / f"{name}.csv")["kept_cpu_s"].iloc[0]
    assert found["gated"] == pytest.approx(found["ours"], abs=0.005)  # read back from what the first row noted
    assert 0 < found["ecg_only"] < found["ours"]


def test_a_fold_without_its_cost_has_an_empty_row(tmp_path: Path, cohort: Path) -> None:
    study, path = study_of("handcrafted", parameters(tmp_path), cohort), tmp_path / "costs.csv"
    run_method(study, tmp_path / "a.parquet")
    (kept,) = (study.state_folder / "finetune").glob("*.json")
    run_method(study, tmp_path / "a.parquet", None, path)
    assert pd.read_csv(path)["fit_cpu_s"].notna().all()
    kept.write_bytes(b"{}")  # damaged: it counts as absent, and nothing is fitted for its sake
    run_method(study, tmp_path / "b.parquet", None, path)
    assert pd.read_csv(path)["fit_cpu_s"].isna().all()
    assert pd.read_csv(path)["method"].tolist() == ["handcrafted"]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
