"""The filter against its design: sines, impulse, step, zero phase, edges, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as scipy_signal

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.filters import bandpass_notch

ECG = {"highpass_hz": 0.5, "lowpass_hz": 40.0, "order": 3, "notch_hz": 50.0, "notch_quality": 30.0}


def sine_gain(frequency_hz: float, rate_hz: float, **changes: object) -> float:
    """Amplitude that a sine of amplitude 1 comes out with, measured away from the ends; quadrature must vanish."""
    time = np.arange(round(60 * rate_hz)) / rate_hz
    filtered = bandpass_notch(np.sin(2 * np.pi * frequency_hz * time), rate_hz, **(ECG | changes))  # type: ignore[arg-type]
    middle = slice(round(20 * rate_hz), round(40 * rate_hz))
    in_phase = 2 * np.mean(filtered[middle] * np.sin(2 * np.pi * frequency_hz * time[middle]))
    quadrature = 2 * np.mean(filtered[middle] * np.cos(2 * np.pi * frequency_hz * time[middle]))
    assert abs(quadrature) < 2e-4  # zero phase
    return float(in_phase)


@pytest.mark.parametrize("rate_hz", [257.0, 500.0, 1000.0])
@pytest.mark.parametrize("corner_hz", [0.5, 40.0])
def test_corners_are_3_db_a_pass(rate_hz: float, corner_hz: float) -> None:
    gain = sine_gain(corner_hz, rate_hz, notch_hz=None)
    assert 20 * np.log10(gain) == pytest.approx(2 * 20 * np.log10(np.sqrt(0.5)), abs=0.02)


@pytest.mark.parametrize("frequency_hz", [2.0, 5.0, 10.0, 20.0])
def test_pass_band_is_flat(frequency_hz: float) -> None:
    assert sine_gain(frequency_hz, 500.0) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("rate_hz", [257.0, 500.0, 1000.0])
@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_is_30_db_down(rate_hz: float, mains_hz: float) -> None:
    # With the low-pass far above, the notch alone has to do it.
    gain = sine_gain(mains_hz, rate_hz, notch_hz=mains_hz, lowpass_hz=100.0)
    assert abs(gain) < 10 ** (-30 / 20)
    beside = sine_gain(mains_hz + mains_hz / 30 / 2, rate_hz, notch_hz=mains_hz, lowpass_hz=100.0)
    without = sine_gain(mains_hz + mains_hz / 30 / 2, rate_hz, notch_hz=None, lowpass_hz=100.0)
    assert beside / without == pytest.approx(0.5, abs=0.02)  # half its width away: -3 dB, twice


@pytest.mark.parametrize("rate_hz", [128.0, 257.0, 500.0, 1000.0])
def test_impulse_response_is_that_of_sosfiltfilt(rate_hz: float) -> None:
    impulse = np.zeros(round(30 * rate_hz))
    impulse[impulse.size // 2] = 1.0
    sections = scipy_signal.butter(3, [0.5, 40.0], "bandpass", fs=rate_hz, output="sos")
    expected = scipy_signal.sosfiltfilt(sections, impulse, padlen=round(4 * rate_hz))
    notch = scipy_signal.iirnotch(50.0, 30.0, fs=rate_hz)
    expected = scipy_signal.filtfilt(*notch, expected, padlen=round(4 * rate_hz))
    filtered = bandpass_notch(impulse, rate_hz, **ECG)  # type: ignore[arg-type]
    np.testing.assert_allclose(filtered, expected, atol=1e-5 * np.abs(expected).max())


def test_step_response_is_that_of_sosfiltfilt() -> None:
    step = np.zeros(15000)
    step[7500:] = 1.0
    sections = scipy_signal.butter(3, [0.5, 40.0], "bandpass", fs=500, output="sos")
    expected = scipy_signal.sosfiltfilt(sections, step, padlen=2000)
    filtered = bandpass_notch(step, 500, **(ECG | {"notch_hz": None}))  # type: ignore[arg-type]
    np.testing.assert_allclose(filtered, expected, atol=1e-3)
    assert abs(filtered[7499] + filtered[7500]) < 1e-3  # odd about the step: zero phase


def test_large_offset_and_drift_are_removed() -> None:
    time = np.arange(20 * 128) / 128
    wave = 30 * np.sin(2 * np.pi * 10 * time)
    eeg = {"highpass_hz": 0.3, "lowpass_hz": 60.0, "order": 3, "notch_hz": 50.0, "notch_quality": 30.0}
    signal = 4200 + 2 * time + wave
    filtered = bandpass_notch(signal, 128, **eeg)  # type: ignore[arg-type]
    sections = scipy_signal.butter(3, [0.3, 60.0], "bandpass", fs=128, output="sos")
    expected = scipy_signal.sosfiltfilt(sections, signal, padlen=512)
    expected = scipy_signal.filtfilt(*scipy_signal.iirnotch(50.0, 30.0, fs=128), expected, padlen=512)
    assert np.abs(filtered - expected).max() < 0.02 * 30
    # The odd reflection at the end, where the wave is not at 0, is felt for a few seconds.
    assert np.abs(filtered - wave)[256:-768].max() < 0.01 * 30


def test_constant_rows_come_out_exactly_zero() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 5, 1234)).astype(np.float32)
    rows[1, 2] = 0.0
    rows[2, 4] = 4217.3
    filtered = bandpass_notch(rows, 500, **ECG)  # type: ignore[arg-type]
    assert filtered.shape == rows.shape
    assert filtered.dtype == np.float32
    assert not filtered[1, 2].any()
    assert not filtered[2, 4].any()
    assert filtered[0].any(axis=1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_any_length_is_finite_and_bounded_and_rows_are_independent(samples: int, rows: int, seed: int) -> None:
    signal = np.random.default_rng(seed).normal(size=(rows, samples)).astype(np.float32)
    filtered = bandpass_notch(signal, 500, **ECG)  # type: ignore[arg-type]
    assert filtered.shape == signal.shape
    assert np.isfinite(filtered).all()
    assert np.abs(filtered).max() <= 4 * (np.abs(signal - signal[:, :1]).max() + 1e-9)
    one = bandpass_notch(signal[-1], 500, **ECG)  # type: ignore[arg-type]
    np.testing.assert_allclose(one, filtered[-1], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(600, 3000), st.integers(0, 2**32 - 1), st.floats(-50, 50))
def test_filtering_is_linear_and_symmetric_in_time(samples: int, seed: int, factor: float) -> None:
    one, other = np.random.default_rng(seed).normal(size=(2, samples))
    both = bandpass_notch(one + factor * other, 500, **ECG)  # type: ignore[arg-type]
    apart = bandpass_notch(np.stack([one, other]), 500, **ECG)  # type: ignore[arg-type]
    np.testing.assert_allclose(both, apart[0] + factor * apart[1], atol=2e-5 * (1 + abs(factor)))
    backwards = bandpass_notch(one[::-1], 500, **ECG)[::-1]  # type: ignore[arg-type]
    # Where the fill up to the FFT's length lies differs: seen through the 4 s of padding only.
    np.testing.assert_allclose(backwards, apart[0], atol=0.02)


def test_a_notch_beyond_half_the_rate_is_not_needed() -> None:
    signal = np.random.default_rng(0).normal(size=(2, 1000))
    at_100_hz = ECG | {"lowpass_hz": 30.0}
    np.testing.assert_array_equal(
        bandpass_notch(signal, 100, **at_100_hz),  # type: ignore[arg-type]
        bandpass_notch(signal, 100, **(at_100_hz | {"notch_hz": None})),  # type: ignore[arg-type]
    )


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(PhysiopipeError, match="does not fit a recording of 80 Hz"):
        bandpass_notch(np.ones((1, 100)), 80, **ECG)  # type: ignore[arg-type]
    with pytest.raises(PhysiopipeError, match="NaN"):
        bandpass_notch(np.array([0.0, np.nan, 1.0]), 500, **ECG)  # type: ignore[arg-type]


def test_empty_signals_stay_empty() -> None:
    assert bandpass_notch(np.empty((12, 0)), 500, **ECG).shape == (12, 0)  # type: ignore[arg-type]
    assert bandpass_notch(np.empty((0, 900)), 500, **ECG).shape == (0, 900)  # type: ignore[arg-type]
