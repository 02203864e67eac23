"""The simulated DREAMER.mat: nesting, marginals, planted effects, signals of the right size, equal bytes."""

import hashlib
import subprocess
import sys
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from physiopipe.cohorts.dreamer import COHORT, EEG_CHANNELS, RATINGS, DreamerData, SimulateDreamer
from physiopipe.cohorts.dreamer_file import read_dreamer
from physiopipe.cohorts.dreamer_simulation import (
    HIGH_FROM,
    LABEL_CORRELATION,
    REAL_COUNTS,
    latents,
    plan_cohort,
    simulate_dreamer,
)
from physiopipe.recordings.recording import Recording
from physiopipe.results.oracle import posterior

PARAMS = SimulateDreamer(subjects=5, clips=4, min_clip_s=12, max_clip_s=20, baseline_s=3, seed=9)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "DREAMER.mat"
    simulate_dreamer(path, PARAMS)
    return path


def test_the_nesting_is_that_of_the_real_file(path: Path) -> None:
    d = scipy.io.loadmat(path)["DREAMER"][0, 0]
    assert [d[f"{modality}_SamplingRate"].item() for modality in ("EEG", "ECG")] == [128, 256]
    assert [name.item() for name in d["EEG_Electrodes"][0]] == list(EEG_CHANNELS)
    assert d["Data"].shape == (1, 5)
    assert (d["noOfSubjects"].item(), d["noOfVideoSequences"].item()) == (5, 4)
    lengths = set()
    for number in range(5):
        s = d["Data"][0, number]
        assert s["Gender"].item().item() in ("male", "female")
        assert int(s["Age"].item().item()) >= 18
        for clip in range(4):
            eeg = s["EEG"][0, 0]["stimuli"][0, 0][clip, 0]
            ecg = s["ECG"][0, 0]["stimuli"][0, 0][clip, 0]
            assert eeg.shape[1] == 14
            assert ecg.shape == (2 * len(eeg), 2)
            assert 12 <= len(eeg) / 128 <= 20
            assert s["EEG"][0, 0]["baseline"][0, 0][clip, 0].shape == (3 * 128, 14)
            assert s["ECG"][0, 0]["baseline"][0, 0][clip, 0].shape == (3 * 256, 2)
            lengths.add((clip, len(eeg)))
        for rating in RATINGS:
            scores = s[f"Score{rating.capitalize()}"][0, 0]
            assert scores.shape == (4, 1)
            assert set(scores.ravel()) <= {1, 2, 3, 4, 5}
    assert len(lengths) == 4  # a clip is as long for everybody, and no two clips are equally long


def test_the_file_says_that_it_is_simulated(path: Path) -> None:
    loaded = scipy.io.loadmat(path)
    assert b"simulated by physiopipe" in loaded["__header__"]
    assert loaded["DREAMER"][0, 0]["Provider"].item() == "simulated by physiopipe"


def test_the_same_seed_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    simulate_dreamer(tmp_path / "again.mat", PARAMS)
    simulate_dreamer(tmp_path / "other.mat", PARAMS.model_copy(update={"seed": 10}))
    digest = [hashlib.sha256(p.read_bytes()).digest() for p in (path, tmp_path / "again.mat", tmp_path / "other.mat")]
    assert digest[0] == digest[1] != digest[2]
    assert len(list(tmp_path.iterdir())) == 2


def test_signals_have_the_size_and_shape_of_real_ones(path: Path) -> None:
    data = scipy.io.loadmat(path)["DREAMER"][0, 0]["Data"]
    for number in range(5):
        eeg = data[0, number]["EEG"][0, 0]["stimuli"][0, 0][0, 0]
        assert np.abs(eeg.mean(axis=0) - 4200).max() < 300
        assert 8 < np.median((eeg - eeg.mean(axis=0)).std(axis=0)) < 45
        frequency, power = scipy.signal.welch(eeg, 128, nperseg=512, axis=0)
        mean = power.mean(axis=1)
        around = {hz: mean[np.abs(frequency - hz) < 0.7].mean() for hz in (2, 10, 14.5, 45)}
        assert around[10] > 2 * around[14.5]  # an alpha peak
        assert around[2] > 5 * around[45]  # on a falling background
        correlation = np.corrcoef(eeg.T)
        assert correlation[0, 13] > 0.1  # AF3 and AF4 are neighbours
        assert correlation[0, 13] < 0.95
        ecg = data[0, number]["ECG"][0, 0]["stimuli"][0, 0][0, 0]
        assert np.abs(ecg.mean(axis=0) - 2000).max() < 200
        assert 150 < np.ptp(ecg[:, 0]) < 3000


@pytest.mark.parametrize(("subjects", "clips"), [(23, 18), (10, 8), (7, 3)])
def test_ratings_are_as_frequent_as_the_real_ones(subjects: int, clips: int) -> None:
    ratings = plan_cohort(SimulateDreamer(subjects=subjects, clips=clips)).ratings
    for i, label in enumerate(RATINGS):
        counts = np.bincount(ratings[..., i].ravel(), minlength=6)[1:]
        exact = np.array(REAL_COUNTS[label]) * subjects * clips / 414
        assert np.abs(counts - exact).max() <= 1
        if (subjects, clips) == (23, 18):
            np.testing.assert_array_equal(counts, REAL_COUNTS[label])


def test_ratings_share_clip_subject_and_each_other() -> None:
    ratings = plan_cohort(SimulateDreamer(subjects=1000, clips=1000)).ratings.astype(float)
    correlation = np.corrcoef(ratings.reshape(-1, 3).T)
    np.testing.assert_allclose(correlation, LABEL_CORRELATION, atol=0.05)  # cutting to 1..5 weakens it a little
    total = ratings.var(axis=(0, 1))
    np.testing.assert_allclose(ratings.mean(axis=0).var(axis=0) / total, 0.4, atol=0.08)
    np.testing.assert_allclose(ratings.mean(axis=1).var(axis=0) / total, 0.1, atol=0.04)


@pytest.mark.parametrize(("d", "rho", "share"), [(1.16, 0.5, 0.5), (1.16, 2.0, 0.0), (0.0, 0.5, 0.5), (1.8, 0.5, 0.8)])
def test_levels_are_worth_what_was_planted_and_hidden(d: float, rho: float, share: float) -> None:
    params = SimulateDreamer(subjects=400, clips=100, effect_d=d, subject_rho=rho, hidden_share=share)
    plan, drawn = plan_cohort(params), latents(params)
    np.testing.assert_allclose(drawn.effect, d * sqrt(2))
    assert np.abs(drawn.level.std() - sqrt(1 + 0.24 * drawn.effect[0] ** 2)) < 0.1
    own, phi = plan.z - plan.subject_z[:, None], NormalDist().cdf
    for i in range(3):
        high = drawn.moved[:, i]
        shown = own[..., 2 * i] * (-1, 1, 1)[i] + own[..., 2 * i + 1] * (-1, 1, -1)[i]
        for level, expected in (
            (drawn.level[:, i], phi(d)),  # all that there is
            (shown.ravel(), phi(d * sqrt(1 - share))),
            (own[..., 6 + i].ravel(), phi(d * sqrt(share))),
        ):
            assert abs(roc_auc_score(high, level) - expected) < 0.015
    spread = plan.subject_z.std(axis=0)
    np.testing.assert_allclose(spread[:6], rho, rtol=0.15)
    assert (plan.z[..., 6:] == 0).all() == (share == 0)


@pytest.mark.parametrize("high_from", [3, 4])
def test_no_classifier_of_the_levels_is_above_the_oracle(high_from: int) -> None:
    """Where tables ask for ratings from 4 on, those of 3 were still moved as high ones: low clips are a mixture."""
    params = SimulateDreamer(subjects=200, clips=100)
    plan, drawn = plan_cohort(params), latents(params)
    levels = (plan.z - plan.subject_z[:, None]).reshape(-1, 9)
    high = drawn.value >= high_from
    probability = posterior(drawn, high)
    for i in range(3):
        fitted = LogisticRegression().fit(levels[::2], high[::2, i]).decision_function(levels[1::2])
        best, oracle = (roc_auc_score(high[1::2, i], score) for score in (fitted, probability[1::2, i]))
        assert best - 0.002 < oracle < best + 0.01
        by_tenth = np.argsort(probability[:, i]).reshape(10, -1)  # and what it says is as frequent as it says
        np.testing.assert_allclose(
            high[:, i][by_tenth].mean(axis=1), probability[:, i][by_tenth].mean(axis=1), atol=0.03
        )
    if high_from == 4:
        first = [roc_auc_score(drawn.value[:, i] >= 3, posterior(drawn, drawn.value >= 3)[:, i]) for i in range(3)]
        assert all(roc_auc_score(high[:, i], probability[:, i]) < first[i] for i in range(3))


def test_latents_lie_beside_the_file_and_are_those_of_its_clips(tmp_path: Path) -> None:
    COHORT.simulate_to(tmp_path / "1234" / "DREAMER.mat", PARAMS)
    assert [path.name for path in (tmp_path / "1234").iterdir()] == ["DREAMER.mat"]
    written = pd.read_csv(tmp_path / "1234.latents.csv").set_index(["subject", "clip"])
    read = list(read_dreamer(tmp_path / "1234" / "DREAMER.mat", DreamerData(), simulated=True))
    assert len(read) == 2 * len(written) == 40
    for one in read:
        assert isinstance(one, Recording)
        row = written.loc[(one.subject, one.clip)]
        assert {label: row[f"{label}_value"] for label in RATINGS} == one.ratings
        assert all(row[f"{label}_moved"] == (row[f"{label}_value"] >= HIGH_FROM) for label in RATINGS)
    drawn = latents(PARAMS)
    np.testing.assert_allclose(written[[f"{label}_level" for label in RATINGS]], drawn.level, atol=1e-6)


def test_with_nothing_hidden_the_cohort_is_as_it_was_before_anything_could_be(tmp_path: Path) -> None:
    simulate_dreamer(tmp_path / "plain.mat", PARAMS.model_copy(update={"hidden_share": 0.0}))
    content = scipy.io.loadmat(tmp_path / "plain.mat")["DREAMER"][0, 0]["Data"][0, 2]
    eeg = content["EEG"][0, 0]["stimuli"][0, 0][1, 0]
    assert eeg[[0, 500, -1]].sum(axis=1) == pytest.approx([59064.6154, 59070.2564, 59143.0769], abs=1.1)


@pytest.mark.exhaustive
def test_a_file_of_the_true_size_is_read_within_one_and_a_half_gib(tmp_path: Path) -> None:
    path = tmp_path / "DREAMER.mat"
    simulate_dreamer(path, SimulateDreamer(max_clip_s=333, baseline_s=61))  # clips of 199 s on average, as the real
    assert path.stat().st_size > 400e6
    code = (
        "import sys; from pathlib import Path\n"
        "from physiopipe.cohorts.dreamer import DreamerData; from physiopipe.cohorts.dreamer_file import read_dreamer\n"
        "n = sum(1 for _ in read_dreamer(Path(sys.argv[1]), DreamerData(), simulated=True))\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(n, int(peak.split()[1]) / 2**20)"  # of this process alone, which getrusage's is not
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
    count, gib = out.split()
    assert int(count) == 2 * 414
    assert float(gib) < 1.5
