"""Resampling against sines, aliases, resample_poly and itself there and back; real records against scipy throughout."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as scipy_signal

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.wfdb import read_wfdb_record
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.resampling import resample, resample_to_rates

RATES = (100, 200, 500, 1000)
ECG = {"highpass_hz": 0.5, "lowpass_hz": 40.0, "order": 3, "notch_quality": 30.0}


@pytest.mark.parametrize("rate_hz", [128.0, 256.0, 257.0, 500.0, 1000.0])
@pytest.mark.parametrize("to_hz", RATES)
def test_sines_keep_amplitude_and_time(rate_hz: float, to_hz: int) -> None:
    frequency_hz = 0.3 * min(rate_hz, to_hz)
    time = np.arange(round(11.3 * rate_hz)) / rate_hz
    resampled = resample(3.0 + np.sin(2 * np.pi * frequency_hz * time), rate_hz, to_hz)
    assert resampled.size == round(time.size * Fraction(to_hz) / Fraction(rate_hz))
    expected = 3.0 + np.sin(2 * np.pi * frequency_hz * np.arange(resampled.size) / to_hz)
    np.testing.assert_allclose(resampled[to_hz:-to_hz], expected[to_hz:-to_hz], atol=2e-3)


@pytest.mark.parametrize(
    ("rate_hz", "to_hz"), [(500, 100), (1000, 100), (1000, 500), (257, 100), (257, 200), (500, 200)]
)
@pytest.mark.parametrize("share", [1.06, 1.1, 1.4])
def test_nothing_well_above_the_new_nyquist_frequency_comes_back(rate_hz: int, to_hz: int, share: float) -> None:
    frequency_hz = share * to_hz / 2
    if frequency_hz >= rate_hz / 2:
        frequency_hz = (to_hz + rate_hz) / 4
    time = np.arange(20 * rate_hz) / rate_hz
    resampled = resample(np.sin(2 * np.pi * frequency_hz * time), rate_hz, to_hz)
    inner = resampled[6 * to_hz : -6 * to_hz]
    assert np.sqrt(2 * np.mean(inner**2)) < 10 ** (-50 / 20)


@pytest.mark.parametrize("rate_hz", [257, 500, 1000])
@pytest.mark.parametrize("frequency_hz", [50.5, 51.0, 51.5, 53.0, 55.0, 70.0])
def test_after_the_low_pass_aliases_are_20_db_down(rate_hz: int, frequency_hz: float) -> None:
    time = np.arange(20 * rate_hz) / rate_hz
    sine = np.sin(2 * np.pi * frequency_hz * time)
    at_100_hz = resample(bandpass_notch(sine, rate_hz, notch_hz=60.0, **ECG), rate_hz, 100)  # type: ignore[arg-type]
    allowed = -20 if frequency_hz < 52 else -50
    assert np.sqrt(2 * np.mean(at_100_hz[600:-600] ** 2)) < 10 ** (allowed / 20)


@pytest.mark.parametrize(("rate_hz", "to_hz"), [(257, 1000), (500, 1000), (128, 200)])
def test_no_image_above_the_old_nyquist_frequency(rate_hz: int, to_hz: int) -> None:
    noise = np.random.default_rng(3).normal(size=20 * rate_hz)
    resampled = resample(noise, rate_hz, to_hz)[to_hz:-to_hz]
    frequencies, power = scipy_signal.welch(resampled, to_hz, window="blackmanharris", nperseg=to_hz)
    above = power[frequencies > rate_hz / 2 + 4].max()
    assert above < 1e-6 * power[frequencies < rate_hz / 3].mean()


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([128, 250, 256, 257, 360, 500, 1000]),
    st.sampled_from(RATES),
    st.integers(1, 4000),
    st.integers(0, 99),
)
def test_any_length_is_finite_and_as_long_as_stated(rate_hz: int, to_hz: int, samples: int, seed: int) -> None:
    signal = np.random.default_rng(seed).normal(size=(2, 3, samples)).astype(np.float32)
    resampled = resample(signal, rate_hz, to_hz)
    assert resampled.shape == (2, 3, round(Fraction(samples * to_hz, rate_hz)))
    assert resampled.dtype == np.float32
    assert np.isfinite(resampled).all()
    assert np.abs(resampled).max(initial=0) <= 4 * np.abs(signal).max()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([257, 500]), st.integers(1200, 3000), st.integers(0, 99))
def test_up_and_down_again_is_the_signal(rate_hz: int, samples: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(1, samples))
    signal = bandpass_notch(noise, rate_hz, notch_hz=None, **ECG)  # type: ignore[arg-type]
    back = resample(resample(signal, rate_hz, 1000), 1000, rate_hz)[:, :samples]
    inner = slice(rate_hz, back.shape[1] - rate_hz)
    assert np.abs(back - signal[:, : back.shape[1]])[:, inner].max() < 0.01 * np.abs(signal).max()


@pytest.mark.parametrize("to_hz", RATES)
def test_constants_and_zeros_stay_what_they_are(to_hz: int) -> None:
    signal = np.stack([np.zeros(2570), np.full(2570, 4217.25)])
    resampled = resample(signal, 257, to_hz)
    assert not resampled[0].any()
    assert (resampled[1] == np.float32(4217.25)).all()


def test_the_same_rate_is_a_copy() -> None:
    signal = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    same = resample(signal, 500, 500)
    np.testing.assert_array_equal(same, signal)
    same[:] = 0
    assert signal.any()


@pytest.mark.parametrize("rate_hz", [128.0, 257.0, 500.0])
def test_all_rates_at_once_are_the_same_as_one_by_one(rate_hz: float) -> None:
    signal = 40 + np.cumsum(np.random.default_rng(5).normal(size=(2, 3, round(10.7 * rate_hz))), axis=-1)
    for to_hz, result in resample_to_rates(signal, rate_hz, RATES).items():
        expected = resample(signal, rate_hz, to_hz)
        assert result.shape == expected.shape
        inner = slice(to_hz // 2, -to_hz // 2)
        assert np.abs(result - expected)[..., inner].max() < 2e-3 * np.ptp(expected)


@pytest.mark.parametrize("rate_hz", [128.13, 499.87, 360.5])
def test_rates_that_are_no_whole_numbers(rate_hz: float) -> None:
    time = np.arange(round(10 * rate_hz)) / rate_hz
    signal = np.sin(2 * np.pi * 20 * time)
    for to_hz, result in resample_to_rates(signal, rate_hz, RATES).items():
        expected = np.sin(2 * np.pi * 20 * np.arange(result.size) / to_hz)
        np.testing.assert_allclose(result[to_hz:-to_hz], expected[to_hz:-to_hz], atol=2e-3)


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(PhysiopipeError, match="expected rates of 0"):
        resample(np.ones((1, 10)), 0, 100)
    with pytest.raises(PhysiopipeError, match="NaN"):
        resample(np.array([[0.0, np.inf]]), 500, 100)


def test_long_records_stay_within_memory() -> None:
    # Half an hour of twelve leads at 257 Hz; the child's peak is its own.
    program = """
import resource, numpy as np
from physiopipe.signals.resampling import resample_to_rates
signal = np.random.default_rng(0).normal(size=(12, 462600)).astype(np.float32)
resample_to_rates(signal[:, :4000], 257, (100, 1000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
results = resample_to_rates(signal, 257, (100, 200, 500, 1000))
held = sum(result.nbytes for result in results.values()) / 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before - held) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 300


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


def oracle(signal: np.ndarray, rate_hz: float, notch_hz: float) -> dict[int, np.ndarray]:
    """The plain way in float64; key 0: the filtered signal at its own rate."""
    pad = round(4 * rate_hz)
    sections = scipy_signal.butter(3, [0.5, 40.0], "bandpass", fs=rate_hz, output="sos")
    filtered = scipy_signal.sosfiltfilt(sections, signal.astype(np.float64), padlen=pad)
    filtered = scipy_signal.filtfilt(*scipy_signal.iirnotch(notch_hz, 30.0, fs=rate_hz), filtered, padlen=pad)
    results = {0: filtered}
    for to_hz in RATES:
        ratio = Fraction(to_hz) / Fraction(rate_hz)
        results[to_hz] = scipy_signal.resample_poly(filtered, ratio.numerator, ratio.denominator, axis=-1)
    return results


@pytest.mark.sample
@pytest.mark.parametrize("at_257_hz", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_real_records_agree_with_scipy(every: int, at_257_hz: bool) -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    headers = sorted(Path(sample).glob("challenge-2021/1.0.3/training/*/*/*.hea"))
    assert len(headers) > 100
    errors: dict[tuple[str, int], list[float]] = {}
    # With those taken, all of PTB, which alone is at 1000 Hz, and the two with the most muscle noise near 50 Hz.
    always = [header for header in headers if header.parts[-3] == "ptb" or header.stem in ("JS20007", "JS45544")]
    for header in sorted({*headers[::every], *always}):
        source = header.parts[-3]
        recording = read_wfdb_record(header, source)
        signal, rate_hz, notch_hz = recording.signal, recording.rate_hz, 60.0 if source == "georgia" else 50.0
        if at_257_hz:
            signal = scipy_signal.resample_poly(signal, 257, round(rate_hz), axis=-1).astype(np.float32)
            rate_hz = 257.0
        expected = oracle(signal, rate_hz, notch_hz)
        filtered = bandpass_notch(signal, rate_hz, notch_hz=notch_hz, **ECG)  # type: ignore[arg-type]
        shared = resample_to_rates(filtered, rate_hz, RATES)
        found = {("apart", 0): filtered}
        for to_hz in RATES:
            found["apart", to_hz] = resample(filtered, rate_hz, to_hz)
            found["shared", to_hz] = shared[to_hz]
        for (way, to_hz), result in found.items():
            right = expected[to_hz]
            length = min(result.shape[1], right.shape[1])
            assert abs(result.shape[1] - right.shape[1]) <= 1
            result, right = result[:, :length], right[:, :length]
            second = round(to_hz or rate_hz)
            whole = relative_error(result, right)
            assert whole <= 3e-2, (header.stem, way, to_hz)
            assert relative_error(result[:, second:-second], right[:, second:-second]) <= 1e-2, (
                header.stem,
                way,
                to_hz,
            )
            errors.setdefault((way, to_hz), []).append(whole)
    for key, found_errors in errors.items():
        assert np.median(found_errors) <= 3e-3, key
