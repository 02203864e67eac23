"""Findings about each window of a recording, from its raw signal. A flag marks a window, it never drops one.

Everything is measured once over blocks of about half a second, so the windows of every rate cost next to nothing.
"""

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
        offset = np.median(signal[:, :: max(1, samples // _OFFSET_SAMPLES)], axis=1, keepdims=True)
        centred = signal[:, : count * size] - offset
        blocks = centred.reshape(channels, count, size)
        highest, lowest = blocks.max(axis=2), blocks.min(axis=2)
        power = np.einsum("cbs,cbs->cb", blocks, blocks) / size
        clipped = self._count_of(blocks, highest, highest.max(axis=1, keepdims=True))
        clipped += self._count_of(blocks, lowest, lowest.min(axis=1, keepdims=True))
        clipped /= size
        mains = self._mains_power(blocks, raw_rate_hz, mains_hz)
        wander = self._wander_power(centred, count, fine, raw_rate_hz)
        # One column more at the end, which is never inside a window: reduceat takes no index past the last.
        after = np.zeros((channels, 1), dtype=np.float32)
        self._highest, self._lowest = np.hstack([highest, after]), np.hstack([lowest, after])
        self._sums = np.zeros((4, channels, count + 1))
        for row, measured in enumerate((power, clipped, mains, wander)):
            np.cumsum(measured, axis=1, out=self._sums[row, :, 1:], dtype=np.float64)

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
        phase = 2 * np.pi * mains_hz / rate_hz * np.arange(size)
        product = blocks @ np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32)
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

    def flags(self, start_s: npt.NDArray[np.floating], window_s: float) -> Flags:
        """Findings about the windows of `window_s` seconds that begin at `start_s`; a window may reach past the end."""
        start = np.asarray(start_s, dtype=np.float64)
        count = self._highest.shape[1] - 1
        slack = 1e-3  # of a block: start and block may differ by rounding
        first = np.clip(np.ceil(start / self._block_s - slack).astype(np.int64), 0, count - 1)
        end = np.clip(np.floor((start + window_s) / self._block_s + slack).astype(np.int64), first + 1, count)
        # reduceat over first, end, first, end, …: every other result is a window's, the others are between windows.
        edges = np.stack([first, end], axis=1).ravel()
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
        return Flags(flat.T, {name: found[name].any(axis=0) for name in FLAGS})


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
