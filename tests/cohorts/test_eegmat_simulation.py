"""The simulated EEGMAT: layout, padding, planted effects, signals of the right size, equal bytes."""

import csv
import hashlib
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import mne
import numpy as np
import pytest
import scipy.signal
from sklearn.metrics import roc_auc_score

from physiopipe.clips.features import ECG_FEATURES, band_power, beat_features
from physiopipe.cohorts.eegmat import EEG_CHANNELS, EegmatData, SimulateEegmat
from physiopipe.cohorts.eegmat_simulation import latents, plan_cohort, simulate_eegmat
from physiopipe.cohorts.eegmat_tree import LABELS, read_recording
from physiopipe.cohorts.planted_signals import QUANTITIES
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.edf import read_edf_header, read_edf_samples
from physiopipe.results.oracle import posterior
from physiopipe.signals.beats import Beats
from physiopipe.signals.padding import recorded_samples
from physiopipe.signals.resampling import resample_to_rates

PARAMS = SimulateEegmat(subjects=8, rest_s=33.4, arithmetic_s=30, subject_rho=1.0, seed=1)
DATA = EegmatData(origin="simulated")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("eegmat") / "tree"
    simulate_eegmat(root / "SHA256SUMS.txt", PARAMS)
    return root


def test_the_layout_is_the_published_one(tree: Path) -> None:
    files = [f"Subject{number:02d}_{clip}.edf" for number in range(8) for clip in (1, 2)]
    assert (tree / "RECORDS").read_text().split() == files
    lines = dict(reversed(line.split(" ")) for line in (tree / "SHA256SUMS.txt").read_text().splitlines())
    assert (
        set(lines) == {*files, "RECORDS", "subject-info.csv"} == {p.name for p in tree.iterdir()} - {"SHA256SUMS.txt"}
    )
    for name, digest in lines.items():
        assert hashlib.sha256((tree / name).read_bytes()).hexdigest() == digest
    rows = list(csv.DictReader((tree / "subject-info.csv").open()))
    assert [row["Subject"] for row in rows] == [f"Subject{number:02d}" for number in range(8)]
    published = ["Subject", "Age", "Gender", "Recording year", "Number of subtractions", "Count quality"]
    assert list(rows[0]) == published
    header = read_edf_header(tree / files[0])
    assert header.labels == LABELS
    assert [signal.unit for signal in header.signals[:-1]] == ["uV"] * 20 + ["mV"]
    assert {signal.samples for signal in header.signals[:-1]} == {500}
    assert (header.records, header.record_s, header.plus) == (34 + 2, 1.0, True)


def test_every_file_says_that_it_is_simulated(tree: Path) -> None:
    for path in tree.glob("*.edf"):
        header = read_edf_header(path)
        assert "simulated_by_physiopipe" in header.patient
        assert "simulated_by_physiopipe" in header.recording


def test_a_file_ends_in_padding_as_the_real_ones(tree: Path) -> None:
    for clip, samples in ((1, 16_700), (2, 15_000)):
        signal = read_edf_samples(tree / f"Subject02_{clip}.edf", LABELS).signal
        assert recorded_samples(signal, 500.0) == samples
        changes = np.flatnonzero((np.diff(signal[:, samples - 1 :], axis=1) != 0).any(axis=0))
        assert len(changes) == 1  # from the last value to about 0
        assert 0.5 <= (changes[0] + 1) / 500 <= 1.11
        assert (np.abs(signal[:, -1]) <= np.ptp(signal, axis=1) / 65_000).all()


def test_mne_reads_it(tree: Path) -> None:
    raw = mne.io.read_raw_edf(tree / "Subject00_2.edf", preload=True, verbose="error")
    assert raw.ch_names == list(LABELS)
    assert raw.info["sfreq"] == 500
    ours = read_edf_samples(tree / "Subject00_2.edf", LABELS[:1]).signal[0]
    np.testing.assert_allclose(raw.get_data(picks=[0])[0] * 1e6, ours, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_takes_the_earlier_trees_place(tree: Path, tmp_path: Path) -> None:
    again, few = tmp_path / "again", PARAMS.model_copy(update={"subjects": 5})
    simulate_eegmat(again / "SHA256SUMS.txt", few)
    first = (again / "SHA256SUMS.txt").read_bytes()
    simulate_eegmat(again / "SHA256SUMS.txt", few)
    assert (again / "SHA256SUMS.txt").read_bytes() == first
    simulate_eegmat(again / "SHA256SUMS.txt", PARAMS)
    assert (again / "SHA256SUMS.txt").read_bytes() == (tree / "SHA256SUMS.txt").read_bytes()
    simulate_eegmat(again / "SHA256SUMS.txt", few.model_copy(update={"seed": 8}))
    assert (again / "SHA256SUMS.txt").read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


@pytest.mark.parametrize("name", ["README.txt", "other.edf"])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("years of work")
    with pytest.raises(PhysiopipeError, match=name):
        simulate_eegmat(tmp_path / "SHA256SUMS.txt", PARAMS)
    assert (tmp_path / name).exists()


def test_signals_have_the_size_and_shape_of_real_ones(tree: Path) -> None:
    for number in range(8):
        path = tree / f"Subject{number:02d}_1.edf"
        eeg, ecg = (read_recording(path, "eegmat", modality, DATA).signal for modality in ("eeg", "ecg"))
        assert 4 < np.median(eeg.std(axis=1)) < 26
        frequency, power = scipy.signal.welch(eeg, 500, nperseg=2000, axis=1)
        mean = power.mean(axis=0)
        around = {hz: mean[np.abs(frequency - hz) < 0.7].mean() for hz in (2, 10, 14.5, 60)}
        assert around[10] > 2 * around[14.5]  # an alpha peak
        assert around[60] < 1e-3 * around[2]  # nothing above 45 Hz
        rows = [[EEG_CHANNELS.index(name) for name in pair] for pair in (("P3", "Pz"), ("Fp1", "O2"))]
        near, far = (np.corrcoef(eeg[pair])[0, 1] for pair in rows)
        assert near > far + 0.2
        spans = np.ptp(ecg[0, : 33 * 500 // 1000 * 1000].reshape(-1, 1000), axis=1)
        assert 0.38 < np.median(spans) < 3
        assert not Beats(500.0).add(ecg).absent(np.arange(0.0, 30.0, 10.0), 10.0).any()


def test_signals_follow_their_levels(tree: Path) -> None:
    plan = plan_cohort(PARAMS)
    found: dict[str, list[float]] = {"alpha": [], "heart_rate": []}
    for number in range(8):
        for clip in (1, 2):
            path = tree / f"Subject{number:02d}_{clip}.edf"
            windows = {}
            for modality in ("eeg", "ecg"):
                signal = read_recording(path, "eegmat", modality, DATA).signal[None, :, -15_000:]
                at_200 = resample_to_rates(signal, 500.0, (200,))[200][0]
                windows[modality] = at_200.reshape(len(at_200), 3, 10, 200).swapaxes(0, 1)
            found["alpha"].append(float(band_power(windows["eeg"])[:, 1].mean()))
            bpm = beat_features(windows["ecg"])[:, ECG_FEATURES.index("heart_rate_bpm")]
            found["heart_rate"].append(float(bpm.mean()))
    for quantity, least in (("alpha", 0.8), ("heart_rate", 0.97)):
        # from rest to arithmetic: the gain of a person's EEG is in both; over 60 people alpha's is .96
        change = np.diff(plan.z[..., QUANTITIES.index(quantity)])[:, 0]
        assert np.corrcoef(change, np.diff(np.reshape(found[quantity], (8, 2)))[:, 0])[0, 1] > least


@pytest.mark.parametrize(("d", "share"), [(1.16, 0.5), (1.16, 0.0), (0.0, 0.5), (1.8, 0.8)])
def test_levels_are_worth_what_was_planted_and_hidden(d: float, share: float) -> None:
    params = SimulateEegmat(subjects=99, effect_d=d, hidden_share=share)
    seeds = [params.model_copy(update={"seed": seed}) for seed in range(100)]
    level = np.concatenate([latents(one).level for one in seeds])[:, 0]
    plans = [plan_cohort(one) for one in seeds]
    own = np.concatenate([plan.z - plan.subject_z[:, None] for plan in plans]).reshape(-1, 9)
    high = np.tile([0, 1], len(level) // 2)
    phi = NormalDist().cdf
    shown = own[:, QUANTITIES.index("heart_rate")] - own[:, QUANTITIES.index("alpha")]
    for values, expected in (
        (level, phi(d)),
        (shown, phi(d * sqrt(1 - share))),
        (own[:, 6:].sum(1), phi(d * sqrt(share))),
    ):
        assert abs(roc_auc_score(high, values) - expected) < 0.015
    assert abs((np.diff(level.reshape(-1, 2)) > 0).mean() - phi(d)) < 0.015  # within a person


def test_without_an_effect_rest_and_arithmetic_are_alike() -> None:
    plan = plan_cohort(SimulateEegmat(subjects=99, effect_d=0.0, seed=1))
    assert np.abs(plan.z.mean(axis=0)).max() < 0.35
    nothing = latents(SimulateEegmat(effect_d=0.0))
    assert np.ptp(posterior(nothing, nothing.moved)) == 0  # so that the oracle is at one half too
