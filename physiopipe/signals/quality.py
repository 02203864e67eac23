"""Findings about each window of a recording, from its raw signal. A flag marks a window, it never drops one.

Everything is measured once over blocks of about half a second, so the windows of every rate cost next to nothing.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

from physiopipe.params import Quality

Bools = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]

FLAGS: tuple[str, ...] = ("flat", "missing", "clipping", "amplitude", "wander", "mains")
WANDER_HZ = 0.5

_FINE_HZ = 10.0  # baseline is followed at this rate: means of 0.1 s
_FINE_IN_BLOCK = 5  # a block of 0.5 s; a sine product over it passes ±1 Hz (its noise bandwidth is 2 Hz)
_OFFSET_SAMPLES = 256  # samples of a lead whose median is its offset


class Flags(NamedTuple):
    """Findings about windows.

    Attributes:
        flat_leads: bool (window, channel), present leads that are flat throughout the window.
        flags: name in `FLAGS` → bool (window,).
    """

    flat_leads: Bools
    flags: dict[str, Bools]


class RecordQuality:
    """What a recording's flags are computed from; `flags` asks for any windows of it.

    A window is judged by the blocks of about 0.5 s that lie inside it (for a shorter window, the one it starts in); a
    rest of the recording shorter than a block is not judged. A share is that of the power about the recording's
    offset, its median; a flag is raised when any present lead that is not flat is above the limit. Baseline is what
    lies under 0.5 Hz. Samples at either extreme of the whole recording count as clipped.

    Args:
        raw: float (channel, time), not filtered, in the stored unit.
        raw_rate_hz: samples a second.
        missing: bool (channel,), rows that were not recorded.
        mains_hz: mains frequency; None, or half the rate and above: the flag `mains` is never raised.
        limits: see `params.Quality`.
    """

    def __init__(
        self,
        raw: npt.NDArray[np.floating],
        raw_rate_hz: float,
        *,
        missing: Bools,
        mains_hz: float | None,
        limits: Quality,
    ) -> None:
        signal = np.asarray(raw, dtype=np.float32)
        channels, samples = signal.shape
        self._present = ~np.asarray(missing, dtype=np.bool_)
        self._limits = limits
        fine = max(1, round(raw_rate_hz / _FINE_HZ))
        self._size = size = min(fine * _FINE_IN_BLOCK, samples)
        self._block_s = size / raw_rate_hz
        if samples == 0:
            raise ValueError("a recording without samples has no quality")
        count = samples // size
        thinned = signal[:, :: max(1, samples // _OFFSET_SAMPLES)]
        middle = thinned.shape[1] // 2
        offset = np.partition(thinned, middle, axis=1)[:, middle : middle + 1]
        centred = signal[:, : count * size] - offset
        blocks = centred.reshape(channels, count, size)
        # One column more at the end, which is never inside a window: reduceat takes no index past the last.
        self._highest, self._lowest = np.zeros((2, channels, count + 1), dtype=np.float32)
        highest = blocks.max(axis=2, out=self._highest[:, :count])
        lowest = blocks.min(axis=2, out=self._lowest[:, :count])
        measured = np.empty((4, channels, count), dtype=np.float32)
        np.divide(np.einsum("cbs,cbs->cb", blocks, blocks), size, out=measured[0])
        measured[1] = self._count_of(blocks, highest, highest.max(axis=1, keepdims=True))
        measured[1] += self._count_of(blocks, lowest, lowest.min(axis=1, keepdims=True))
        measured[1] /= size
        measured[2] = self._mains_power(blocks, raw_rate_hz, mains_hz)
        measured[3] = self._wander_power(centred, count, fine, raw_rate_hz)
        self._sums = np.zeros((4, channels, count + 1))
        np.cumsum(measured, axis=2, out=self._sums[:, :, 1:], dtype=np.float64)

    @staticmethod
    def _count_of(blocks: F32, reached: F32, extreme: F32) -> F32:
        """Samples of each block that equal the lead's extreme; only blocks that reach it are looked at."""
        counts = np.zeros(reached.shape, dtype=np.float32)
        lead, block = np.nonzero(reached == extreme)
        counts[lead, block] = (blocks[lead, block] == extreme[lead]).sum(axis=1)
        return counts

    @staticmethod
    def _mains_power(blocks: F32, rate_hz: float, mains_hz: float | None) -> F32:
        if mains_hz is None or mains_hz >= rate_hz / 2:
            return np.zeros(blocks.shape[:2], dtype=np.float32)
        size = blocks.shape[2]
        product = blocks @ _waves(size, mains_hz / rate_hz)
        return np.asarray(2 * np.einsum("cbk,cbk->cb", product, product) / size**2, dtype=np.float32)

    @staticmethod
    def _wander_power(centred: F32, count: int, fine: int, rate_hz: float) -> F32:
        channels, samples = centred.shape
        if samples < fine * _FINE_IN_BLOCK:
            return np.zeros((channels, count), dtype=np.float32)
        means = (centred.reshape(-1, fine) @ np.full(fine, 1 / fine, dtype=np.float32)).reshape(channels, -1)
        # The cosine transform takes the recording as mirrored at its ends: a drift does not look like a step.
        spectrum = fft.dct(means, axis=1)
        spectrum[:, int(np.ceil(WANDER_HZ * 2 * means.shape[1] * fine / rate_hz)) :] = 0
        baseline = fft.idct(spectrum, axis=1).reshape(channels, count, _FINE_IN_BLOCK)
        return np.asarray(np.einsum("cbk,cbk->cb", baseline, baseline) / _FINE_IN_BLOCK, dtype=np.float32)

    def flags(self, start_s: npt.NDArray[np.floating], window_s: npt.ArrayLike) -> Flags:
        """Findings about the windows of `window_s` seconds (one length, or one each) that begin at `start_s`.

        A window may reach past the recording's end.
        """
        start = np.asarray(start_s, dtype=np.float64)
        count = self._highest.shape[1] - 1
        slack = 1e-3  # of a block: start and block may differ by rounding
        # reduceat over first, end, first, end, …: every other result is a window's, the others are between windows.
        edges = np.empty(2 * start.size, dtype=np.int64)
        first, end = edges[::2], edges[1::2]
        first[:] = np.minimum(np.maximum(np.ceil(start / self._block_s - slack), 0), count - 1)
        end[:] = np.minimum(
            np.maximum(np.floor((start + np.asarray(window_s)) / self._block_s + slack), first + 1), count
        )
        highest = np.maximum.reduceat(self._highest, edges, axis=1)[:, ::2]
        lowest = np.minimum.reduceat(self._lowest, edges, axis=1)[:, ::2]
        limits = self._limits
        present = self._present[:, None]
        flat = present & (highest - lowest < limits.flat_peak_to_peak)
        alive = present & ~flat
        power, clipped, mains, wander = self._sums[:, :, end] - self._sums[:, :, first]
        found = {
            "flat": flat,
            "missing": np.broadcast_to(~present, flat.shape),
            "clipping": alive & (clipped > limits.clipping_share * (end - first)),
            "amplitude": present & (np.maximum(highest, -lowest) > limits.amplitude_limit),
            "wander": alive & (wander > limits.wander_share * power),
            "mains": alive & (mains > limits.mains_share * power),
        }
        return Flags(flat.T, {name: np.logical_or.reduce(found[name], axis=0) for name in FLAGS})


@lru_cache(maxsize=16)
def _waves(samples: int, cycles_a_sample: float) -> F32:
    """Cosine and sine, (samples, 2), read-only."""
    phase = 2 * np.pi * cycles_a_sample * np.arange(samples)
    waves: F32 = np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32)
    waves.flags.writeable = False
    return waves


def window_flags(
    raw: npt.NDArray[np.floating],
    raw_rate_hz: float,
    start_s: npt.NDArray[np.floating],
    window_s: float,
    *,
    missing: Bools,
    mains_hz: float | None,
    limits: Quality,
) -> Flags:
    """Findings about windows of one rate; see `RecordQuality`, which serves several rates at once."""
    return RecordQuality(raw, raw_rate_hz, missing=missing, mains_hz=mains_hz, limits=limits).flags(start_s, window_s)
