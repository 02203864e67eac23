"""Findings about each window of a recording, from its raw signal. A flag marks a window, it never drops one.

Everything is measured once over blocks of about half a second, so the windows of every rate cost next to nothing.

Shares are of a lead's power above `WANDER_HZ`, so that a wandering baseline, which the high-pass takes away, hides no
mains. Wander itself is counted as the high-pass leaves it, for that is what a stored window holds: in real ECG a
baseline of a hundred times the power of the beats leaves 0.3 % of theirs (median; docs/data.md has the table).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy import fft  # `shard` uses this module, and nothing else that would import scipy

from physiopipe.params import Quality
from physiopipe.signals.filters import highpass_gain
from physiopipe.signals.spectra import check_finite

Bools = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]

FLAGS: tuple[str, ...] = ("flat", "missing", "clipping", "amplitude", "wander", "mains")
WANDER_HZ = 0.5

_FINE_HZ = 10.0  # baseline is followed at this rate: means of 0.1 s
_FINE_IN_BLOCK = 5  # a block of 0.5 s; a sine product over it passes ±1 Hz (its noise bandwidth is 2 Hz)
_STRETCH_SAMPLES = 1 << 17  # of a long recording, read at once
_OFFSET_SAMPLES = 256  # samples of a lead whose median is its offset


class Flags(NamedTuple):
    """Findings about windows.

    Attributes:
        flat_leads: bool (…, window, channel), present leads that are flat throughout the window.
        flags: name in `FLAGS` → bool (…, window).
    """

    flat_leads: Bools
    flags: dict[str, Bools]


class Judged(NamedTuple):
    """What the flags need to know of the filter that follows: its notch and its high-pass (`params.Filter`).

    Attributes:
        mains_hz: mains frequency; None, or half the rate and above: no mains power is found.
        highpass_hz, order: as in `signals.filters.bandpass_notch`; None: no high-pass, so that all wander stays.
    """

    mains_hz: float | None
    highpass_hz: float | None
    order: int


class Blocks(NamedTuple):
    """What is measured of a recording, over blocks of about 0.5 s; a rest shorter than a block is not judged.

    Attributes:
        values: float32 (…, 6, channel, block): highest and lowest value about the lead's offset (its median), mean
            power above 0.5 Hz, share of samples at either extreme of the whole recording, power of the mains, power
            under 0.5 Hz that passes the high-pass.
        block_s: length of a block, s.
    """

    values: F32
    block_s: float


def measure_blocks(raw: npt.NDArray[np.floating], raw_rate_hz: float, judged: Judged) -> Blocks:
    """Measure a recording, or several of one length, whatever windows are cut from it later.

    Args:
        raw: float (…, channel, time), not filtered, in the stored unit.
        raw_rate_hz: samples a second.
        judged: the filter that follows.
    """
    *leads, samples = raw.shape
    signal = np.asarray(raw, dtype=np.float32).reshape(-1, samples)
    if samples == 0:
        raise ValueError("a recording without samples has no quality")
    fine, size = _block_sizes(samples, raw_rate_hz)
    count = samples // size
    centred = signal[:, : count * size] - _offsets(signal[:, :: _thinning(samples)])
    blocks = centred.reshape(-1, count, size)
    values = np.empty((6, len(signal), count), dtype=np.float32)
    highest = blocks.max(axis=2, out=values[0])
    lowest = blocks.min(axis=2, out=values[1])
    extremes = (highest.max(axis=1, keepdims=True), lowest.min(axis=1, keepdims=True))
    _measure(blocks, values, extremes, raw_rate_hz, judged.mains_hz)
    if size == fine * _FINE_IN_BLOCK:
        _part_baseline(values, _means(centred, fine), centred.shape[1], raw_rate_hz, judged)
    else:
        values[5] = 0
    return Blocks(np.moveaxis(values.reshape(6, *leads, count), 0, -3), size / raw_rate_hz)


def measure_blocks_of_long(read: Callable[[int, int], F32], samples: int, raw_rate_hz: float, judged: Judged) -> Blocks:
    """`measure_blocks` of one recording that is read in stretches, twice.

    Args:
        read: (first, end) → samples, float (channel, end - first); asked for in order.
        samples: length of the recording, at least a block.

    Raises:
        PhysiopipeError: samples that are not finite.
    """
    fine, size = _block_sizes(samples, raw_rate_hz)
    count, step = samples // size, _thinning(samples)
    stretch = max(_STRETCH_SAMPLES // size, 1) * size
    edges = [(first, min(first + stretch, samples)) for first in range(0, samples, stretch)]
    thinned, highs, lows = [], [], []
    for first, end in edges:
        signal = read(first, end)
        thinned.append(signal[:, -first % step :: step].copy())
        inside = signal[:, : min(end, count * size) - first]
        if inside.shape[1]:
            highs.append(inside.max(axis=1, keepdims=True))
            lows.append(inside.min(axis=1, keepdims=True))
        check_finite(np.stack([signal.max(axis=1), signal.min(axis=1)]))
    offset = _offsets(np.concatenate(thinned, axis=1))
    extremes = (np.maximum.reduce(highs) - offset, np.minimum.reduce(lows) - offset)
    values = np.empty((6, len(offset), count), dtype=np.float32)
    means = []
    for first in range(0, count * size, stretch):
        end = min(first + stretch, count * size)
        centred = read(first, end) - offset
        blocks = centred.reshape(len(offset), -1, size)
        mine = values[:, :, first // size : end // size]
        blocks.max(axis=2, out=mine[0])
        blocks.min(axis=2, out=mine[1])
        _measure(blocks, mine, extremes, raw_rate_hz, judged.mains_hz)
        means.append(_means(centred, fine))
    for row in range(len(offset)):  # one by one: the transforms are as long as the recording
        mine = np.concatenate([of_stretch[row : row + 1] for of_stretch in means], axis=1)
        _part_baseline(values[:, row : row + 1], mine, count * size, raw_rate_hz, judged)
    return Blocks(np.moveaxis(values, 0, -3), size / raw_rate_hz)


def _block_sizes(samples: int, rate_hz: float) -> tuple[int, int]:
    """Samples of a fine mean, and of a block."""
    fine = max(1, round(rate_hz / _FINE_HZ))
    return fine, min(fine * _FINE_IN_BLOCK, samples)


def _thinning(samples: int) -> int:
    return max(1, samples // _OFFSET_SAMPLES)


def _offsets(thinned: F32) -> F32:
    """Median of each row, (rows, 1)."""
    middle = thinned.shape[1] // 2
    return np.partition(thinned, middle, axis=1)[:, middle : middle + 1]


def _measure(blocks: F32, values: F32, extremes: tuple[F32, F32], rate_hz: float, mains_hz: float | None) -> None:
    """Fill rows 2 to 4 of `values` from blocks (rows, block, sample) and the extremes of the whole rows."""
    size = blocks.shape[2]
    np.divide(np.einsum("cbs,cbs->cb", blocks, blocks), size, out=values[2])
    values[3] = _count_of(blocks, values[0], extremes[0])
    values[3] += _count_of(blocks, values[1], extremes[1])
    values[3] /= size
    values[4] = _mains_power(blocks, rate_hz, mains_hz)


class RecordQuality:
    """Flags of any windows of a recording, or of several of one length.

    A window is judged by the blocks that lie inside it (for a shorter window, the one it starts in). A flag is raised
    when any present lead that is not flat is above the limit; shares are of its power above WANDER_HZ.

    Args:
        blocks: see `measure_blocks`.
        missing: bool (…, channel), rows that were not recorded.
        limits: see `params.Quality`.
    """

    def __init__(self, blocks: Blocks, *, missing: Bools, limits: Quality) -> None:
        self._block_s = blocks.block_s
        self._present = ~np.asarray(missing, dtype=np.bool_)
        self._limits = limits
        values = np.moveaxis(blocks.values, -3, 0)
        *leads, count = values.shape[1:]
        # One column more at the end, which is never inside a window: reduceat takes no index past the last.
        self._extremes = np.zeros((2, *leads, count + 1), dtype=np.float32)
        self._extremes[..., :count] = values[:2]
        self._sums = np.zeros((4, *leads, count + 1))
        np.cumsum(values[2:], axis=-1, out=self._sums[..., 1:], dtype=np.float64)

    def flags(self, start_s: npt.NDArray[np.floating], window_s: npt.ArrayLike) -> Flags:
        """Findings about the windows of `window_s` seconds (one length, or one each) that begin at `start_s`.

        A window may reach past the recording's end.
        """
        start = np.asarray(start_s, dtype=np.float64)
        count = self._sums.shape[-1] - 1
        slack = 1e-3  # of a block: start and block may differ by rounding
        # reduceat over first, end, first, end, …: every other result is a window's, the others are between windows.
        edges = np.empty(2 * start.size, dtype=np.int64)
        first, end = edges[::2], edges[1::2]
        first[:] = np.minimum(np.maximum(np.ceil(start / self._block_s - slack), 0), count - 1)
        end[:] = np.minimum(
            np.maximum(np.floor((start + np.asarray(window_s)) / self._block_s + slack), first + 1), count
        )
        highest = np.maximum.reduceat(self._extremes[0], edges, axis=-1)[..., ::2]
        lowest = np.minimum.reduceat(self._extremes[1], edges, axis=-1)[..., ::2]
        limits = self._limits
        present = self._present[..., None]
        flat = present & (highest - lowest < limits.flat_peak_to_peak)
        alive = present & ~flat
        power, clipped, mains, wander = self._sums[..., end] - self._sums[..., first]
        found = {
            "flat": flat,
            "missing": np.broadcast_to(~present, flat.shape),
            "clipping": alive & (clipped > limits.clipping_share * (end - first)),
            "amplitude": present & (np.maximum(highest, -lowest) > limits.amplitude_limit),
            "wander": alive & (wander > limits.wander_share * power),
            "mains": alive & (mains > limits.mains_share * power),
        }
        return Flags(flat.swapaxes(-1, -2), {name: np.logical_or.reduce(found[name], axis=-2) for name in FLAGS})


def _count_of(blocks: F32, reached: F32, extreme: F32) -> F32:
    """Samples of each block that equal the lead's extreme; only blocks that reach it are looked at."""
    counts = np.zeros(reached.shape, dtype=np.float32)
    lead, block = np.nonzero(reached == extreme)
    counts[lead, block] = (blocks[lead, block] == extreme[lead]).sum(axis=1)
    return counts


def _mains_power(blocks: F32, rate_hz: float, mains_hz: float | None) -> F32:
    if mains_hz is None or mains_hz >= rate_hz / 2:
        return np.zeros(blocks.shape[:2], dtype=np.float32)
    size = blocks.shape[2]
    product = blocks @ _waves(size, mains_hz / rate_hz)
    return np.asarray(2 * np.einsum("cbk,cbk->cb", product, product) / size**2, dtype=np.float32)


def _means(centred: F32, fine: int) -> F32:
    """Means of `fine` samples each, (rows, …)."""
    return (centred.reshape(-1, fine) @ np.full(fine, 1 / fine, dtype=np.float32)).reshape(len(centred), -1)


def _part_baseline(values: F32, means: F32, samples: int, rate_hz: float, judged: Judged) -> None:
    """Take the power under WANDER_HZ out of row 2 of `values`, and put what the high-pass leaves of it into row 5.

    Args:
        means: of `_means`, of a whole recording of so many samples.
    """
    # The recording is taken as mirrored at its end: a drift does not look like a step.
    spectrum = fft.rfft(np.concatenate([means, means[:, ::-1]], axis=1), axis=1)
    bin_hz = rate_hz / (2 * samples)
    under = int(np.ceil(WANDER_HZ / bin_hz))
    spectrum[:, under:] = 0
    baseline = fft.irfft(spectrum, n=2 * means.shape[1], axis=1)[:, : means.shape[1]]
    if judged.highpass_hz is not None:
        frequency_hz = np.arange(under, dtype=np.float64) * bin_hz
        spectrum[:, :under] *= highpass_gain(frequency_hz, judged.highpass_hz, judged.order)
    left = fft.irfft(spectrum, n=2 * means.shape[1], axis=1)[:, : means.shape[1]]
    left = left.reshape(len(means), -1, _FINE_IN_BLOCK)
    values[5] = np.einsum("cbk,cbk->cb", left, left) / _FINE_IN_BLOCK
    # Of x - b over a mean m of x, where the baseline b is a straight line: x² - b (2m - b) - (its rise)² / 12.
    taken = baseline * (2 * means - baseline)
    if means.shape[1] > 1:
        taken += np.gradient(baseline, axis=1) ** 2 / 12
    taken = taken.reshape(left.shape).sum(axis=2) / _FINE_IN_BLOCK
    np.maximum(values[2] - taken, 0, out=values[2])


@lru_cache(maxsize=16)
def _waves(samples: int, cycles_a_sample: float) -> F32:
    """Cosine and sine, (samples, 2), read-only."""
    phase = 2 * np.pi * cycles_a_sample * np.arange(samples)
    waves: F32 = np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32)
    waves.flags.writeable = False
    return waves
