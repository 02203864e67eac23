"""Resampling by any ratio, on the spectrum: cut off or filled with zeros at the lower of both Nyquist frequencies.

Nothing above the new Nyquist frequency is kept, so nothing aliases. Towards it the spectrum rolls off like the
anti-alias filter of `scipy.signal.resample_poly` (a sinc under a Kaiser window, β = 5, 10 zero crossings a side), with
which results agree within 1 %: a sharp edge would ring.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy import signal as scipy_signal

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.filters import PAD_S, check_corners, power_response
from physiopipe.signals.spectra import F32, Extension, extension, rows_of, spectra

_PAD_S = 1.0  # the roll-off's own ringing is over within ten periods of the lower rate
_LARGEST_FACTOR = 4096
_ZERO_CROSSINGS = 10
_KAISER_BETA = 5.0


def resample(signal: npt.NDArray[np.floating], rate_hz: float, to_hz: float) -> F32:
    """Resample every row.

    Args:
        signal: (…, channel, time).
        rate_hz: samples a second of the signal.
        to_hz: samples a second wanted.

    Returns:
        float32 (…, channel, round(time * to_hz / rate_hz)); its first sample is at the time of the signal's first.

    Raises:
        PhysiopipeError: a rate that is not positive, samples that are not finite.
    """
    rows = rows_of(signal)
    ratio = _ratio(rate_hz, to_hz)
    if ratio == 1:
        return rows.copy().reshape(signal.shape)
    resampled = np.empty((rows.shape[0], round(rows.shape[1] * ratio)), dtype=np.float32)
    if resampled.size:
        pad = max(round(_PAD_S * rate_hz), 1)
        padded = extension(rows.shape[1], pad, ratio.denominator)
        for block, offset, spectrum in spectra(rows, padded, pad):
            resampled[block] = _at_rate(spectrum, padded, ratio, resampled.shape[1])
            resampled[block] += offset
    return resampled.reshape(*signal.shape[:-1], resampled.shape[1])


def filter_and_resample(
    signal: npt.NDArray[np.floating],
    rate_hz: float,
    rates_hz: Sequence[int],
    *,
    highpass_hz: float,
    lowpass_hz: float,
    order: int,
    notch_hz: float | None,
    notch_quality: float,
) -> dict[int, F32]:
    """`bandpass_notch`, then `resample` to each rate, sharing one forward transform; rate → float32 (…, time)."""
    rows = rows_of(signal)
    check_corners(rate_hz, highpass_hz, lowpass_hz)
    ratios = {to_hz: _ratio(rate_hz, to_hz) for to_hz in rates_hz}
    lengths = {to_hz: round(rows.shape[1] * ratio) for to_hz, ratio in ratios.items()}
    results = {to_hz: np.empty((rows.shape[0], length), dtype=np.float32) for to_hz, length in lengths.items()}
    if rows.size:
        pad = round(PAD_S * rate_hz)
        padded = extension(rows.shape[1], pad, lcm(*(ratio.denominator for ratio in ratios.values())))
        gain = power_response(padded.length, rate_hz, highpass_hz, lowpass_hz, order, notch_hz, notch_quality)
        for block, _, spectrum in spectra(rows, padded, pad):
            spectrum *= gain
            for to_hz, ratio in ratios.items():
                results[to_hz][block] = _at_rate(spectrum, padded, ratio, lengths[to_hz])
    return {to_hz: result.reshape(*signal.shape[:-1], lengths[to_hz]) for to_hz, result in results.items()}


def _ratio(rate_hz: float, to_hz: float) -> Fraction:
    if not (rate_hz > 0 and to_hz > 0):
        raise PhysiopipeError(f"Cannot resample from {rate_hz:g} Hz to {to_hz:g} Hz: expected rates above 0.")
    # Rates are whole numbers or close to a simple fraction; the error of the approximation is under 1 part in 10^6.
    return Fraction(to_hz / rate_hz).limit_denominator(_LARGEST_FACTOR)


def _at_rate(spectrum: npt.NDArray[np.complex64], padded: Extension, ratio: Fraction, samples: int) -> F32:
    """Rows at `ratio` times their rate, cropped of their extension; the spectrum is left as it is."""
    length = int(padded.length * ratio)
    first = int(padded.before * ratio)
    if ratio != 1:
        roll_off = _roll_off(padded.length, length)
        spectrum = spectrum[:, : roll_off.size] * roll_off
    whole: F32 = fft.irfft(spectrum, n=length, axis=-1)
    return whole[:, first : first + samples]


@lru_cache(maxsize=64)
def _roll_off(length: int, to_length: int) -> F32:
    """Gain of the spectrum of `length` up to the lower Nyquist frequency, the change of the FFT's scale included."""
    nyquist = min(length, to_length) / 2
    bins = np.arange(int(nyquist) + 1)
    gain = np.interp(bins / nyquist, *_kaiser_response()) * (to_length / length)
    if to_length < length and to_length % 2 == 0:
        gain[-1] = 0.0  # at exactly half the new rate phase is lost
    response: F32 = gain.astype(np.float32)
    response.flags.writeable = False
    return response


@lru_cache(maxsize=1)
def _kaiser_response() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frequency as a share of the Nyquist frequency, and the gain there, of resample_poly's anti-alias filter."""
    oversampling = 32  # the response over the Nyquist frequency hardly depends on it
    half = _ZERO_CROSSINGS * oversampling
    taps = scipy_signal.firwin(2 * half + 1, 1 / oversampling, window=("kaiser", _KAISER_BETA))
    share = np.linspace(0, 1, 2049)
    phase = np.pi * np.outer(share / oversampling, np.arange(1, half + 1))
    return share, taps[half] + 2 * np.cos(phase) @ taps[half + 1 :]
