"""Transforming long rows of samples without edge effects: odd extension, lengths that suit the FFT, row blocks.

Filtering and resampling both work on the spectrum of a row that is extended at both ends by its own odd reflection
(as `scipy.signal.sosfiltfilt` does), so that its ends are continuous in value and slope.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy import fft  # scipy.fft takes as long, and 0.3 s to import

from physiopipe.errors import PhysiopipeError

F32 = npt.NDArray[np.float32]
C64 = npt.NDArray[np.complex64]

# Both ways scaled alike: with any other norm numpy casts float32 rows by way of buffers in one of the two directions,
# which takes four times as long.
_NORM: Literal["ortho"] = "ortho"
_BLOCK_SAMPLES = 1 << 17  # of one FFT call: 512 KiB of float32
_LEAST_ROWS = 4  # the FFT works on four rows at a time: one by one they take three times as long


class Extension(NamedTuple):
    """How a row is extended: `before` samples, the row itself, and what fills it up to `length`."""

    before: int
    length: int


@lru_cache(maxsize=256)
def extension(samples: int, pad: int, multiple_of: int = 1) -> Extension:
    """Extension by at least `pad` samples on both sides; its length and `before` are multiples of `multiple_of`.

    The length over `multiple_of` has only small prime factors, which keeps the FFT fast.
    """
    before = -(-pad // multiple_of) * multiple_of
    blocks = fast_length(-(-(before + samples + pad) // multiple_of))
    return Extension(before, blocks * multiple_of)


def fast_length(least: int) -> int:
    """The smallest number from `least` on without a prime factor above 5."""
    best: int = 1 << (least - 1).bit_length()
    fives = 1
    while fives < best:
        odd = fives
        while odd < best:
            twos: int = 1 << (-(-least // odd) - 1).bit_length()
            best = min(best, odd * twos)
            odd *= 3
        fives *= 5
    return best


def rows_of(signal: npt.NDArray[np.floating]) -> F32:
    """The signal as float32 (rows, time); raise PhysiopipeError where it has no time axis."""
    if signal.ndim < 1:
        raise PhysiopipeError("Found a single number where a signal (…, time) is expected.")
    return np.asarray(signal, dtype=np.float32).reshape(prod(signal.shape[:-1]), signal.shape[-1])


def check_finite(values: F32 | C64) -> None:
    """Raise PhysiopipeError where a value is not finite."""
    if not np.isfinite(values).all():
        raise PhysiopipeError("The signal holds NaN or infinite samples: reject the recording or fill its gaps first.")


def spectra(rows: F32, padded: Extension, pad: int) -> Iterator[tuple[F32, C64]]:
    """Spectra of blocks of rows, in order; `rows_at` goes back.

    Yields what was subtracted from each row of a block (its first sample, (rows, 1), so that a constant row is exactly
    0) and the block's spectrum, complex64 (rows, length // 2 + 1).

    Raises:
        PhysiopipeError: samples that are not finite.
    """
    step = max(_LEAST_ROWS, _BLOCK_SAMPLES // padded.length // _LEAST_ROWS * _LEAST_ROWS)
    for first in range(0, rows.shape[0], step):
        block = rows[first : first + step]
        offset = block[:, :1]
        with np.errstate(invalid="ignore"):  # infinite samples, of which the next lines tell
            spectrum = np.asarray(fft.rfft(_extend(block, offset, padded, pad), norm=_NORM), dtype=np.complex64)
        check_finite(spectrum[:, 0])  # the sum of all samples: cheaper than a look at each of them
        yield offset, spectrum


def rows_at(spectrum: C64, length: int) -> F32:
    """Extended rows of `length` samples, whose spectrum this is.

    At another length than the spectrum was made at they come out times sqrt(that length over `length`).
    """
    return np.asarray(fft.irfft(spectrum, n=length, norm=_NORM), dtype=np.float32)


def _extend(rows: F32, offset: F32, padded: Extension, pad: int) -> F32:
    samples = rows.shape[1]
    reach = min(pad, samples - 1)  # a short row is reflected as far as it goes, then held
    first, end = padded.before, padded.before + samples
    extended = np.empty((rows.shape[0], padded.length), dtype=np.float32)
    np.subtract(rows, offset, out=extended[:, first:end])
    if reach:
        np.negative(extended[:, first + reach : first : -1], out=extended[:, first - reach : first])
        last = extended[:, end - 1 : end]
        np.subtract(2 * last, extended[:, end - 2 : end - 2 - reach : -1], out=extended[:, end : end + reach])
    # The FFT joins the two ends: a ramp over what is left between them, so that no step rings into the row.
    left, right = first - reach, end + reach
    gap = padded.length - right + left
    if gap:
        ramp = np.arange(1, gap + 1, dtype=np.float32) / np.float32(gap + 1)
        values = extended[:, right - 1 : right] * (1 - ramp) + extended[:, left : left + 1] * ramp
        extended[:, right:] = values[:, : padded.length - right]
        extended[:, :left] = values[:, padded.length - right :]
    return extended
