"""Handcrafted features: right on signals whose answer is known, on simulated cohorts near what is shown to them."""

import time
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physiopipe.clips.features import BANDS_HZ, ECG_FEATURES, band_power, beat_features, r_peaks, window_features
from physiopipe.cohorts.challenge_simulation import simulate_leads
from physiopipe.cohorts.dreamer import DreamerData, SimulateDreamer
from physiopipe.cohorts.dreamer_file import read_dreamer
from physiopipe.cohorts.dreamer_simulation import (
    HIGH_FROM,
    plan_cohort,
    simulate_dreamer,
    simulate_ecg,
)
from physiopipe.cohorts.planted_signals import QUANTITIES
from physiopipe.recordings.recording import Recording

F64 = npt.NDArray[np.float64]
MEASURED = {
    "alpha": "log_alpha_power",
    "t_wave": "t_amplitude",
    "beta": "log_beta_power",
    "heart_rate": "heart_rate_bpm",
    "theta": "log_theta_power",
    "qrs": "log_qrs_amplitude",
}


def windows_of(recording: Recording) -> npt.NDArray[np.float32]:
    """The last six windows (6, channel, 10, 200) of a recording: band-pass and 200 Hz by scipy alone."""
    rate = round(recording.rate_hz)
    corners, (up, down) = ((0.3, 60.0), (25, 16)) if rate == 128 else ((0.5, 40.0), (25, 32))
    sos = scipy.signal.butter(3, corners, "bandpass", output="sos", fs=rate)
    centred = recording.signal - recording.signal.mean(axis=1, keepdims=True)
    filtered = scipy.signal.sosfiltfilt(sos, centred, axis=-1, padlen=4 * rate)
    last = scipy.signal.resample_poly(filtered, up, down, axis=-1)[:, -12000:]
    return np.moveaxis(last.reshape(len(last), 6, 10, 200), 0, 1).astype(np.float32)


@dataclass
class Cohort:
    """Clip features (subject, clip, k) with their names, labels (subject, clip, 3) and planted levels."""

    features: F64
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    z: F64


def cohort(path: Path, params: SimulateDreamer) -> Cohort:
    """From the raw simulated file to clip features."""
    simulate_dreamer(path, params)
    recordings = [r for r in read_dreamer(path, DreamerData(), simulated=True) if isinstance(r, Recording)]
    rows = []
    for eeg, ecg in zip(recordings[::2], recordings[1::2], strict=True):
        features, names = window_features(windows_of(eeg), windows_of(ecg))
        rows.append(features.mean(axis=0))
    plan = plan_cohort(params)
    labels = (plan.ratings >= HIGH_FROM).astype(np.int64)
    return Cohort(np.array(rows, float).reshape(*labels.shape[:2], -1), names, labels, plan.z)


def per_subject_auc(features: F64, labels: npt.NDArray[np.int64], groups: int = 5) -> float:
    """Mean over labels and subjects of each subject's AUC; scaler and regression see the other subjects only."""
    group = np.arange(len(features)) % groups
    aucs = []
    for label in range(labels.shape[2]):
        found = []
        for held_out in range(groups):
            train = group != held_out
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            model.fit(features[train].reshape(-1, features.shape[2]), labels[train, :, label].ravel())
            for subject in np.flatnonzero(~train):
                truth = labels[subject, :, label]
                if 0 < truth.mean() < 1:
                    found.append(roc_auc_score(truth, model.decision_function(features[subject])))
        aucs.append(np.mean(found))
    return float(np.mean(aucs))


def full_size(seed: int, effect_d: float = 1.16) -> SimulateDreamer:
    return SimulateDreamer(seed=seed, effect_d=effect_d, min_clip_s=65, max_clip_s=70, baseline_s=1)


# ------------------------------------------------------------------------------------------- known answers


def test_band_power_is_the_variance_of_the_band() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(2000) / 200
    eeg = rng.normal(0, 1e-3, (1, 3, 2000))
    eeg[0, 0] += 20 * np.sin(2 * np.pi * 10 * t)  # 200 µV² in alpha
    eeg[0, 1] += 10 * np.sin(2 * np.pi * 6 * t) + 4 * np.sin(2 * np.pi * 20 * t)
    logs = band_power(eeg.reshape(1, 3, 10, 200).astype(np.float32))[0]
    per_channel = logs[3:].reshape(3, 3)  # channel, band
    bands = list(BANDS_HZ)
    assert per_channel[0, bands.index("alpha")] == pytest.approx(np.log(200), abs=0.02)
    assert per_channel[1, bands.index("theta")] == pytest.approx(np.log(50), abs=0.02)
    assert per_channel[1, bands.index("beta")] == pytest.approx(np.log(8), abs=0.02)
    np.testing.assert_allclose(logs[:3], per_channel.mean(axis=0), rtol=1e-5)


def test_band_power_agrees_with_scipy_welch() -> None:
    eeg = np.random.default_rng(1).normal(0, 20, (4, 14, 2000)).astype(np.float32)
    frequency, density = scipy.signal.welch(eeg.astype(float), 200, nperseg=400)
    ours = band_power(eeg.reshape(4, 14, 10, 200))[:, 3:].reshape(4, 14, 3)
    for i, (low, high) in enumerate(BANDS_HZ.values()):
        inside = (frequency >= low) & (frequency < high)
        np.testing.assert_allclose(ours[..., i], np.log(density[..., inside].sum(axis=-1) * 0.5), atol=1e-4)


@pytest.mark.parametrize("bpm", [45, 60, 72, 100, 120, 150])
def test_heart_rate_and_amplitudes_of_a_known_heart(bpm: float) -> None:
    rng = np.random.default_rng(int(bpm))
    level = {"heart_rate": (bpm - 72) / 5, "qrs": 0.0, "t_wave": 0.0}
    found = []
    for qrs, t_wave in ((0.0, 0.0), (2.0, 0.0), (0.0, 2.0)):
        ecg = simulate_ecg(rng, level | {"qrs": qrs, "t_wave": t_wave}, 70 * 256).astype(np.float32)
        recording = Recording(ecg, 256.0, ("II", "III"), "unspecified", "dreamer", "r", "s")
        found.append(beat_features(windows_of(recording)).mean(axis=0))
    rate, _, log_qrs, t_amplitude, _ = np.array(found).T
    np.testing.assert_allclose(rate, bpm, rtol=0.02)
    if bpm > 120:  # T and the next P wave run into one another
        return
    assert log_qrs[1] - log_qrs[0] == pytest.approx(0.3, abs=0.03)  # ln QRS rises .15 a SD
    assert t_amplitude[2] / t_amplitude[0] == pytest.approx(1.3, abs=0.06)  # T rises 15 % a SD
    assert t_amplitude[1] / t_amplitude[0] == pytest.approx(1.0, abs=0.06)  # and QRS leaves it alone


def test_every_beat_is_found_in_noise_wander_and_other_rhythms() -> None:
    missed = wrong = total = 0
    for seed in range(12):
        rng = np.random.default_rng([2, seed])
        rhythm = ("sinus", "bradycardia", "tachycardia", "atrial_fibrillation")[seed % 4]
        leads = simulate_leads(rng, rhythm, 2000, 200, 50)[[1, 2]].astype(np.float32)
        _, found = r_peaks(leads[None])
        # the oracle: the 12 leads' summed steepness before the noise is added is not to be had; all V leads are
        rng = np.random.default_rng([2, seed])
        every = simulate_leads(rng, rhythm, 2000, 200, 50).astype(np.float64)
        sos = scipy.signal.butter(2, [8, 25], "bandpass", output="sos", fs=200)
        energy = np.convolve(np.square(scipy.signal.sosfiltfilt(sos, every)).sum(axis=0), np.ones(20), "same")
        wanted, _ = scipy.signal.find_peaks(energy, height=0.25 * np.quantile(energy, 0.98), distance=60)
        wanted = wanted[(wanted > 30) & (wanted < 1970)]
        total += len(wanted)
        missed += sum(np.abs(found - w).min(initial=999) > 15 for w in wanted)
        inner = found[(found > 30) & (found < 1970)]
        wrong += sum(np.abs(wanted - f).min(initial=999) > 15 for f in inner)
    assert total > 100
    assert missed <= 0.01 * total
    assert wrong <= 0.01 * total


def test_inverted_and_scaled_leads_keep_the_beats() -> None:
    level = {"heart_rate": 0.0, "qrs": 0.0, "t_wave": 0.0}
    ecg = simulate_ecg(np.random.default_rng(0), level, 70 * 256).astype(np.float32)
    windows = windows_of(Recording(ecg, 256.0, ("II", "III"), "unspecified", "dreamer", "r", "s"))
    plain, flipped = beat_features(windows), beat_features(windows * np.float32([[-3], [3]])[:, :, None])
    np.testing.assert_allclose(flipped[:, :2], plain[:, :2], rtol=1e-3)
    np.testing.assert_allclose(flipped[:, 2], plain[:, 2] + np.log(3), atol=1e-3)
    np.testing.assert_allclose(flipped[:, 3], plain[:, 3] * 3, rtol=2e-2)


def test_dead_channels_are_nan_and_touch_no_other() -> None:
    rng = np.random.default_rng(0)
    eeg, ecg = rng.normal(0, 20, (3, 14, 10, 200)).astype(np.float32), np.zeros((3, 2, 10, 200), np.float32)
    whole, names = window_features(eeg, ecg)
    eeg[1, 4] = 0
    eeg[2] = 0
    dead, _ = window_features(eeg, ecg)
    assert whole.shape == (3, len(names)) == (3, 3 + 42 + len(ECG_FEATURES))
    assert np.isnan(whole[:, -5:]).all()
    np.testing.assert_array_equal(dead[0], whole[0])
    lost = np.isnan(dead[1, :-5])
    assert [n for n, gone in zip(names, lost, strict=False) if gone] == [f"log_{b}_power_4" for b in BANDS_HZ]
    np.testing.assert_array_equal(dead[1, 3:-5][~lost[3:]], whole[1, 3:-5][~lost[3:]])
    assert np.isnan(dead[2]).all()


def test_windows_do_not_touch_each_other_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    level = {"heart_rate": 0.0, "qrs": 0.0, "t_wave": 0.0}
    ecg = simulate_ecg(rng, level, 70 * 256).astype(np.float32)
    windows = windows_of(Recording(ecg, 256.0, ("II", "III"), "unspecified", "dreamer", "r", "s"))
    eeg = rng.normal(0, 20, (6, 14, 10, 200)).astype(np.float32)
    together, _ = window_features(eeg, windows)
    for i in range(6):
        alone, _ = window_features(eeg[i : i + 1], windows[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-5)
    none, names = window_features(eeg[:0], windows[:0])
    assert none.shape == (0, len(names))


def test_five_hundred_windows_take_about_a_second() -> None:
    rng = np.random.default_rng(0)
    eeg = rng.standard_normal((250, 14, 10, 200), np.float32)
    ecg = np.tile(
        simulate_leads(rng, "sinus", 2000, 200, 50)[:2].reshape(1, 2, 10, 200).astype(np.float32), (250, 1, 1, 1)
    )
    start = time.process_time()  # CPU time: a busy neighbour does not count
    window_features(eeg, ecg)
    assert time.process_time() - start < 2.0


# ------------------------------------------------------------------------------------------- truth


@pytest.mark.slow
def test_the_planted_quantities_are_measured_from_the_signals(tmp_path: Path) -> None:
    params = SimulateDreamer(subjects=10, clips=8, min_clip_s=65, max_clip_s=68, baseline_s=1, seed=7)
    found = cohort(tmp_path / "DREAMER.mat", params)
    assert np.isfinite(found.features).all()
    for i, quantity in enumerate(QUANTITIES):
        measured = found.features[..., found.names.index(MEASURED[quantity])]
        within = [x - x.mean(axis=1, keepdims=True) for x in (measured, found.z[..., i])]
        assert np.corrcoef(within[0].ravel(), within[1].ravel())[0, 1] > 0.93, quantity
    levels = found.z[
        ..., : len(QUANTITIES)
    ]  # the oracle of what is shown: the same regression on the planted levels themselves
    assert per_subject_auc(found.features, found.labels) > per_subject_auc(levels, found.labels) - 0.06


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [1, 546113])
def test_handcrafted_comes_near_what_is_shown_to_it(tmp_path: Path, seed: int) -> None:
    params = full_size(seed)
    found = cohort(tmp_path / "DREAMER.mat", params)
    auc = per_subject_auc(found.features, found.labels)
    shown = NormalDist().cdf(params.effect_d * sqrt(1 - params.hidden_share))
    print(f"seed {seed}: per-subject AUC {auc:.3f}, of what is shown {shown:.3f}")
    assert abs(auc - shown) < 0.06


@pytest.mark.exhaustive
def test_without_an_effect_handcrafted_is_at_chance(tmp_path: Path) -> None:
    aucs = []
    for seed in range(5):
        found = cohort(tmp_path / "DREAMER.mat", full_size(seed, effect_d=0.0))
        aucs.append(per_subject_auc(found.features, found.labels))
    print("null per-subject AUC:", np.round(aucs, 3))
    assert abs(np.mean(aucs) - 0.5) < 0.05
