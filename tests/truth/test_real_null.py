"""Real EEG and ECG with labels that mean nothing, and with their own: sixteen people of EEGMAT, read, filtered, cut and
stored as the workflow does it.

A hundred times each person's two clips, rest and arithmetic, keep their labels or exchange them, by the toss of a coin.
What makes people differ, what drifts and what is broken in real signals stays as it was. As in test_leak_detector.py,
exchanges are tasks of one fit a fold.

The measure is the share of people whose arithmetic is put above their rest, ties counted half. A model never saw the
labels of the people that it is tested on, so the expectation is one half exactly. The share of 16 tossed coins has an
SD of .5 / 4 = .125; over exchanges it is somewhat larger, for two people in different folds are each other's training.
The mean of a hundred exchanges has the standard error SD / 10, and nothing is to be found within four: .05 to .06.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared import store_tree
from sklearn.metrics import roc_auc_score
from test_leak_detector import CHEAP, EXCHANGES, aucs_within_subjects, excess, honest, predicted, with_test_subjects

from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.selection import load_clips
from physiopipe.cohorts.registry import cohort
from physiopipe.params import check_params

pytestmark = [pytest.mark.sample, pytest.mark.slow]
PEOPLE = 16
COINS_SD = 0.5 / np.sqrt(PEOPLE)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ClipData:
    """The last minute of both clips of the people that are here, with their own labels."""
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    tree = {"base_url": str(Path(sample) / "eegmat" / "1.0.0"), "allow_missing": True}
    params = check_params({"cohorts": {"downstream": ["eegmat"]}, "data": {"eegmat": tree}}, "test", with_methods=False)
    windows = store_tree(tmp_path_factory.mktemp("eegmat"), "eegmat", params)
    clips = load_clips(windows, 60.0, {"arithmetic": 1.0})
    assert clips.labels[:, 0].tolist() == [0, 1] * PEOPLE  # rest, then arithmetic
    assert np.bincount(clips.clip_of).tolist() == [6] * (2 * PEOPLE)
    return clips


@pytest.fixture(scope="module")
def exchanged(real: ClipData) -> ClipData:
    swapped = np.random.default_rng(16).integers(0, 2, (PEOPLE, EXCHANGES))
    labels = real.labels ^ np.repeat(swapped, 2, axis=0)  # (clip, exchange)
    return replace(real, labels=labels.astype(np.int8), tasks=tuple(f"exchange {n}" for n in range(EXCHANGES)))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where features of the windows are kept between tests."""
    return tmp_path_factory.mktemp("state")


@pytest.mark.parametrize("name", CHEAP)
def test_labels_that_mean_nothing_are_not_found_in_real_signals(exchanged: ClipData, state: Path, name: str) -> None:
    aucs = aucs_within_subjects(name, state, exchanged, honest(exchanged))
    found, error = excess(aucs)
    assert abs(found) <= 4 * error, (found, error)
    if name == "always_high":  # ties alone
        assert error == 0
    else:  # a bound that is neither too sharp nor too wide to find a leak
        assert 0.75 * COINS_SD < aucs.std(ddof=1) < 1.5 * COINS_SD


@pytest.mark.parametrize("name", ["clip_prior", "handcrafted", "nearest_neighbours"])
def test_a_row_that_has_seen_the_people_it_is_tested_on_is_found_out(
    exchanged: ClipData, state: Path, name: str
) -> None:
    found, error = excess(aucs_within_subjects(name, state, exchanged, with_test_subjects(exchanged)))
    assert found > 8 * error, (found, error)


def test_arithmetic_is_found_in_real_signals_of_other_people(real: ClipData, exchanged: ClipData, state: Path) -> None:
    """With their own labels: what handcrafted features find is above all of a hundred exchanges."""
    probability = predicted("handcrafted", state, real, honest(real))
    assert roc_auc_score(real.labels[:, 0], probability[:, 0]) > 0.65
    (own,) = aucs_within_subjects("handcrafted", state, real, honest(real))
    by_chance = aucs_within_subjects("handcrafted", state, exchanged, honest(exchanged))
    assert own > by_chance.max(), (own, by_chance.max())


def test_the_clip_alone_tells_the_label_and_is_no_baseline_here(real: ClipData, state: Path) -> None:
    """Rest is always clip 1: why tables of this cohort print no clip prior."""
    assert "clip_prior" in cohort("eegmat").without_meaning
    assert aucs_within_subjects("clip_prior", state, real, honest(real)) == 1.0
