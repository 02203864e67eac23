"""What is planted where powers, rates and amplitudes do not show it: invisible to these, plain to who looks for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physiopipe.clips.features import r_peaks, window_features
from physiopipe.cohorts.heartbeats import DOWER
from physiopipe.cohorts.planted_signals import HIDDEN, LEVELS, Head, Hidden, ecg_of_levels, eeg_of_levels

F64 = npt.NDArray[np.float64]
RATE_HZ, CLIP_S = 200, 60
LEFT = np.array([(-0.33, 0.78), (-0.75, 0.55), (-0.65, 0.27), (-0.95, 0.0), (-0.75, -0.55), (-0.3, -0.95)])
POSITION = np.vstack([LEFT, LEFT * [-1, 1]])
ALPHA = scipy.signal.butter(4, (8, 12), "bandpass", fs=RATE_HZ, output="sos")
THETA = scipy.signal.butter(4, (4.5, 7.5), "bandpass", fs=RATE_HZ, output="sos")


@dataclass(frozen=True)
class Clips:
    """Levels (clip, LEVELS); what the handcrafted row measures (clip, feature); what looks for HIDDEN (clip, 3)."""

    level: F64
    handcrafted: F64
    sought: F64


def sought(eeg: F64, ecg: F64) -> list[float]:
    """Lag between the sides in alpha, alpha's swing in step with the breath that the ECG shows, theta's change."""
    alpha = scipy.signal.hilbert(scipy.signal.sosfiltfilt(ALPHA, eeg))
    left, right = np.split(alpha, 2)
    across = (right * left.conj()).mean(axis=1)
    lag = np.imag(across) / np.sqrt(np.square(np.abs(right)).mean(axis=1) * np.square(np.abs(left)).mean(axis=1))
    seconds = np.arange(eeg.shape[1]) / RATE_HZ
    wave = np.exp(-2j * np.pi * 0.25 * seconds)
    envelope = (np.abs(alpha) / np.abs(alpha).mean(axis=1, keepdims=True)).mean(axis=0)
    _, peaks = r_peaks(ecg[None].astype(np.float32))
    heights = np.ptp([ecg[0, np.clip(peaks + shift, 0, eeg.shape[1] - 1)] for shift in range(-8, 9)], axis=0)
    breath = np.interp(seconds, peaks / RATE_HZ, heights)
    breath_at = (breath - breath.mean()) @ wave
    in_step = np.real((envelope - 1) @ wave * breath_at.conj()) / abs(breath_at)
    first, second = np.split(scipy.signal.sosfiltfilt(THETA, eeg), 2, axis=1)
    return [float(lag.mean()), float(in_step), float(np.mean(np.log(second.var(axis=1) / first.var(axis=1))))]


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Clips of one head, all levels drawn by themselves; the hidden ones widely, so that they would be seen."""
    rng = np.random.default_rng(5)
    head = Head.draw(rng, POSITION)
    levels = rng.standard_normal((150, len(LEVELS)))
    levels[:, -3:] *= 1.5
    measured, found = [], []
    for level in levels:
        named = dict(zip(LEVELS, level.tolist(), strict=True))
        hidden = Hidden.draw(rng, named, 0.0, CLIP_S)
        samples = CLIP_S * RATE_HZ
        eeg = eeg_of_levels(rng, head, named, samples, RATE_HZ, 20.0, 60.0, hidden)
        ecg = ecg_of_levels(rng, named, samples, RATE_HZ, DOWER[1:2], hidden.breath_rad)
        windows = [x.reshape(len(x), 6, 10, 200).swapaxes(0, 1).astype(np.float32) for x in (eeg, ecg)]
        measured.append(window_features(windows[0], windows[1])[0].mean(axis=0))
        found.append(sought(eeg, ecg))
    return Clips(levels, np.array(measured), np.array(found))


@pytest.mark.slow
def test_hidden_levels_are_plain_to_who_looks_for_them_alone(clips: Clips) -> None:
    """Against the AUC of chance, .5 with a standard error of .047 for 150 clips."""
    for number, name in enumerate(HIDDEN):
        level = clips.level[:, LEVELS.index(name)]
        assert np.corrcoef(clips.sought[:, number], level)[0, 1] > 0.85, name
        others = np.delete(clips.level, LEVELS.index(name), axis=1)
        assert max(abs(np.corrcoef(clips.sought[:, number], other)[0, 1]) for other in others.T) < 0.27, name
        groups = np.arange(len(level)) % 5
        for features, low, high in ((clips.handcrafted, 0.3, 0.65), (clips.sought, 0.9, 1.0)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            score = cross_val_predict(
                model, features, level > 0, groups=groups, cv=GroupKFold(5), method="decision_function"
            )
            assert low < roc_auc_score(level > 0, score) < high, (name, features.shape)
    # and no single feature follows one, up to what the largest of 44 does by chance
    measured = np.corrcoef(np.hstack([clips.handcrafted, clips.level[:, -3:]]).T)[-3:, :-3]
    assert np.abs(measured).max() < 0.33


@pytest.mark.slow
def test_band_power_and_heart_rate_reach_no_more_than_the_shown_share_allows(clips: Clips) -> None:
    """Labels moved by one shown EEG quantity, one ECG quantity and one hidden one, as a cohort's task is."""
    d, share = 1.16, 0.5
    step = d * np.array([np.sqrt(1 - share)] * 2 + [np.sqrt(2 * share)])
    for eeg, ecg, hidden in (("alpha", "heart_rate", 0), ("beta", "heart_rate", 1), ("theta", "qrs", 2)):
        level = clips.level[:, [LEVELS.index(eeg), LEVELS.index(ecg), LEVELS.index(HIDDEN[hidden])]] / [1, 1, 1.5]
        # Given the levels, a label is high with the chance that such a shift gives (logistic, by Bayes' rule)
        chance = 1 / (1 + np.exp(-(level @ step)))
        shown_of = 1 / (1 + np.exp(-(level[:, :2] @ step[:2])))
        high = np.random.default_rng(1).random((15, len(chance))) < chance
        reached, allowed = [], []
        groups = np.arange(len(chance)) % 5
        for labels in high:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
            score = cross_val_predict(
                model, clips.handcrafted, labels, groups=groups, cv=GroupKFold(5), method="decision_function"
            )
            reached.append(roc_auc_score(labels, score))
            allowed.append(roc_auc_score(labels, shown_of))
        assert 0.6 < np.mean(reached) < np.mean(allowed) + 0.01, (eeg, np.mean(reached), np.mean(allowed))
        everything = np.mean([roc_auc_score(labels, chance) for labels in high])
        assert everything > np.mean(allowed) + 0.05


def test_coupling_and_change_leave_the_mean_as_it_is() -> None:
    seconds = np.arange(60 * RATE_HZ) / RATE_HZ
    for level in (-2.0, 0.0, 2.0):
        hidden = Hidden(dict.fromkeys(HIDDEN, level), 0.0, 60.0, np.random.default_rng(0), 0.3)
        assert np.square(hidden.amplitude("alpha", seconds)).mean() == pytest.approx(1, abs=1e-3)
        assert np.log(hidden.amplitude("theta", seconds)).mean() == pytest.approx(0, abs=1e-9)
        assert np.ptp(hidden.amplitude("beta", seconds)) == 0
    breath = np.sin(2 * np.pi * 0.25 * seconds + 0.3)
    in_step = []
    for level in (-6.0, 0.0, 6.0):
        hidden = Hidden(dict.fromkeys(HIDDEN, level), 0.0, 60.0, np.random.default_rng(0), 0.3)
        in_step.append(np.corrcoef(breath, hidden.amplitude("alpha", seconds))[0, 1])
    np.testing.assert_allclose(in_step, [-1, 0, 1], atol=1e-3)
