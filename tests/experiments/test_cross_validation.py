from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cohort import store_cohort, study_of

from physiopipe.clips.clip_data import HIDDEN_LABEL, ClipData
from physiopipe.experiments import cross_validation
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.fold_run import best_threshold
from physiopipe.experiments.kept_folds import CURVE_COLUMNS
from physiopipe.experiments.predictions import read_predictions
from physiopipe.methods.base import Arrays
from physiopipe.methods.chance import Chance
from physiopipe.methods.clip_prior import ClipPrior
from physiopipe.params import Params, check_params


def parameters(
    tmp_path: Path, protocol: str = "crossval", seeds: tuple[int, ...] = (0,), method: Any = None, **clips: Any
) -> Params:
    content = {
        "evaluate": {"protocol": protocol, "seeds": list(seeds)},
        "clips": {"dreamer": clips},
        "method": method or {},
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu"},
    }
    return check_params(content, "test")


@pytest.fixture
def cohort(tmp_path: Path, make_clips) -> Path:
    return store_cohort(tmp_path, make_clips(subjects=6, clips=4, windows=1, patches=10))


class Spy(ClipPrior):
    """Clip prior that notes what it is shown."""

    seen: list[tuple[set[str], set[str], int]]
    trained: set[str]

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        self.trained = set(train.subjects)
        self.seen.append((self.trained, set(validation.subjects), seed))
        return super().fit(train, validation, seed)

    def predict(self, test: ClipData) -> np.ndarray:
        assert (test.labels == HIDDEN_LABEL).all()
        assert not set(test.subjects) & self.trained
        return super().predict(test)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays, about = super().state()
        return arrays, about | {"trained": sorted(self.trained)}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        self.trained = set(about["trained"])
        return super().restore(arrays, about)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str], int]]:
    Spy.seen = []
    monkeypatch.setattr(cross_validation, "method_class", lambda _: Spy)
    return Spy.seen


def run(name: Any, params: Params, cohort: Path, tmp_path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    out = tmp_path / "results" / f"{name}.parquet"
    run_method(study_of(name, params, cohort), out, tmp_path / "results" / f"{name}.csv")
    return read_predictions(out)


def test_every_clip_is_predicted_once_a_seed_by_those_who_never_saw_its_subject(
    tmp_path: Path, cohort: Path, spy: list[tuple[set[str], set[str], int]]
) -> None:
    found, about = run("clip_prior", parameters(tmp_path, seeds=(0, 1)), cohort, tmp_path)
    assert len(found) == 2 * 6 * 4 * 3
    assert not found.duplicated(["seed", "subject", "clip", "label"]).any()
    assert [seed for _, _, seed in spy] == [0] * 5 + [1] * 5
    for train, validation, _ in spy:
        assert train
        assert not train & validation
    assert about["simulated"] is True
    assert about["cohort"] == "dreamer"
    assert about["provenance"] == "baseline"
    assert about["left_out"] == []


def test_predictions_are_those_of_the_method_itself(tmp_path: Path, cohort: Path, make_clips) -> None:
    clips = make_clips(subjects=6, clips=4, windows=1, patches=10)
    found, _ = run("clip_prior", parameters(tmp_path), cohort, tmp_path)
    for (_, _, clip, label, fold), one in found.groupby(["seed", "subject", "clip", "label", "fold"]):
        tested = set(found.loc[found["fold"] == fold, "subject"])
        checked = set(found.loc[found["fold"] == (fold + 1) % 5, "subject"])
        rows = ~np.isin(clips.subjects, sorted(tested | checked)) & (clips.clips == clip)
        column = ["valence", "arousal", "dominance"].index(label)
        assert one["probability"].item() == pytest.approx(clips.labels[rows, column].mean())
        mine = (clips.subjects == one["subject"].item()) & (clips.clips == clip)
        assert one["truth"].item() == clips.labels[mine, column].item()


def test_finished_folds_are_skipped_and_missing_ones_made(
    tmp_path: Path, cohort: Path, spy: list[tuple[set[str], set[str], int]]
) -> None:
    params = parameters(tmp_path, seeds=(0, 1))
    run("clip_prior", params, cohort, tmp_path)
    out = tmp_path / "results" / "clip_prior.parquet"
    first = out.read_bytes()
    spy.clear()
    run("clip_prior", params, cohort, tmp_path)
    assert spy == []
    assert out.read_bytes() == first
    kept = sorted((tmp_path / "state" / "finetune").glob("*.parquet"))
    assert len(kept) == 10
    kept[3].unlink()
    run("clip_prior", params, cohort, tmp_path)
    assert spy == []  # the fitted method is still there
    assert out.read_bytes() == first
    for suffix in (".parquet", ".safetensors"):
        kept[3].with_suffix(suffix).unlink()
    run("clip_prior", params, cohort, tmp_path)
    assert len(spy) == 1
    assert out.read_bytes() == first
    spy.clear()
    run("clip_prior", parameters(tmp_path, seeds=(0, 1, 2)), cohort, tmp_path)
    assert [seed for _, _, seed in spy] == [2] * 5


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, cohort: Path, monkeypatch) -> None:
    whole, _ = run("chance", parameters(tmp_path / "whole"), cohort, tmp_path / "whole")
    calls = 0
    fit = Chance.fit

    def stopping(self: Chance, *args: Any) -> Chance:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return fit(self, *args)

    monkeypatch.setattr(Chance, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        run("chance", parameters(tmp_path), cohort, tmp_path)
    assert not (tmp_path / "results" / "chance.parquet").exists()
    again, _ = run("chance", parameters(tmp_path), cohort, tmp_path)
    assert calls == 4 + 2
    pd.testing.assert_frame_equal(whole, again)


def test_other_data_labels_or_code_are_other_results(
    tmp_path: Path, cohort: Path, make_clips, spy: list[tuple[set[str], set[str], int]], monkeypatch
) -> None:
    run("clip_prior", parameters(tmp_path), cohort, tmp_path)
    for params in (parameters(tmp_path, high_from=4), parameters(tmp_path, last_s=10.0)):
        spy.clear()
        run("clip_prior", params, cohort, tmp_path)
        assert len(spy) == 5
    spy.clear()
    run("clip_prior", parameters(tmp_path, method={"ours": {"epochs": 3}}), cohort, tmp_path)  # another method's
    assert spy == []
    other = store_cohort(tmp_path / "other", make_clips(subjects=6, clips=4, windows=1, patches=10, seed=1))
    run("clip_prior", parameters(tmp_path), other, tmp_path)
    assert len(spy) == 5
    spy.clear()
    monkeypatch.setattr(cross_validation, "code_digest", lambda *modules: f"other code of {len(modules)} modules")
    run("clip_prior", parameters(tmp_path), cohort, tmp_path)
    assert len(spy) == 5


@pytest.mark.parametrize("name", ["always_high", "clip_prior", "chance", "handcrafted"])
def test_permuting_the_test_labels_changes_no_prediction(tmp_path: Path, make_clips, name: str) -> None:
    made = make_clips(subjects=6, clips=4, windows=1, patches=10)
    plain, _ = run(name, parameters(tmp_path, "paper"), store_cohort(tmp_path / "a", made), tmp_path / "a")
    tested = np.isin(made.subjects, plain["subject"].unique())
    assert 0 < tested.sum() < len(made)
    made.labels[tested] = 1 - made.labels[tested]
    other, _ = run(name, parameters(tmp_path, "paper"), store_cohort(tmp_path / "b", made), tmp_path / "b")
    assert (plain["truth"] != other["truth"]).all()
    pd.testing.assert_series_equal(plain["probability"], other["probability"])
    pd.testing.assert_series_equal(plain["threshold"], other["threshold"])


def test_curves_are_written_even_where_there_are_none(tmp_path: Path, cohort: Path) -> None:
    run("always_high", parameters(tmp_path), cohort, tmp_path)
    curves = pd.read_csv(tmp_path / "results" / "always_high.csv")
    assert list(curves.columns) == list(CURVE_COLUMNS)
    assert curves.empty


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.5, 0.55, 0.8, 1.0])), max_size=20))
def test_threshold_is_the_best_that_a_search_finds(rows: list[tuple[bool, float]]) -> None:
    truth = np.array([high for high, _ in rows], dtype=np.int8)
    probability = np.array([p for _, p in rows], dtype=np.float64)
    found = best_threshold(truth, probability)
    if len(set(truth.tolist())) < 2:
        assert found == 0.5
        return

    def balanced(threshold: float) -> float:
        said = probability >= threshold
        return (said[truth == 1].mean() + (~said[truth == 0]).mean()) / 2

    grid = max(balanced(t) for t in np.linspace(-0.01, 1.01, 205))
    assert balanced(found) == pytest.approx(grid)
    assert 0 <= found <= 1
