"""Features of one EEG lead and one ECG lead, against what is known of signals made for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_clips import planted_clips

from physiopipe.clips.single_lead_features import (
    BANDS_HZ,
    ECG_FEATURES,
    EEG_FEATURES,
    ecg_features,
    eeg_features,
    lead_features,
)

TIME_S = np.arange(2000) / 200


def eeg_of(signal: np.ndarray) -> dict[str, float]:
    return dict(zip(EEG_FEATURES, eeg_features(signal[None])[0].tolist(), strict=True))


def ecg_of(signal: np.ndarray) -> dict[str, float]:
    return dict(zip(ECG_FEATURES, ecg_features(signal[None])[0].tolist(), strict=True))


def beats_at(times_s: np.ndarray, amplitude: float | np.ndarray = 1000.0) -> np.ndarray:
    heights = np.broadcast_to(amplitude, times_s.shape)
    return sum(h * np.exp(-(((TIME_S - t) / 0.02) ** 2)) for h, t in zip(heights, times_s, strict=True))


@pytest.mark.parametrize(("band", "hz"), [("theta", 6), ("alpha", 10), ("beta", 20), ("gamma", 37)])
def test_a_sine_is_in_its_band_alone(band: str, hz: float) -> None:
    """A sine of amplitude a has variance a² / 2, mobility 2πf and complexity 1."""
    found = eeg_of(10 * np.sin(2 * np.pi * hz * TIME_S))
    assert found[f"relative_power_{band}"] > 0.99
    assert found[f"differential_entropy_{band}"] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 50), abs=0.05)
    assert found["log_activity"] == pytest.approx(np.log(50), abs=1e-3)
    # differences of samples see a little less than the derivative
    assert found["mobility_per_s"] == pytest.approx(400 * np.sin(np.pi * hz / 200), rel=1e-2)
    assert found["complexity"] == pytest.approx(1, abs=0.01)
    assert found["spectral_entropy"] < 0.35


def test_of_white_noise() -> None:
    x = np.random.default_rng(0).normal(0, 20, (50, 2000))
    found = dict(zip(EEG_FEATURES, eeg_features(x).mean(axis=0).tolist(), strict=True))
    for band, (low, high) in BANDS_HZ.items():
        assert found[f"relative_power_{band}"] == pytest.approx((high - low) / 41, rel=0.05)
        # the filter runs twice: its band is a little narrower than between the corners
        variance = 400 * (high - low) / 100
        assert found[f"differential_entropy_{band}"] == pytest.approx(
            0.5 * np.log(2 * np.pi * np.e * variance), abs=0.12
        )
    assert found["mobility_per_s"] == pytest.approx(200 * np.sqrt(2), rel=0.01)
    assert found["complexity"] == pytest.approx(np.sqrt(3 / 2), rel=0.01)
    assert 0.93 < found["spectral_entropy"] < 1


@given(gain=st.floats(0.01, 100), offset=st.floats(-100, 100))
def test_gain_and_offset_move_what_they_should(gain: float, offset: float) -> None:
    x = np.random.default_rng(1).normal(0, 20, 2000)
    plain, other = eeg_of(x), eeg_of(gain * x + offset)
    moved = {"log_activity": 2 * np.log(gain), **{f"differential_entropy_{band}": np.log(gain) for band in BANDS_HZ}}
    for name, value in plain.items():
        assert other[name] == pytest.approx(value + moved.get(name, 0.0), rel=1e-4, abs=1e-4)


def test_even_beats_have_a_rate_and_no_variability() -> None:
    found = ecg_of(beats_at(np.arange(0.5, 9.9, 0.8)))
    assert found["heart_rate_bpm"] == pytest.approx(75, abs=0.1)
    for name in ("sdnn_ms", "rmssd_ms", "pnn50", "sd1_ms", "sd2_ms", "heart_rate_range_bpm"):
        assert found[name] == pytest.approx(0, abs=1e-3)
    assert found["r_amplitude"] == pytest.approx(1000, rel=0.03)


def test_beats_that_alternate() -> None:
    """Intervals of 0.7 and 0.9 s in turn: all variability is from beat to beat, none is slow."""
    times = 0.5 + np.concatenate([[0], np.cumsum(np.tile([0.7, 0.9], 5))])
    found = ecg_of(beats_at(times, np.where(np.arange(len(times)) % 2, 800.0, 1200.0)))
    assert found["sdnn_ms"] == pytest.approx(100, abs=1)
    assert found["rmssd_ms"] == pytest.approx(200, abs=1)
    assert found["pnn50"] == 1
    assert found["sd1_ms"] == pytest.approx(200 / np.sqrt(2), abs=2)
    assert found["sd2_ms"] == pytest.approx(0, abs=1)
    assert found["heart_rate_range_bpm"] == pytest.approx(60 / 0.7 - 60 / 0.9, abs=0.5)
    assert found["r_amplitude_sd"] == pytest.approx(200, rel=0.1)


def test_a_pause_is_no_interval() -> None:
    times = np.concatenate([np.arange(0.5, 4, 0.8), np.arange(7.0, 9.9, 0.8)])
    found = ecg_of(beats_at(times))
    assert found["heart_rate_bpm"] == pytest.approx(75, abs=0.2)
    assert found["rmssd_ms"] == pytest.approx(0, abs=1e-3)  # none across the pause


def test_what_cannot_be_measured_is_not_a_number() -> None:
    assert np.isnan(eeg_features(np.full((1, 2000), 3.0))).all()
    assert np.isnan(ecg_features(np.zeros((1, 2000)))).all()
    assert np.isnan(ecg_features(beats_at(np.array([2.0, 3.0]))[None])).all()  # one interval
    assert eeg_features(np.zeros((0, 2000))).shape == (0, 12)


def test_windows_with_holes_and_rows_of_their_own() -> None:
    clips = planted_clips(subjects=2, clips=2, windows=2, patches=4, channels=(3, 2))
    plain = lead_features(clips)
    assert plain.shape == (8, 3 * 12 + 9)
    assert np.isfinite(plain).all()
    clips.eeg_present[0, 1], clips.ecg_present[1, 0] = False, False
    clips.eeg[0, 1], clips.ecg[1, 0] = np.nan, np.nan
    clips.valid_patches[2], clips.valid_patches[3] = 0, 3
    clips.eeg[3, :, 3] = np.inf
    clips.ecg[:, 1] = 0  # another lead counts for nothing
    found = lead_features(clips)
    assert np.isnan(found[0, 12:24]).all()
    np.testing.assert_array_equal(np.delete(found[0], range(12, 24)), np.delete(plain[0], range(12, 24)))
    assert np.isnan(found[1, -9:]).all()
    np.testing.assert_array_equal(found[1, :-9], plain[1, :-9])
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[3, :-9]).all()
    np.testing.assert_allclose(found[4:], plain[4:], rtol=1e-5, atol=1e-5)
