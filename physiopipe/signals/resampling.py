"""Resampling by any ratio, on the spectrum: cut off or filled with zeros at the lower of both Nyquist frequencies.

Towards the Nyquist frequency the spectrum rolls off like the anti-alias filter of `scipy.signal.resample_poly` (a sinc
under a Kaiser window, β = 5, 10 zero crossings a side; -6 dB at the Nyquist frequency), with which results agree within
1 %: a sharp edge would ring. That filter's slope ends 16 % above the new Nyquist frequency, and folds back what lies
there. Here only what lies up to 4 % above folds back; nothing further up returns.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import inf, lcm, sqrt

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.signals.spectra import C64, F32, Extension, check_finite, extension, rows_at, rows_of, spectra

_PAD_S = 1.0  # the roll-off's own ringing is over within ten periods of the lower rate
_LARGEST_DENOMINATOR = 100
_ZERO_CROSSINGS = 10
_KAISER_BETA = 5.0
# Of the new Nyquist frequency. With nothing folded, leads with muscle noise near it differ from resample_poly by 1.2 %.
_FOLDED_SHARE = 1.04


def resample(signal: npt.NDArray[np.floating], rate_hz: float, to_hz: float) -> F32:
    """Resample every row.

    Args:
        signal: (…, channel, time).
        rate_hz: samples a second of the signal.
        to_hz: samples a second wanted.

    Returns:
        float32 (…, channel, round(time * to_hz / rate_hz)); its first sample is at the time of the signal's first.

    Raises:
        PhysiopipeError: a rate under 0.01 Hz, samples that are not finite.
    """
    return resample_to_rates(signal, rate_hz, (to_hz,))[to_hz]


def resample_to_rates(signal: npt.NDArray[np.floating], rate_hz: float, rates_hz: Sequence[float]) -> dict[float, F32]:
    """`resample` to each rate, sharing one forward transform; rate → float32 (…, time)."""
    rows = rows_of(signal)
    ratios = {to_hz: _ratio(rate_hz, to_hz) for to_hz in rates_hz}
    found = {to_hz: np.empty((len(rows), round(rows.shape[1] * ratio)), np.float32) for to_hz, ratio in ratios.items()}
    for to_hz in [to_hz for to_hz, ratio in ratios.items() if ratio == 1]:
        found[to_hz][:] = rows  # nothing to compute at the signal's own rate
        del ratios[to_hz]
    if not ratios:
        check_finite(rows)
    if rows.size and ratios:
        pad = max(round(_PAD_S * rate_hz), 1)
        padded = extension(rows.shape[1], pad, lcm(*(ratio.denominator for ratio in ratios.values())))
        row = 0
        for offset, spectrum in spectra(rows, padded, pad):
            for to_hz, ratio in ratios.items():
                cropped = found[to_hz][row : row + len(offset)]
                np.add(_at_rate(spectrum, padded, ratio, cropped.shape[1]), offset, out=cropped)
            row += len(offset)
    return {to_hz: resampled.reshape(*signal.shape[:-1], resampled.shape[1]) for to_hz, resampled in found.items()}


def resampled_length(samples: int, rate_hz: float, to_hz: float) -> int:
    """Samples that `resample` makes of so many."""
    return round(samples * _ratio(rate_hz, to_hz))


def whole_seconds(rate_hz: float) -> int:
    """The least number of samples that lasts a whole number of seconds: it begins a sample at every whole rate."""
    return _fraction(rate_hz).numerator


@lru_cache(maxsize=256)
def _ratio(rate_hz: float, to_hz: float) -> Fraction:
    if not (0.01 <= rate_hz < inf and 0.01 <= to_hz < inf):
        raise PhysiopipeError(
            f"Cannot resample from {rate_hz:g} Hz to {to_hz:g} Hz: expected rates of 0.01 Hz and above."
        )
    return _fraction(to_hz) / _fraction(rate_hz)


def _fraction(rate_hz: float) -> Fraction:
    # To 0.0001 Hz: the transform's length is a multiple of the numerator, which must stay small.
    return Fraction(rate_hz).limit_denominator(_LARGEST_DENOMINATOR)


def _at_rate(spectrum: C64, padded: Extension, ratio: Fraction, samples: int) -> F32:
    """Rows at `ratio` times their rate, cropped of their extension; the spectrum is left as it is."""
    # Both are multiples of the denominator
    length = padded.length // ratio.denominator * ratio.numerator
    first = padded.before // ratio.denominator * ratio.numerator
    if ratio != 1:
        spectrum = _cut_or_filled(spectrum, padded.length, length)
    return rows_at(spectrum, length)[:, first : first + samples]


def _cut_or_filled(spectrum: C64, length: int, to_length: int) -> C64:
    """Spectrum of an rfft of `length` as one of `to_length`, rolled off towards the lower Nyquist frequency."""
    roll_off = _roll_off(length, to_length)
    bins = to_length // 2 + 1
    kept = min(bins, roll_off.size)
    fitted = np.empty((spectrum.shape[0], bins), dtype=np.complex64)
    np.multiply(spectrum[:, :kept], roll_off[:kept], out=fitted[:, :kept])
    fitted[:, kept:] = 0
    tail = roll_off.size - kept
    if tail:
        first = to_length - kept
        folded = spectrum[:, kept : kept + tail] * roll_off[kept:]
        fitted[:, first : first - tail : -1] += folded.conj()
    return fitted


@lru_cache(maxsize=64)
def _roll_off(length: int, to_length: int) -> F32:
    """Gain of the spectrum of `length` as far as it is kept, the change of the FFT's scale included."""
    nyquist = min(length, to_length) / 2
    last = int(nyquist * _FOLDED_SHARE) if to_length < length else int(nyquist)
    bins = np.arange(min(last, length // 2) + 1)
    gain = np.interp(bins / nyquist, *_kaiser_response()) * sqrt(to_length / length)
    if to_length < length and to_length % 2 == 0:
        gain[to_length // 2] *= 2  # both halves of what is at the new Nyquist frequency fall on one bin
    response: F32 = gain.astype(np.float32)
    response.flags.writeable = False
    return response


@lru_cache(maxsize=1)
def _kaiser_response() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frequency as a share of the Nyquist frequency, and the gain there, of resample_poly's anti-alias filter."""
    oversampling = 32  # the response over the Nyquist frequency hardly depends on it
    half = _ZERO_CROSSINGS * oversampling
    taps = np.sinc(np.arange(-half, half + 1) / oversampling) * np.kaiser(2 * half + 1, _KAISER_BETA)
    taps /= taps.sum()
    share = np.linspace(0, _FOLDED_SHARE, 2049)
    phase = np.pi * np.outer(share / oversampling, np.arange(1, half + 1))
    return share, taps[half] + 2 * np.cos(phase) @ taps[half + 1 :]
