"""What a cohort's object says goes the whole way: tasks, channels, and rows that have no meaning on it."""

import dataclasses
from pathlib import Path

import pytest
from made_cohort import store_cohort, study_of
from small_methods import parameters as small_parameters
from test_cross_validation import parameters, run

from physiopipe.cohorts.base import Task
from physiopipe.cohorts.registry import cohort as registered
from physiopipe.experiments import cross_validation
from physiopipe.experiments import study as experiment_study
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.kept_folds import CURVE_COLUMNS
from physiopipe.experiments.leaks import run_leaky
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.robustness import run_robustness
from physiopipe.methods.clip_prior import ClipPrior


@pytest.fixture
def cohort(tmp_path: Path, make_clips) -> Path:
    return store_cohort(tmp_path, make_clips(subjects=6, clips=4, windows=1, patches=10))


def test_a_method_without_meaning_on_a_cohort_makes_a_file_without_rows(
    tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, reason = registered("dreamer"), "The clip's number is the label."
    with_reason = dataclasses.replace(plain, without_meaning={"clip_prior": reason})
    for module in (cross_validation, experiment_study):
        monkeypatch.setattr(module, "cohort", lambda _: with_reason)
    monkeypatch.setattr(ClipPrior, "fit", lambda *_: pytest.fail("fitted for nothing"))
    found, about = run("clip_prior", parameters(tmp_path), cohort, tmp_path)
    assert len(found) == 0
    assert about["without_meaning"] == reason
    assert (about["cohort_title"], about["tasks"]) == ("DREAMER", ["valence", "arousal", "dominance"])
    assert f"clip_prior on dreamer: {reason}" in capsys.readouterr().out
    assert (tmp_path / "results" / "clip_prior.csv").read_text().strip() == ",".join(CURVE_COLUMNS)
    found, about = run("chance", parameters(tmp_path), cohort, tmp_path)
    assert len(found) == 6 * 4 * 3
    assert "without_meaning" not in about
    for make in (run_robustness, run_leaky):
        make(study_of("clip_prior", parameters(tmp_path), cohort), tmp_path / "other.parquet")
        found, about = read_predictions(tmp_path / "other.parquet")
        assert len(found) == 0
        assert about["without_meaning"] == reason


def test_what_a_predictions_file_says_of_itself(tmp_path: Path, cohort: Path) -> None:
    _, about = run("gated", small_parameters(tmp_path, epochs=1), cohort, tmp_path)
    assert {key: about[key] for key in ("cohort", "cohort_title", "method", "title", "family", "licence")} == {
        "cohort": "dreamer", "cohort_title": "DREAMER", "method": "gated", "title": "Gated fusion",
        "family": "fusion", "licence": "BSD-3-Clause",
    }  # fmt: skip
    assert about["note"] == "Ours with a gate in place of concatenation."
    assert about["high_from"] == {"valence": 3.0, "arousal": 3.0, "dominance": 3.0}
    assert len(about["code"]) == 64


def test_a_cohort_of_other_channels_and_one_task_goes_the_whole_way(
    tmp_path: Path, make_clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the cohort's own object and its windows says how many channels and tasks there are."""
    clips = make_clips(subjects=6, clips=4, windows=1, patches=4, channels=(19, 1), tasks=("asleep",))
    root = store_cohort(tmp_path, clips)
    other = dataclasses.replace(registered("dreamer"), tasks=(Task("asleep", high_from=3.0),))
    for module in (cross_validation, experiment_study):
        monkeypatch.setattr(module, "cohort", lambda _: other)
    for name in ("handcrafted", "clip_prior"):
        study = study_of(name, parameters(tmp_path), root)
        shown = cross_validation.CrossValidation(study).clips
        assert (shown.tasks, shown.ecg_channels, len(shown.eeg_channels)) == (("asleep",), ("L1",), 19)
        run_method(study, tmp_path / "out.parquet")
        found, about = read_predictions(tmp_path / "out.parquet")
        assert about["tasks"] == ["asleep"]
        assert len(found) == 6 * 4
        assert set(found["label"]) == {"asleep"}
        run_robustness(study, tmp_path / "robust.parquet")
        robust, _ = read_predictions(tmp_path / "robust.parquet")
        assert set(robust.loc[robust["condition"] == "dropped_eeg_channels", "level"]) == {1, 2, 4, 7, 10, 13}
