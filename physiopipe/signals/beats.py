"""Whether stretches of an ECG show heartbeats at all: an electrode that is off, or a wrong channel, shows none.

A QRS complex is short and steep, and between two of them there is rest. Noise has neither: in it the steepest moment
of two seconds stands little over the calmest quarter. The slope over 30 ms, squared and averaged over 100 ms, as in
Pan & Tompkins 1985 (doi:10.1109/TBME.1985.325532), tells the two apart without finding a single beat, whichever way
up the lead is.

Measured at 200 Hz, 0.5 to 40 Hz, over 10 s, in the best channel: white noise at most 9.6 and brown noise at most 11.5
of 1,800 draws each; four real one-lead recordings without beats 3.5 to 8.5, 68 with beats from 13.0 on; 529 stretches
of real 12-lead records from 22.7 on, but for one at 10.7: ventricular flutter, whose complexes are all broad.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

LEAST_PROMINENCE = 11.0  # steepest moment of two seconds over the calmest quarter
LEAST_RATE_HZ = 100.0  # too low a rate to see a QRS complex below
JUDGED_S = 10.0  # a shorter window is judged by so much of the recording around it: it may hold a beat or none
_SLOPE_S = 0.015  # half of the 30 ms that a slope is taken over
_GRID_S = 0.02  # steepness is kept at these steps
_MEAN_STEPS = 5  # that a value is the mean of: 0.1 s
_BEAT_S = 2.0  # in which a heart of 30 beats a minute or more beats

F32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def beats_rate_hz(rates_hz: Iterable[float]) -> float | None:
    """Of the rates that a recording is stored at, the one to look for heartbeats at; None where all are too low."""
    return min((rate for rate in rates_hz if rate >= LEAST_RATE_HZ), key=lambda rate: abs(rate - 200.0), default=None)


class Beats:
    """Steepness of a recording, or of several of one length, and what it says of any stretch.

    Args:
        rate_hz: samples a second, from 100 on.
    """

    def __init__(self, rate_hz: float) -> None:
        if rate_hz < LEAST_RATE_HZ:
            raise ValueError(
                f"a rate of {rate_hz:g} Hz is too low to see heartbeats in: expected {LEAST_RATE_HZ:g} or more"
            )
        self._half, self._grid = (max(1, round(length_s * rate_hz)) for length_s in (_SLOPE_S, _GRID_S))
        self._step_s = self._grid / rate_hz
        # the middle of what the first value was measured over
        self._first_s = self._half / rate_hz + _MEAN_STEPS / 2 * self._step_s
        self._samples_a_beat = round(_BEAT_S / self._step_s)
        self._pieces: list[F32] = []
        self._unused: F32 | None = None

    def add(self, signal: npt.NDArray[np.floating]) -> "Beats":
        """Measure a piece, in order of time, in one unit: (…, channel, time) ECG, filtered to 0.5 to 40 Hz or so."""
        values = np.asarray(signal, dtype=np.float32)
        if self._unused is not None:
            values = np.concatenate([self._unused, values], axis=-1)
        slope = values[..., 2 * self._half :] - values[..., : -2 * self._half]
        count = max(slope.shape[-1] // self._grid, 0)
        steps = slope[..., : count * self._grid].reshape(*slope.shape[:-1], count, self._grid)
        power = np.einsum("...k,...k->...", steps, steps)
        found = sum(power[..., each : max(count - _MEAN_STEPS + 1, 0) + each] for each in range(_MEAN_STEPS))
        self._pieces.append(found)
        self._unused = values[..., found.shape[-1] * self._grid :].copy()
        return self

    def absent(self, start_s: npt.ArrayLike, window_s: npt.ArrayLike, present: Bools | None = None) -> Bools:
        """True for each window (…, window) in which no channel shows heartbeats.

        Args:
            start_s: (window,) where windows begin, s.
            window_s: their length (one, or one each), s; under `JUDGED_S` the recording around counts too.
            present: (…, window, channel), the channels that count (a flat one holds rounding noise); None: all.
        """
        start, length = np.broadcast_arrays(np.asarray(start_s, np.float64), np.asarray(window_s, np.float64))
        judged = np.maximum(length, JUDGED_S)
        steepness = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces, axis=-1)
        count = steepness.shape[-1]
        size = np.minimum(np.rint(judged / self._step_s).astype(np.int64), count)
        first = np.rint((start + (length - judged) / 2 - self._first_s) / self._step_s).astype(np.int64)
        first = np.clip(first, 0, count - size)
        stretches, which = np.unique(np.stack([first, size]), axis=1, return_inverse=True)  # shared by many windows
        found = np.stack([self._prominence(steepness, *stretch) for stretch in stretches.T.tolist()], axis=-2)
        shown = (found >= LEAST_PROMINENCE)[..., which.reshape(-1), :]
        return np.asarray(~(shown if present is None else shown & present).any(axis=-1))

    def _prominence(self, steepness: F32, first: int, size: int) -> F32:
        """How far the steepest moments of a stretch stand out in each channel, (…, channel)."""
        values = steepness[..., first : first + size]
        if size == 0:
            return np.zeros(values.shape[:-1], np.float32)
        spans = max(1, size // self._samples_a_beat)
        whole = values[..., : size // spans * spans].reshape(*values.shape[:-1], spans, -1)
        steepest = np.median(whole.max(axis=-1), axis=-1)  # neither an artefact nor a pause moves it far
        quarter = size // 4
        calm = np.partition(values, quarter, axis=-1)[..., quarter]
        # where a quarter is exactly still, what moves stands out without limit
        limitless = np.where(steepest > 0, np.inf, 0.0).astype(np.float32)
        return np.asarray(np.divide(steepest, calm, out=limitless, where=calm > 0))
