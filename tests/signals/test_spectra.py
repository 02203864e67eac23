"""The transforms that filtering and resampling share: lengths as scipy's, single precision, nothing infinite let by."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.filters import bandpass_notch
from physiopipe.signals.resampling import resample_to_rates
from physiopipe.signals.spectra import extension, fast_length, rows_at, spectra


def test_fast_lengths_are_scipys() -> None:
    assert [fast_length(n) for n in range(1, 5000)] == [scipy.fft.next_fast_len(n, real=True) for n in range(1, 5000)]


@given(st.integers(1, 10_000_000))
def test_fast_lengths_are_scipys_however_long(least: int) -> None:
    assert fast_length(least) == scipy.fft.next_fast_len(least, real=True)


@given(st.integers(2, 3000), st.integers(0, 700), st.integers(1, 9), st.integers(0, 99))
def test_rows_come_back_in_single_precision(samples: int, pad: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, samples)).astype(np.float32)
    padded = extension(samples, pad)
    for offset, spectrum in spectra(rows, padded, pad):
        whole = rows_at(spectrum, padded.length)
        assert (spectrum.dtype, whole.dtype) == (np.complex64, np.float32)
        np.testing.assert_allclose(whole[:, padded.before : padded.before + samples] + offset, rows, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@given(st.integers(0, 11), st.integers(0, 999))
def test_no_sample_that_is_not_finite_gets_through(value: float, row: int, sample: int) -> None:
    signal = np.random.default_rng(0).normal(size=(12, 1000)).astype(np.float32)
    signal[row, sample] = value
    with pytest.raises(PhysiopipeError, match="NaN or infinite"):
        bandpass_notch(signal, 500, highpass_hz=0.5, lowpass_hz=40, order=3, notch_hz=None, notch_quality=30)
    for rates_hz in ((500,), (100,), (100, 500)):
        with pytest.raises(PhysiopipeError, match="NaN or infinite"):
            resample_to_rates(signal, 500, rates_hz)
