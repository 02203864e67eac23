"""What holds of all stand-ins: rows of their own name, kept folds, damaged recordings."""

from pathlib import Path

import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from test_ours import SIZES
from test_state import restored

from physiopipe.cohorts.dreamer_reported import REPORTED
from physiopipe.experiments.corruptions import Condition, corrupted
from physiopipe.experiments.cross_validation import run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.methods.base import Setup
from physiopipe.methods.registry import method_class
from physiopipe.params import Params, check_params

SMALL = {
    "lin_style": {"epochs": 2, "width": 16},
    "single_lead": {"penalties": [1.0]},
    "brant_x_style": {"align_epochs": 1, "epochs": 1, "hidden": 16},
}
every = pytest.mark.parametrize("name", SMALL)


def parameters(tmp_path: Path, name: str) -> Params:
    content = {
        "pretrain": {"encoder": SIZES},
        "encoders": {"eeg": SIZES, "eeg_weights": {"origin": "none"}},
        "methods": [name],
        "method": {name: SMALL[name]},
        "evaluate": {"protocol": "paper", "seeds": [0, 1]},
        "run": {"state_folder": str(tmp_path / "state"), "log_folder": "", "device": "cpu", "threads": 1},
    }
    return check_params(content, "test")


@every
def test_no_row_bears_the_name_of_the_method_that_it_stands_in_for(name: str) -> None:
    found = method_class(name)
    printed = {row.method for row in REPORTED.rows}
    assert {"Lin et al.", "Wang et al.", "Brant-X"} <= printed
    assert found.title not in printed
    assert found.title.endswith("(stand-in)")
    assert found.note.startswith("Stand-in for ")


@every
def test_a_study_keeps_its_folds_and_finds_them_again(tmp_path: Path, name: str, capsys) -> None:
    clips = planted_clips(subjects=6, clips=2, windows=1, patches=2, channels=(4, 1))
    study = study_of(name, parameters(tmp_path, name), store_cohort(tmp_path / "data", clips))
    tables = []
    for out in (tmp_path / "a.parquet", tmp_path / "b.parquet"):
        run_method(study, out)
        tables.append(read_predictions(out)[0])
    assert tables[0].equals(tables[1])
    assert tables[0]["probability"].between(0, 1).all()
    assert " done, " not in capsys.readouterr().out.rpartition("a.parquet")[2].rpartition("fitted folds are kept")[2]


@every
def test_damaged_recordings_are_predicted_alike_after_restoring(tmp_path: Path, name: str) -> None:
    clips = planted_clips(subjects=6, clips=4, windows=2, patches=4, channels=(5, 1), tasks=("a", "b"))
    names = sorted(set(clips.subjects))
    train, validation, test = (clips.of_subjects(part) for part in (names[:3], names[3:4], names[4:]))
    setup = Setup(parameters(tmp_path, name), None, tmp_path / "state")
    model = method_class(name)(setup).fit(train, validation, 3)
    again = restored(model, method_class(name)(setup))
    for shown in (test, corrupted(test, Condition("lost_ecg"), 0), corrupted(test, Condition("noise_snr_db", 0.0), 0)):
        found = model.predict(shown.without_labels())
        assert ((found > 0) & (found < 1)).all()
        assert again.predict(shown.without_labels()).tobytes() == found.tobytes()
