"""Nothing of a test subject reaches what is fitted: neither signals nor labels, through the whole cross-validation."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_cohort import store_cohort, study_of
from planted_clips import planted_clips
from small_methods import every_method, parameters

from physiopipe.clips.clip_data import ClipData
from physiopipe.experiments.cross_validation import CrossValidation, run_method
from physiopipe.experiments.predictions import read_predictions
from physiopipe.experiments.subject_splits import subject_split
from physiopipe.methods.base import Arrays
from physiopipe.methods.registry import method_class

# Rows that take more than a second each here, and those that read the same embeddings in the same way as `ours`,
# `transductive` and `mixture` do
SLOW = (
    "ecg_only", "eeg_only", "gated", "cross_attention",
    "in_domain", "lin_style", "single_lead", "brant_x_style", "mlf_capsnet", "eeg_conformer", "minirocket", "simmtm",
    "tfc", "one_fits_all", "time_llm",
)  # fmt: skip
Run = tuple[Arrays, dict[str, object], pd.DataFrame]


def clips() -> ClipData:
    made = planted_clips(subjects=8, clips=4, windows=2, patches=4, channels=(3, 2))
    made.labels[:, 0] = made.clips > 1  # a prevalence other than one half, which moves with a subject
    return made


def perturbed(whole: ClipData, subjects: set[str]) -> ClipData:
    """Other signals, on another scale and with an offset, and the opposite labels, of these subjects."""
    rows = np.isin(whole.subjects, sorted(subjects))
    random, windows = np.random.default_rng(8), rows[whole.clip_of]
    eeg, ecg, labels = whole.eeg.copy(), whole.ecg.copy(), whole.labels.copy()
    eeg[windows] = random.normal(50, 300, eeg[windows].shape)
    ecg[windows] = random.normal(-900, 4000, ecg[windows].shape)
    labels[rows] = 1 - labels[rows]
    return replace(whole, eeg=eeg, ecg=ecg, labels=labels)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ClipData], Path]:
    """The folder of stored clips: equal clips are stored once, and all methods find the embeddings of the others."""
    stored: dict[bytes, Path] = {}

    def folder_of(shown: ClipData) -> Path:
        key = shown.labels.tobytes() + b"".join(shown.digests("eeg")) + b"".join(shown.digests("ecg"))
        if key not in stored:
            stored[key] = tmp_path_factory.mktemp("cohort")
            store_cohort(stored[key], shown)
        return stored[key]

    return folder_of


@pytest.fixture(scope="module")
def plain_run(cohorts: Callable[[ClipData], Path]) -> Callable[[str], Run]:
    """`run` of a method on the clips as they are, once for both tests."""
    return cache(lambda name: run(name, cohorts(clips())))


def run(name: str, folder: Path) -> Run:
    """Arrays and values of the one fitted method, and its predictions."""
    study = study_of(name, parameters(folder, epochs=3), folder / "windows")
    run_method(study, folder / "out.parquet")
    validation = CrossValidation(study)
    (only,) = validation.runs()
    kept = validation.kept.fitted(only.fitted)
    assert kept is not None
    return *kept, read_predictions(folder / "out.parquet")[0]


def equal(one: tuple[Arrays, dict[str, object]], other: tuple[Arrays, dict[str, object]]) -> bool:
    same_values = one[1] == other[1] and set(one[0]) == set(other[0])
    return same_values and all(np.array_equal(value, other[0][name]) for name, value in one[0].items())


@pytest.mark.parametrize("name", every_method(slow=SLOW))
def test_no_fitted_state_or_threshold_knows_the_test_subjects(
    cohorts: Callable[[ClipData], Path], plain_run: Callable[[str], Run], name: str
) -> None:
    """True of the transductive row too: it learns from no test subject, but predicts each by the whole of its clips."""
    *fitted, plain = plain_run(name)
    tested = set(plain["subject"])
    assert 0 < len(tested) < 8
    *again, other = run(name, cohorts(perturbed(clips(), tested)))
    assert set(other["subject"]) == tested
    assert (plain["truth"] != other["truth"]).all()  # what is perturbed arrived
    assert equal(fitted, again)
    np.testing.assert_array_equal(plain["threshold"], other["threshold"])
    assert np.array_equal(plain["probability"], other["probability"]) == (not method_class(name).inputs)
    trained = sorted(set(clips().subjects) - tested)[0]
    *moved, _ = run(name, cohorts(perturbed(clips(), {trained})))
    assert trained in subject_split(sorted(set(clips().subjects)), "paper", 0)[0].train
    assert equal(fitted, moved) == (fitted == [{}, {}])  # where anything is learnt the comparison can fail


@pytest.mark.parametrize("name", every_method(slow=SLOW))
def test_only_the_transductive_row_predicts_a_clip_by_its_subjects_other_clips(
    cohorts: Callable[[ClipData], Path], plain_run: Callable[[str], Run], name: str
) -> None:
    if not method_class(name).inputs:
        pytest.skip("it reads no signal")
    *_, plain = plain_run(name)
    subject = str(plain["subject"].iloc[0])
    whole = clips()
    row = (whole.subjects == subject) & (whole.clips == 1)
    eeg, ecg = whole.eeg.copy(), whole.ecg.copy()
    random, windows = np.random.default_rng(8), row[whole.clip_of]
    eeg[windows] = random.normal(50, 300, eeg[windows].shape)
    ecg[windows] = random.normal(-900, 4000, ecg[windows].shape)
    *_, other = run(name, cohorts(replace(whole, eeg=eeg, ecg=ecg)))
    key = ["subject", "clip", "label"]
    moved = (plain.set_index(key)["probability"] != other.set_index(key)["probability"]).sort_index()
    assert moved.loc[(subject, 1)].any()
    others = moved[(moved.index.get_level_values("subject") != subject)]
    assert not others.any()
    assert moved.loc[(subject, 2)].any() == ("alone" in method_class(name).exempt)
